"""A new review store with its first model: the work of `muslin review init`."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from muslin.data.registry import DATASETS
from muslin.errors import DataError, MuslinError
from muslin.evaluation.confidence_sequence import inspection_size
from muslin.evaluation.selective import check_guarantee
from muslin.messages import Log, Message, no_log, plain
from muslin.models.predictor import MODEL_FILE, Predictor
from muslin.review.store import Store
from muslin.review.values import StoreSettings
from muslin.storage.local_path import check_local
from muslin.workflows.run_folder import Run, absolute_source


@dataclass(frozen=True)
class InitOptions:
    """How to make a review store.

    Attributes:
        data: what the model was trained on; by default what the run beside it says.
        read_options: how to read `data`, as `muslin.read` takes it.
        spot_checks: share of the products in the random sample, 0 to 1.
        seed: of the random sample.
        precision: target of the accepted predictions; by default one that the model can guarantee.
        guarantee: `overall` or `per-class`.
    """

    data: str | Path | None = None
    read_options: Mapping[str, Any] = field(default_factory=dict)
    spot_checks: float = 0.05
    seed: int = 0
    precision: float | None = None
    guarantee: str = "overall"


@dataclass(frozen=True)
class MadeStore:
    """A review store that was made.

    Attributes:
        path: of the store, or its URL without a password.
        model: the digest of the first model.
        precision: target of the accepted predictions.
        data: what the model was trained on; None where it is not known.
        inspection: random accepted products that confirm the precision with 95 % confidence, if they are looked at once
            and all are correct; None where no number does.
    """

    path: str
    model: str
    precision: float
    guarantee: str
    spot_checks: float
    data: str | None
    inspection: int | None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {name: plain(value) for name, value in asdict(self).items()}


def init(
    place: str, model: str | Path, options: InitOptions | None = None, *, who: str, log: Log = no_log
) -> MadeStore:
    """Make a review store.

    Args:
        place: a path of a new SQLite file, or a URL of PostgreSQL.
        model: a .muslin file or the folder of a run.

    Raises:
        BundleError: the model cannot be opened.
        DataError: an option is out of range, `data` does not exist, or `place` is a URL of another kind.
        StorageError: there is a store, or the place cannot be written.
    """
    options = options or InitOptions()
    check_guarantee(options.guarantee)
    check_local(model, options.data)
    predictor = Predictor.open(model, graph="float32")
    assert predictor.path is not None
    chosen = predictor.rules.choose(options.precision, options.guarantee)
    source = _source(predictor.path, options)
    if source is not None:
        source |= _edits(predictor.path)
    for note in (*chosen.notes, *([] if source else [Message("review_data_unknown")])):
        log(note)
    settings = StoreSettings(options.seed, options.spot_checks, chosen.precision, options.guarantee, source)
    with Store.create(place, predictor.path, who=who, settings=settings) as store:
        data = None if source is None else str(source["data"])
        return MadeStore(
            store.name, store.active.digest, chosen.precision, options.guarantee, options.spot_checks, data,
            inspection_size(chosen.precision),
        )  # fmt: skip


def _source(model: Path, options: InitOptions) -> dict[str, Any] | None:
    """What the model was trained on: `data`, `test` and `read_options`; None where it is not known."""
    if options.data is not None:
        if str(options.data) not in DATASETS and not os.path.exists(options.data):
            raise DataError("path_missing", path=str(options.data))
        given = {"data": str(options.data), "test": None, "read_options": dict(options.read_options)}
        return absolute_source(given)
    for name in options.read_options:
        raise DataError("option_needs", option=f"--{name.replace('_', '-')}", needed="--data")
    if model.name == MODEL_FILE:
        with suppress(MuslinError):
            source = Run(model.parent).record["source"]
            return source and dict(source)
    return None


def _edits(model: Path) -> dict[str, str | None]:
    """The run's own copies of `exclude` and `corrections`, which no one edits; empty where there is no run."""
    if model.name == MODEL_FILE:
        run = Run(model.parent)
        with suppress(MuslinError):
            record, copies = run.record, {"exclude": run.excluded, "corrections": run.corrections}
            return {name: str(path.absolute()) if record[name] else None for name, path in copies.items()}
    return {}
