"""The connection to a store's database, SQLite or PostgreSQL: snapshots for reading, and one writer at a time.

SQLite: write-ahead log, `synchronous=FULL` (each commit is on disk when it returns), `BEGIN IMMEDIATE` for writers.
PostgreSQL: a schema of its own in the database, `synchronous_commit=on`, an advisory lock for writers, so that numbers
of rows are in the order in which they count. Source: sqlite.org/pragma.html, sqlite.org/lang_transaction.html;
postgresql.org/docs, "Explicit Locking".
"""

import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from muslin.errors import DataError, MuslinError, StorageError
from muslin.library_errors import reason_of
from muslin.review.schema import DamagedValueError, TooLongError
from muslin.storage.local_path import url_of
from muslin.strict_json import json_text

BUSY_S = 10.0
"""How long a reader or writer waits for another process."""

MIN_FREE_BYTES = 2**18
"""Less room on its disk explains why SQLite cannot open or write a database."""

DEFAULT_SCHEMA = "muslin_review"
"""Of PostgreSQL; `?schema=NAME` at the end of the URL names another."""

_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY: "store_locked",
    sqlite3.SQLITE_LOCKED: "store_locked",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_READONLY: "write_denied",
    sqlite3.SQLITE_PERM: "write_denied",
    sqlite3.SQLITE_CANTOPEN: "write_failed",
    sqlite3.SQLITE_IOERR: "write_failed",
}
_POSTGRESQL_CODES = {"53100": "disk_full", "55P03": "store_locked", "42501": "write_denied", "25006": "write_denied"}
_UNREACHABLE = re.compile("08...|57P0.|53300|28...|3D000")
"""PostgreSQL's codes of connections that it broke or refused; appendix A of its manual."""


class Database:
    """An open database.

    Attributes:
        name: what messages call it: the path, or the URL without a password.
        is_sqlite: whether it is a file on this computer.
        is_read_only: whether it is a file in a folder that cannot be written, so that it can only be read.
    """

    is_read_only = False

    def __init__(self, place: str | Path) -> None:
        """
        Raises:
            DataError: an empty text, or a URL of another kind than PostgreSQL's.
        """
        if not str(place):
            raise DataError("store_name_empty")
        url = None if isinstance(place, Path) else url_of(place)
        self.is_sqlite = url is None
        if url is None:
            self.path = Path(place)
            self.name = str(place)
            self.is_read_only = _is_read_only(self.path)
            self._engine = _sqlite_engine(self.path, self.is_read_only)
        else:
            parsed, self._schema = _parse(url)
            self.name = _without_password(parsed).replace("+psycopg", "", 1)
            self._engine = _postgresql_engine(parsed, self._schema)
        self._writer = self._engine.execution_options(is_writer=True)
        snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reader = self._engine.execution_options(**snapshot)
        self._one_writer = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database.

        Raises:
            StorageError: the database is locked, cannot be reached or read.
            DataError: it is damaged.
        """
        with database_errors(self.name), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The one connection that may write. What it wrote is on disk when the block ends, or not there at all.

        Raises:
            StorageError: the database is locked, full, cannot be reached or written.
            DataError: it is damaged.
        """
        with self._one_writer, database_errors(self.name), self._writer.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SET LOCAL lock_timeout = {round(1000 * BUSY_S)}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": self._schema})
            yield connection

    def create_schema(self) -> None:
        """Make the schema of PostgreSQL in which the tables are."""
        if not self.is_sqlite:
            with self.writing() as connection:
                found = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
                if connection.scalar(found, {"name": self._schema}) is None:  # who may not make one may use it
                    connection.execute(text(f'CREATE SCHEMA "{self._schema}"'))

    def write_ahead(self) -> None:
        """Let the file of a store have a write-ahead log, so that readers and the writer do not wait for each other."""
        if self.is_sqlite and not self.is_read_only:
            with database_errors(self.name), closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode=WAL")

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Turn the database's refusals into errors that say what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _translated(error.orig or error, name) from error
    except sqlite3.Error as error:  # while connecting
        raise _translated(error, name) from error
    except OverflowError as error:  # SQLite's, of a number above 64 bits
        raise DataError("review_number_range") from error
    except TooLongError as error:
        raise DataError("review_text_too_long", text=error.start, size=error.size, limit=error.limit) from error
    except DamagedValueError as error:
        raise DataError("store_damaged", path=name, reason=error.place) from error
    except (JSONDecodeError, UnicodeDecodeError) as error:  # also what muslin did not write
        raise DataError("store_damaged", path=name, reason=reason_of(error)) from error
    except PoolTimeoutError as error:
        raise StorageError("store_locked", path=name) from error


