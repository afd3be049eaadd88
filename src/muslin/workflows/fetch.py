"""The photos behind the addresses of a shop's export: the work of `muslin fetch`.

`plan_fetch` reads the export and says which hosts its photos are at; `fetch` asks those that the user confirmed. Each
photo gets its name, the SHA-256 of its content, once it is complete and muslin can read it; then the journal says so.
At the end the export is copied with a column that names the photos.
"""

import csv
import hashlib
import io
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import IO

from muslin.data.tables import Row
from muslin.data.tables.cells import spreadsheet_text
from muslin.errors import FetchError, StoppedError
from muslin.fetching.address import Address
from muslin.fetching.address_cells import addresses_in_rows, unique
from muslin.fetching.connection import LIMITS, SYSTEM_NETWORK, FetchLimits, Network
from muslin.fetching.fetch_journal import FetchJournal, FetchRecord, StoredPhoto, open_journal
from muslin.fetching.fetch_result import FetchResult
from muslin.fetching.photo_workers import Fetched, FetchSettings, fetch_photos
from muslin.messages import Log, Message, no_log
from muslin.storage.atomic import storage_errors, write_atomically
from muslin.storage.outputs import Output
from muslin.workflows.fetch_plan import FetchOptions, FetchPlan, addresses_to_ask, plan_fetch

__all__ = ["FetchOptions", "FetchPlan", "fetch", "plan_fetch"]

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")

COPY_BYTES = 2**20


