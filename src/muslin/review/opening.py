"""A store's database: made with its first model, or opened."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert

from muslin.errors import DataError, StorageError
from muslin.review.clock import now_text
from muslin.review.database import Database
from muslin.review.migrations import MIGRATIONS, create_tables, migrate, version_of
from muslin.review.model_rows import add_model, add_promotion
from muslin.review.schema import INFO
from muslin.review.settings import check_settings
from muslin.review.values import StoreSettings


def create_database(place: str | Path, model: Path, who: str, settings: StoreSettings) -> Database:
    """Make the tables with the settings and the first model: all of it or nothing.

    Raises:
        DataError: a setting out of range.
        StorageError: there is a store, or another file or table.
        BundleError: the model cannot be opened.
    """
    check_settings(settings)
    values = {**vars(settings), "id": secrets.token_hex(8), "created_at": now_text(), "who": who}
    database = Database(place)
    if database.is_sqlite and "\0" in database.name:  # which no file's name has
        raise StorageError("write_failed", path=database.name, reason="NUL")
    with _closed_after_error(database):
        try:
            database.create_schema()
            with database.writing() as connection:
                create_tables(connection, database.name)
                connection.execute(insert(INFO), [{"key": key, "value": value} for key, value in values.items()])
                add_promotion(connection, add_model(connection, model, {}), "init", who, {})
            database.write_ahead()
        except DataError as error:
            if error.code == "not_a_store":  # a file that is no database
                raise StorageError("already_exists", path=database.name) from error
            raise
    return database


def open_database(place: str | Path) -> Database:
    """Open a store's database, and bring its tables to this muslin's version, unless they can only be read.

    Raises:
        DataError: no store is there, or one of a later muslin.
    """
    database = Database(place)
    with _closed_after_error(database):
        if database.is_sqlite and not os.path.isfile(database.path):
            raise DataError("store_missing", path=database.name)
        with database.reading() as connection:
            version = version_of(connection, database.name)
        if version < len(MIGRATIONS):
            _migrate_if_writable(database)
        database.write_ahead()
    return database


def _migrate_if_writable(database: Database) -> None:
    """Migrate, except where the database may only be read: this muslin reads the tables of every version."""
    try:
        with database.writing() as connection:
            migrate(connection, database.name)
    except StorageError as error:
        if error.code != "write_denied":
            raise


@contextmanager
def _closed_after_error(database: Database) -> Iterator[None]:
    try:
        yield
    except BaseException:
        database.close()
        raise
