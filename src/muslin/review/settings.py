"""What a call needs to know of a store first: its settings, and the target that it names."""

from types import NoneType
from typing import Any

from sqlalchemy import Connection, func, select, update

from muslin.data.dataset import Target
from muslin.errors import DataError, unknown
from muslin.evaluation.selective import GUARANTEES, MIN_PRECISION, check_guarantee, check_precision_target
from muslin.messages import Message
from muslin.review.clock import now_text
from muslin.review.model_rows import active_digest, read_model
from muslin.review.schema import DECISIONS, INFO, DamagedValueError
from muslin.review.values import StoreInfo, StoreSettings

_KINDS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "seed": (int,),
    "spot_checks": (int, float),
    "precision": (int, float, NoneType),
    "guarantee": (str,),
    "data": (object,),
    "created_at": (str,),
    "who": (str,),
}
"""A row for each field of `StoreInfo`."""


def read_info(connection: Connection) -> StoreInfo:
    """The settings."""
    values: dict[str, Any] = {row.key: row.value for row in connection.execute(select(INFO))}
    for name, kinds in _KINDS.items():
        if name not in values or not isinstance(values[name], kinds) or not _makes_sense(name, values[name]):
            raise DamagedValueError(f"info.{name}")
    return StoreInfo(**{name: values[name] for name in StoreInfo.__dataclass_fields__})


def _makes_sense(name: str, value: Any) -> bool:
    """Whether a value of the right type is in its range, because anybody may have written a store."""
    if isinstance(value, bool):
        return name == "data"
    match name:
        case "spot_checks":
            return 0 <= float(value) <= 1
        case "precision":
            return value is None or MIN_PRECISION <= float(value) < 1
        case "guarantee":
            return value in GUARANTEES
    return True


def find_target(connection: Connection, name: str) -> Target:
    """The active model's target of this name.

    Raises:
        DataError: it has none.
    """
    targets = read_model(connection, active_digest(connection)).targets
    for target in targets:
        if target.name == name:
            return target
    raise DataError("review_target_unknown", **unknown(name, [target.name for target in targets]))


def check_settings(settings: StoreSettings) -> None:
    """
    Raises:
        DataError: a setting is out of its range.
    """
    check_share(settings.spot_checks)
    check_guarantee(settings.guarantee)
    if settings.precision is not None:
        check_precision_target(settings.precision)


def check_who(who: str) -> str:
    """`who`, the name of a person.

    Raises:
        DataError: it is blank.
    """
    if not who.strip():
        raise DataError("review_who_empty")
    return who


def check_share(share: float) -> None:
    """
    Raises:
        DataError: a share of spot checks that is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise DataError("spot_checks_range", share=share)


def raise_share(connection: Connection, share: float) -> None:
    """Make the random sample larger.

    Raises:
        DataError: the share is not between 0 and 1, or is lower than before.
    """
    check_share(share)
    if share < (old := read_info(connection).spot_checks):
        raise DataError("spot_checks_lowered", share=share, old=old)
    connection.execute(update(INFO).where(INFO.c.key == "spot_checks").values(value=share))


def clock_notes(connection: Connection, name: str) -> list[Message]:
    """A note if the clock shows a time before that of a decision, so that it was wrong then or is now."""
    last, now = connection.scalar(select(func.max(DECISIONS.c.at))), now_text()
    return [Message("review_clock_behind", path=name, last=last, now=now)] if last is not None and last > now else []