def fetch(
    plan: FetchPlan,
    sites: Collection[str],
    *,
    network: Network = SYSTEM_NETWORK,
    limits: FetchLimits = LIMITS,
    log: Log = no_log,
    on_progress: Callable[[int, int], None] = lambda done, photos: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FetchResult:
    """Fetch the photos of a plan, and write its tables.

    Args:
        sites: the hosts that the user confirmed, as `FetchPlan.hosts` names them; no others are asked.
        network: how hosts are found and connections made. It does not say to which addresses: none leaves the public
            internet, whatever it is.
        on_progress: called with the numbers of addresses that were asked for, and of all that are to be.
        should_stop: called now and then; the work stops cleanly once it returns True.

    Raises:
        FetchError: no host with a photo is confirmed.
        StorageError: the disk is full, a table is not muslin's, or another process works in the folder.
        StoppedError: `should_stop` returned True. The same call goes on.
    """
    for note in plan.notes:
        log(note)
    if any(os.environ.get(name) or os.environ.get(name.upper()) for name in PROXY_VARIABLES):
        log(Message("fetch_without_proxy"))
    with open_journal(plan.folder) as journal:
        plan.outputs(journal.record)
        to_ask = addresses_to_ask(plan.addresses, journal.record, plan.folder, plan.options)
        confirmed = {url: address for url, address in to_ask.items() if address.site in sites}
        if to_ask and not any(isinstance(each, Address) and each.site in sites for each in plan.addresses.values()):
            raise FetchError("no_host_confirmed", hosts=list(plan.hosts))
        settings = FetchSettings(frozenset(sites), plan.options.rate, limits, network)
        known = {url: journal.record.photos[url].validators for url in confirmed if url in journal.record.photos}
        done, fetched, size = 0, 0, 0
        on_progress(0, len(confirmed))
        for result in fetch_photos(confirmed, known, settings, should_stop):
            new = _keep(plan.folder, journal, result)
            fetched, size, done = fetched + (new is not None), size + (new or 0), done + 1
            on_progress(done, len(confirmed))
        if done < len(confirmed):
            raise StoppedError("fetch_stopped", path=str(plan.folder), done=done, count=len(confirmed))
        return _write_tables(plan, journal, fetched, size)


def _keep(folder: Path, journal: FetchJournal, result: Fetched) -> int | None:
    """Keep a photo, or why there is none; the size of a new photo."""
    if result.error is not None:
        journal.add_failure(result.key, result.error)
        return None
    if result.content is None:  # not modified
        return None
    digest = hashlib.sha256(result.content).hexdigest()
    size = len(result.content)
    name = f"photos/{digest[:2]}/{digest}{result.suffix}"
    path = folder / name
    if not (path.is_file() and path.stat().st_size == size):
        write_atomically(path, result.content)
    journal.add_photo(result.key, StoredPhoto(name, size, result.address, result.validators))
    return size


def _write_tables(plan: FetchPlan, journal: FetchJournal, fetched: int, size: int) -> FetchResult:
    record = journal.record
    failures = _failures(plan, record)
    rows = rows_with_photo = 0

    def photos_of_rows() -> Iterator[Row]:
        nonlocal rows, rows_with_photo
        for _, texts in addresses_in_rows(plan.table, plan.columns):
            names = unique(photo.name for photo in _photos(plan, record, texts))
            rows, rows_with_photo = rows + 1, rows_with_photo + bool(names)
            yield [names or None]

    products, failed = plan.outputs(record)
    with storage_errors(products.path), tempfile.TemporaryFile(dir=plan.folder) as file:
        plan.table.write_with_columns(file, [plan.column], photos_of_rows())
        _write(products, file, journal)
    with storage_errors(failed.path), tempfile.TemporaryFile(dir=plan.folder) as file:
        file.write(_failed_table(plan, failures).encode(errors="backslashreplace"))
        _write(failed, file, journal)
    urls = {address.url for address in plan.addresses.values() if isinstance(address, Address)}
    n_invalid = sum(isinstance(address, FetchError) for address in plan.addresses.values())
    there = [record.photos[url] for url in urls if url in record.photos]
    counts = Counter(message.code for message in failures.values())
    examples = {message.code: message for message in reversed(failures.values())}
    return FetchResult(
        products.path,
        failed.path,
        plan.column.name,
        plan.columns,
        len(urls) + n_invalid,
        len(there),
        fetched,
        len(there) - fetched,
        size,
        len({photo.name for photo in there}),
        rows,
        rows_with_photo,
        {code: (n, examples[code]) for code, n in counts.most_common()},
        plan.notes,
    )


def _photos(plan: FetchPlan, record: FetchRecord, texts: Iterable[str]) -> Iterator[StoredPhoto]:
    for text in texts:
        address = plan.addresses.get(text)
        photo = record.photos.get(address.url) if isinstance(address, Address) else None
        if photo:
            yield photo


def _failures(plan: FetchPlan, record: FetchRecord) -> dict[str, Message]:
    """Per text of the table without a photo why there is none."""
    failures: dict[str, Message] = {}
    for text, address in plan.addresses.items():
        if isinstance(address, FetchError):
            failures[text] = address.message
        elif address.url not in record.photos:
            not_asked = Message("host_not_confirmed", host=address.site)
            failures[text] = record.failures.get(address.url) or not_asked
    return failures


def _failed_table(plan: FetchPlan, failures: dict[str, Message]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["address", "first_row", "rows", "code", "reason"])
    for address, message in failures.items():
        mention = plan.mentions[address]
        writer.writerow([spreadsheet_text(address), mention.row, mention.rows, message.code, spreadsheet_text(message)])
    return text.getvalue()


def _write(output: Output, content: IO[bytes], journal: FetchJournal) -> None:
    """Write a table, after the journal knows its digest: so the next run knows it as muslin's, whatever happens."""
    digest = hashlib.sha256()
    for block in _blocks(content):
        digest.update(block)
    journal.add_table(output.path.name, digest.hexdigest())
    with output.open() as file, storage_errors(output.path):
        for block in _blocks(content):
            file.write(block)


def _blocks(content: IO[bytes]) -> Iterator[bytes]:
    """All of a file, from its start."""
    content.seek(0)
    while block := content.read(COPY_BYTES):
        yield block
