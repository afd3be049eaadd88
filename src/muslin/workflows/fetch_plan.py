"""What a fetch is about to do: the columns, the addresses in them, and the hosts that a user has to confirm."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from muslin.data.tables import AddedColumn, TableFile, open_table
from muslin.data.tables.new_columns import free_names
from muslin.errors import DataError, FetchError
from muslin.extras import require_extra
from muslin.fetching.address import Address, parse_address
from muslin.fetching.address_cells import address_columns, addresses_in_rows
from muslin.fetching.fetch_journal import JOURNAL, FetchRecord, open_journal
from muslin.fetching.schedule import RATE
from muslin.messages import MAX_EXAMPLES
from muslin.storage.local_path import check_local
from muslin.storage.outputs import Output

PRODUCTS, FAILED = "products", "failed.csv"
"""The tables in the folder: the export with the photos, whose suffix is the export's, and what failed."""

PHOTO_COLUMN = AddedColumn("photo", "list")


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch.

    Attributes:
        columns: with addresses; by default those that hold addresses of photos.
        rate: requests to one host in a second.
        again: also ask for addresses whose server said before that there is no photo.
        update: also ask for photos that are there, in case they have changed.
        overwrite: replace tables in the folder that muslin did not write.
    """

    columns: Sequence[str] = ()
    rate: float = RATE
    again: bool = False
    update: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Mention:
    """Where an address stands in the table: the number of its first row, and how many rows have it."""

    row: int
    rows: int = 1


@dataclass(frozen=True)
class FetchPlan:
    """What is to be fetched.

    Attributes:
        folder: of the photos and tables.
        column: the one that is added.
        columns: those with the addresses.
        addresses: by the text in the table the address, or why it is none.
        hosts: per host, with its port where that is unusual, the photos to ask for, the most first.
        to_ask: the addresses that are asked for once their hosts are confirmed, by their URLs.
    """

    table: TableFile
    folder: Path
    options: FetchOptions
    column: AddedColumn
    columns: tuple[str, ...]
    addresses: Mapping[str, Address | FetchError]
    mentions: Mapping[str, Mention]
    hosts: Mapping[str, int]
    to_ask: Mapping[str, Address]
    notes: tuple[str, ...]

    def outputs(self, record: FetchRecord) -> tuple[Output, Output]:
        """The table of products and that of failures, which replace what muslin wrote there before.

        Raises:
            StorageError: another file is there, or it is the export itself.
        """
        suffixes = [suffix.lower() for suffix in reversed(self.table.path.suffixes)]
        suffix = next((suffix for suffix in suffixes if suffix in self.table.suffixes), self.table.suffixes[0])
        found = []
        for name in (PRODUCTS + suffix, FAILED):
            path = self.folder / name
            is_own = path.is_file() and _digest(path) in record.tables.get(name, ())
            output = Output(path, self.options.overwrite or is_own)
            output.check([self.table.path])
            found.append(output)
        return found[0], found[1]


def plan_fetch(data: str | Path, folder: str | Path, options: FetchOptions | None = None) -> FetchPlan:
    """Read the table `data`, and find out what is to be fetched for it. Nothing is sent, and nothing written.

    Raises:
        DataError: the table cannot be read, or has no address that can be fetched.
        StorageError: tables in `folder` are not muslin's, or the folder is in use.
        MissingPartError: the extra `fetch` is not installed.
    """
    require_extra("fetch")
    options = options or FetchOptions()
    path, folder = Path(data), Path(folder)
    check_local(data, folder)
    table = open_table(path)
    columns = address_columns(table, options.columns)
    addresses, mentions = _addresses(table, columns)
    (column,), renamed = free_names(table, [PHOTO_COLUMN])
    record = FetchRecord()
    if (folder / JOURNAL).exists():
        with open_journal(folder) as journal:
            record = journal.record
    to_ask = addresses_to_ask(addresses, record, folder, options)
    hosts = dict(Counter(address.site for address in to_ask.values()).most_common())
    notes = (*table.fixes, *renamed)
    plan = FetchPlan(table, folder, options, column, tuple(columns), addresses, mentions, hosts, to_ask, notes)
    output, _ = plan.outputs(record)
    return replace(plan, table=open_table(path, output.path))


def addresses_to_ask(
    addresses: Mapping[str, Address | FetchError], record: FetchRecord, folder: Path, options: FetchOptions
) -> dict[str, Address]:
    """By their URLs the addresses of which no photo is there, or all with `options.update`."""
    found: dict[str, Address] = {}
    for address in addresses.values():
        if isinstance(address, FetchError) or address.url in found:
            continue
        url = address.url
        photo = record.photos.get(url)
        if photo and not _is_there(folder / photo.name, photo.size):
            record.photos.pop(url)
        if (options.update and url in record.photos) or not record.is_answered(url, again=options.again):
            found[url] = address
    return found


def _addresses(table: TableFile, columns: Sequence[str]) -> tuple[dict[str, Address | FetchError], dict[str, Mention]]:
    addresses: dict[str, Address | FetchError] = {}
    mentions: dict[str, Mention] = {}
    for number, texts in addresses_in_rows(table, columns):
        for text in texts:
            if text in mentions:
                mentions[text] = Mention(mentions[text].row, mentions[text].rows + 1)
                continue
            mentions[text] = Mention(number)
            try:
                addresses[text] = parse_address(text)
            except FetchError as error:
                addresses[text] = error
    if not any(isinstance(address, Address) for address in addresses.values()):
        first = next(iter(mentions.values()))
        refused = {error.code: error.message for error in addresses.values() if isinstance(error, FetchError)}
        raise DataError(
            "addresses_refused", path=str(table.path), columns=list(columns), count=len(addresses), row=first.row,
            reasons=list(refused.values())[:MAX_EXAMPLES],
        )  # fmt: skip
    return addresses, mentions


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