def _translated(error: BaseException, name: str) -> MuslinError:
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    number = getattr(error, "sqlite_errorcode", None)
    if number is not None:
        number &= 0xFF  # the rest says in which step
        if number == sqlite3.SQLITE_NOTADB:
            return DataError("not_a_store", path=name)
        if number == sqlite3.SQLITE_CORRUPT:
            return DataError("store_damaged", path=name, reason=reason)
        if number == sqlite3.SQLITE_ERROR and reason.startswith("no such "):  # table or column
            return DataError("store_damaged", path=name, reason=reason)
        code = _SQLITE_CODES.get(number, "store_failed")
        if code == "write_failed" and _is_full(Path(name)):  # no room for the files beside the database
            code = "disk_full"
        return StorageError(code, path=name, reason=reason)
    if isinstance(error, sqlite3.OperationalError):  # Python's own, of a text that is not UTF-8
        return DataError("store_damaged", path=name, reason=reason_of(error))
    state = getattr(error, "sqlstate", None)
    if state == "22003":  # a number above 64 bits
        return DataError("review_number_range")
    if state in ("42P01", "42703"):  # no such table or column
        return DataError("store_damaged", path=name, reason=reason)
    is_lost = state is None and type(error).__name__ in ("OperationalError", "InterfaceError")
    if is_lost or _UNREACHABLE.fullmatch(state or ""):
        return StorageError("store_unreachable", path=name, reason=reason)
    return StorageError(_POSTGRESQL_CODES.get(state or "", "store_failed"), path=name, reason=reason)


def _is_full(path: Path) -> bool:
    """Whether the disk has less room than SQLite needs to open a database."""
    try:
        return shutil.disk_usage(path.absolute().parent).free < MIN_FREE_BYTES
    except OSError:
        return False


def _is_read_only(path: Path) -> bool:
    """Whether the folder of an existing file cannot be written, and the file has no write-ahead log that belongs to it.

    SQLite needs a log beside a database even to read it, unless it is told that nobody writes it.
    """
    try:
        return path.is_file() and not os.access(path.absolute().parent, os.W_OK) and not Path(f"{path}-wal").exists()
    except (OSError, ValueError):  # no name of a file
        return False


def _sqlite_engine(path: Path, is_read_only: bool) -> Engine:
    url = URL.create("sqlite", database=str(path))
    if is_read_only:
        url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"immutable": "1", "uri": "true"})
    engine = create_engine(
        url, json_serializer=json_text, connect_args={"timeout": BUSY_S, "check_same_thread": False}, pool_size=8
    )

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # so that `begin` below decides how a transaction begins
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "cache_size=-16384"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA trusted_schema=OFF")  # a file that somebody sent calls no functions from its views

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_writer = connection.get_execution_options().get("is_writer")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    return engine


def _parse(url: str) -> tuple[URL, str]:
    """A URL of PostgreSQL for psycopg, and the schema that it names."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if (
        parsed is None or "@" in f"{parsed.host}{parsed.database}{parsed.query}"
    ):  # a password with @, which is not shown
        raise DataError("store_url_unreadable", path=f"{url.partition('://')[0]}://…") from None
    if parsed.drivername not in _POSTGRESQL:
        raise DataError("store_url", path=_without_password(parsed))
    schema = parsed.query.get("schema", DEFAULT_SCHEMA)
    if not isinstance(schema, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", schema):
        raise DataError("store_url", path=_without_password(parsed))
    return parsed.set(drivername="postgresql+psycopg").difference_update_query(["schema"]), schema


def _without_password(url: URL) -> str:
    """As messages show it: without its options too, because `password` can be one of them."""
    return url.set(query={}).render_as_string(hide_password=True)


def _postgresql_engine(url: URL, schema: str) -> Engine:
    arguments = {"connect_timeout": max(round(BUSY_S), 1), "client_encoding": "utf8"}
    engine = create_engine(url, json_serializer=json_text, pool_pre_ping=True, pool_size=8, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f'SET search_path TO "{schema}"; SET synchronous_commit = on')
        connection.commit()

    return engine
