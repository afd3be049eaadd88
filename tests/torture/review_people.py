"""People who review products on pages of a real studio that is killed; and books on what it told them."""

import http.client
import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

WAIT_S = 30
REST_S = 0.02
"""Before a page asks again, when the studio did not answer or others have all that is left."""

VALUES = ("Trouser", "Shirt", "Bag")


@dataclass
class Books:
    """What all people together know.

    Attributes:
        products: how many there are to decide.
        acknowledged: per id of a request the product and the value of a decision that the studio has acknowledged.
        held: per product on somebody's page, whose page it is.
        refused: how often the studio said why it could not do something now, by the code.
        faults: what must not happen.
    """

    products: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: dict[str, tuple[int, str]] = field(default_factory=dict)
    decided: set[int] = field(default_factory=set)
    held: dict[int, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return len(self.decided) == self.products or bool(self.faults)

    @property
    def answers(self) -> int:
        """How many decisions were acknowledged and how many requests refused, but for tokens of a studio before."""
        with self.lock:
            return len(self.acknowledged) + self.refused.total() - self.refused["token_outdated"]

    def take(self, page: str, items: list[Any], decided_before: set[int]) -> None:
        """Note what a page has got."""
        with self.lock:
            for item in items:
                product = item["product"]
                if product in decided_before:
                    self.faults.append(f"{page} is asked about {product}, which is decided")
                if (other := self.held.setdefault(product, page)) != page:
                    self.faults.append(f"{page} and {other} have {product} at once")

    def acknowledge(self, decisions: list[Any], receipts: list[Any]) -> None:
        """Note what the studio has acknowledged."""
        with self.lock:
            if len(receipts) != len(decisions):
                self.faults.append("a decision is without a receipt")
            for decision, receipt in zip(decisions, receipts, strict=False):
                if receipt["earlier"]:
                    self.faults.append(f"{decision['product']} was decided twice")
                self.acknowledged[decision["request"]] = decision["product"], decision["value"]
                self.decided.add(decision["product"])
                self.held.pop(decision["product"], None)


class Person(threading.Thread):
    """A page of one person, which asks, decides and sends again until nothing is left.

    Args:
        host: of the studio, with its port.
        store: as the studio calls it.
        page: tells the person's pages apart.
    """

    def __init__(self, books: Books, host: str, store: str, who: str, page: str) -> None:
        super().__init__(daemon=True, name=f"{who} {page}")
        self._books, self._host, self._store, self._who, self._page = books, host, store, who, page
        self._random = Random(self.name)
        self._token = ""
        self._requests = 0

    def run(self) -> None:
        try:
            while not self._books.is_done:
                self._review_page(self._next_page())
        except Exception as error:  # the test reads it
            self._books.faults.append(f"{self.name}: {error!r}")

    def _next_page(self) -> list[Any]:
        """The next items. What was on its way when an answer was lost is given back first."""
        while not self._books.is_done:
            with self._books.lock:
                decided_before = set(self._books.decided)
            found = self._ask("next", target="label", count=self._random.choice((1, 5, 48)))
            if found and found["items"]:
                self._books.take(self.name, found["items"], decided_before)
                return list(found["items"])
            if found is None:
                self._until_answered("release")
            time.sleep(REST_S)
        return []

    def _review_page(self, items: list[Any]) -> None:
        decisions = [self._decision(item) for item in items]
        size = self._random.choice((1, 8, 48))
        for start in range(0, len(decisions), size):
            some = decisions[start : start + size]
            if answer := self._until_answered("decide", decisions=some):
                self._books.acknowledge(some, answer["receipts"])

    def _decision(self, item: Any) -> dict[str, Any]:
        self._requests += 1
        shown = {name: item[name] for name in ("product", "target", "fingerprint", "digest")}
        request = f"{self.name} {self._requests}"
        return shown | {"kind": "value", "value": self._random.choice(VALUES), "request": request}

    def _until_answered(self, path: str, **body: Any) -> Any:
        """Send the same request until it is answered; None where the test ended before."""
        while not self._books.is_done:
            if (answer := self._ask(path, **body)) is not None:
                return answer
            time.sleep(REST_S)
        return None

    def _ask(self, path: str, **body: Any) -> Any:
        """The answer; None where there is none, or the studio says that it could not do it now."""
        body |= {"store": self._store, "who": self._who, "page": self._page}
        try:
            self._token = self._token or self._read_token()
            headers = {"X-Muslin-Token": self._token}
            status, content = self._request("POST", f"/api/review/{path}", json.dumps(body), headers)
        except (OSError, http.client.HTTPException):  # it was killed
            return None
        if status == 200:
            return json.loads(content)
        error = json.loads(content)
        if error["code"] == "token_outdated":
            self._token = ""
        elif status not in (503, 507):
            raise AssertionError(f"{path}: {status} {error}")
        with self._books.lock:
            self._books.refused[error["code"]] += 1
        return None

    def _read_token(self) -> str:
        found = re.search(rb'muslin-token" content="([^"]+)"', self._request("GET", "/")[1])
        assert found
        return found[1].decode()

    def _request(self, method: str, path: str, body: str | None = None, headers: Any = {}) -> tuple[int, bytes]:  # noqa: B006
        connection = http.client.HTTPConnection(self._host, timeout=WAIT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
