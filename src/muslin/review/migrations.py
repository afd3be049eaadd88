"""The numbered steps that bring a store's tables to the version of this muslin.

A step is a row of MIGRATIONS and is never changed after a release. A store is brought forward as a whole or not at all,
because SQLite and PostgreSQL both undo changes of tables with the transaction.
"""

from collections.abc import Callable

from sqlalchemy import Column, Connection, MetaData, Table, inspect, select, text

from muslin.errors import DataError, StorageError
from muslin.review.schema import DECISIONS, INFO, METADATA

_CURRENT_DECISIONS = """
CREATE VIEW current_decisions AS SELECT d.* FROM decisions d
WHERE d.kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id)
AND NOT EXISTS (
    SELECT 1 FROM decisions later
    WHERE later.product = d.product AND later.target = d.target AND later.id > d.id AND later.kind <> 'undo'
    AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = later.id)
)
"""

_CURRENT_OF_EACH_FINGERPRINT = """
CREATE VIEW current_decisions AS SELECT d.* FROM decisions d
WHERE d.kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id)
AND NOT EXISTS (
    SELECT 1 FROM decisions later
    WHERE later.product = d.product AND later.target = d.target AND later.id > d.id AND later.kind <> 'undo'
    AND later.fingerprint = d.fingerprint
    AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = later.id)
)
"""

_COUNT_AGAIN = """
UPDATE items SET decided = (
    SELECT c.id FROM current_decisions c JOIN products p ON p.id = c.product
    WHERE c.product = items.product AND c.target = items.target AND c.fingerprint = p.fingerprint
)
WHERE decided IS NULL AND product IN (SELECT product FROM decisions)
"""

CURRENT = Table("current_decisions", MetaData(), *(Column(c.name, c.type) for c in DECISIONS.c))
"""The view: of each target of each product, and of each fingerprint with which it was shown, the last decision that
nobody has undone. In a store of version 1 that may only be read, it has one row for all fingerprints."""


def _first_tables(connection: Connection) -> None:
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(text(_CURRENT_DECISIONS))


def _current_of_each_fingerprint(connection: Connection) -> None:
    """Until then a late decision on former photos took away the decision on the present ones."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("DROP VIEW current_decisions"))
        connection.execute(text(_CURRENT_OF_EACH_FINGERPRINT))
    else:  # which keeps who may read it
        connection.execute(text(_CURRENT_OF_EACH_FINGERPRINT.replace("CREATE", "CREATE OR REPLACE")))
    connection.execute(text(_COUNT_AGAIN))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first_tables, _current_of_each_fingerprint)


def create_tables(connection: Connection, name: str) -> None:
    """Make the tables in an empty database.

    Raises:
        StorageError: the database has tables.
    """
    if inspect(connection).get_table_names():
        raise StorageError("already_exists", path=name)
    for step in MIGRATIONS:
        step(connection)
    connection.execute(INFO.insert().values(key="version", value=len(MIGRATIONS)))


def migrate(connection: Connection, name: str) -> None:
    """Bring the tables to this muslin's version.

    Raises:
        DataError: the database is no review store, or one of a later muslin.
    """
    version = version_of(connection, name)
    for step in MIGRATIONS[version:]:
        step(connection)
    if version < len(MIGRATIONS):
        connection.execute(INFO.update().where(INFO.c.key == "version").values(value=len(MIGRATIONS)))


def version_of(connection: Connection, name: str) -> int:
    """The version of a store's tables.

    Raises:
        DataError: the database is no review store, or one of a later muslin.
    """
    found = None
    inspected = inspect(connection)
    is_likely = {"info", "models", "decisions"} <= set(inspected.get_table_names())
    if is_likely and {column["name"] for column in inspected.get_columns("info")} == set(INFO.c.keys()):
        found = connection.scalar(select(INFO.c.value).where(INFO.c.key == "version"))
    if not isinstance(found, int) or found < 1:
        raise DataError("not_a_store", path=name)
    if found > len(MIGRATIONS):
        raise DataError("store_from_future", path=name, version=found, known=len(MIGRATIONS))
    return found
