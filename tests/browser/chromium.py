"""A headless Chromium, driven through a pipe by the DevTools protocol: no package, no port, no network.

https://chromedevtools.github.io/devtools-protocol/ describes the messages.
"""

import base64
import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

PROGRAM = "chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
WAIT_S = 60


class Page:
    """One tab. `console` holds the messages of the page and the browser, `requested` every address that it loaded."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        self.console: list[str] = []
        self.requested: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self._network(offline=True)

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol and its answer.

        Raises:
            AssertionError: the browser refused it.
        """
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda heard: heard.get("id") == self._number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, path: Path) -> None:
        """Load a file of this machine, to the end."""
        self._network(offline=True)
        self._load(path.absolute().as_uri())

    def visit(self, address: str) -> None:
        """Load what a server on this machine serves, to the end."""
        assert address.startswith("http://127.0.0.1:"), address
        self._network(offline=False)
        self.call("Page.navigate", url="about:blank")  # else a link that differs after its # loads nothing
        self._load(address)

    def reload(self) -> None:
        """Load the page anew, to the end."""
        self.call("Page.reload")
        self._until(lambda heard: heard.get("method") == "Page.loadEventFired")

    def _network(self, *, offline: bool) -> None:
        limits = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", offline=offline, **limits)

    def _load(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self._until(lambda heard: heard.get("method") == "Page.loadEventFired")
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """The value of an expression in the page, as JSON values; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def heard_until(self, event: str) -> list[dict[str, Any]]:
        """The parameters of all events up to the next one called `event`."""
        heard: list[dict[str, Any]] = []

        def is_last(message: dict[str, Any]) -> bool:
            heard.append(message.get("params", {}))
            return bool(message.get("method") == event)

        self._until(is_last)
        return heard

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """As if on a screen of so many CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`, as if the user's system asked for it."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        printed = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True)
        return base64.b64decode(printed["data"])

    def _until(self, condition: Any) -> Any:
        deadline = time.monotonic() + WAIT_S
        while True:
            while b"\0" in self._unread:
                text, self._unread = self._unread.split(b"\0", 1)
                heard = json.loads(text)
                self._note(heard)
                if condition(heard):
                    return heard
            ready, _, _ = select([self._receive], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            block = os.read(self._receive, 2**20)
            assert block, "the browser has ended"
            self._unread += block

    def _note(self, heard: dict[str, Any]) -> None:
        details = heard.get("params", {})
        match heard.get("method"):
            case "Runtime.consoleAPICalled":
                self.console.append(f"console.{details['type']}: {details['args']}")
            case "Runtime.exceptionThrown":
                self.console.append(f"exception: {details['exceptionDetails']}")
            case "Log.entryAdded":
                self.console.append(f"{details['entry']['level']}: {details['entry']['text']}")
            case "Network.requestWillBeSent":
                self.requested.append(details["request"]["url"][:200])


@contextmanager
def chromium(*flags: str) -> Iterator[Page]:
    """A fresh browser with one page, ended at the end. `flags` are added to FLAGS."""
    ends = [*os.pipe(), *os.pipe()]
    # above 4, since the browser wants its two ends under the numbers 3 and 4
    read_commands, send, receive, write_answers = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in ends)
    for end in ends:
        os.close(end)

    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [PROGRAM, *FLAGS, *flags, f"--user-data-dir={profile}"]
        browser = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{read_commands} 4>&{write_answers}', "bash", *command],
            pass_fds=(read_commands, write_answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_commands)
        os.close(write_answers)
        try:
            yield Page(send, receive)
        finally:
            os.close(send)  # which ends it
            os.close(receive)
            try:
                browser.wait(20)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
