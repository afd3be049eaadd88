"""What became of each address, in a journal in the output's folder, so that nothing is fetched twice."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from muslin.catalogue.journal import Journal
from muslin.errors import MuslinError
from muslin.fetching.photo_client import NO_VALIDATORS, Validators
from muslin.fetching.schedule import RETRIED_LATER
from muslin.messages import Message, plain
from muslin.strict_json import json_text

JOURNAL = "fetch.journal"
"""Its name in the folder."""

PHOTO_NAME = re.compile(r"photos/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]+")

INPUTS = {"work": "fetch", "format": 1}


@dataclass(frozen=True)
class StoredPhoto:
    """A photo in the folder.

    Attributes:
        name: its path below the folder.
        size: in bytes.
        address: where it was, after redirects.
    """

    name: str
    size: int
    address: str
    validators: Validators = NO_VALIDATORS


@dataclass
class FetchRecord:
    """What is known of addresses, by their URLs, and the digests of the tables that muslin wrote."""

    photos: dict[str, StoredPhoto] = field(default_factory=dict)
    failures: dict[str, Message] = field(default_factory=dict)
    tables: dict[str, set[str]] = field(default_factory=dict)

    def is_answered(self, url: str, *, again: bool = False) -> bool:
        """Whether an address is not to be asked for: its photo is there, or its server said that there is none."""
        if url in self.photos:
            return True
        failure = self.failures.get(url)
        return failure is not None and not again and failure.code not in RETRIED_LATER


class FetchJournal:
    """The journal, locked for one process.

    Attributes:
        record: all that it says.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.record = _record(journal)

    def add_photo(self, url: str, photo: StoredPhoto) -> None:
        """Keep that the photo at `url` is in the folder."""
        of = photo.validators
        row = ["photo", url, photo.name, str(photo.size), photo.address, of.etag, of.last_modified]
        self._journal.add([row])
        self.record.photos[url] = photo
        self.record.failures.pop(url, None)

    def add_failure(self, url: str, error: MuslinError) -> None:
        """Keep why there is no photo at `url`. One that was there before stays."""
        message = error.message
        params = {
            name: str(value) if isinstance(value, Message) else plain(value) for name, value in error.params.items()
        }
        self._journal.add([["failure", url, message.code, message.hint_code, json_text(params, ascii_only=True)]])
        self.record.failures[url] = message

    def add_table(self, name: str, digest: str) -> None:
        """Keep that muslin writes a table with this SHA-256."""
        self._journal.add([["table", name, digest]])
        self.record.tables.setdefault(name, set()).add(digest)


@contextmanager
def open_journal(folder: Path) -> Iterator[FetchJournal]:
    """The journal of a folder, which is made if need be.

    Raises:
        StorageError: another process uses it, or it cannot be written.
        DataError: it is that of other work.
    """
    with Journal(folder / JOURNAL, INPUTS, resume=True) as journal:
        yield FetchJournal(journal)


def _record(journal: Journal) -> FetchRecord:
    record = FetchRecord()
    for kind, url, *rest in journal.rows():
        texts = [None if cell is None else str(cell) for cell in rest]
        url = str(url)
        if kind == "photo":
            name, size, address, etag, modified = map(str, rest)
            if PHOTO_NAME.fullmatch(name) and size.isdecimal():
                record.photos[url] = StoredPhoto(name, int(size), address, Validators(etag, modified))
                record.failures.pop(url, None)
        elif kind == "failure":
            code, hint, params = texts
            with suppress(KeyError):  # a message of another version
                record.failures[url] = _message(str(code), hint, str(params))
        else:
            record.tables.setdefault(url, set()).add(str(texts[0]))
    return record


@lru_cache(1000)
def _message(code: str, hint: str | None, params: str) -> Message:
    """Of a failure; all photos of a host that was given up have the same one."""
    return Message(code, hint, **json.loads(params))
