"""The models that a server has, by their names."""

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from safetensors.numpy import save

from muslin.errors import MuslinError, unknown
from muslin.machine import return_freed_memory
from muslin.models.bundle import open_bundle
from muslin.models.prediction_digest import prediction_digest
from muslin.models.predictor import Predictor
from muslin.server.batcher import Batcher
from muslin.server.settings import Settings

FileStamp = tuple[int, ...]


def file_stamp(path: Path) -> FileStamp:
    """What differs between two contents of a file: its place on the disk, its size and its time; () without a file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model that is ready: its golden images have the sealed probabilities.

    A request takes one, and keeps it until it is answered.

    Attributes:
        path: the file that it was read from.
        stamp: tells the content of that file from later ones.
        digest: of everything that its predictions depend on; that of `muslin inspect`.
    """

    name: str
    path: Path
    stamp: FileStamp
    digest: str
    predictor: Predictor
    batcher: Batcher


def open_model(name: str, path: Path, settings: Settings, candidate: Path | None = None) -> ServedModel:
    """Read a .muslin file, and check its golden images.

    Args:
        candidate: the file to read, where it is to be renamed to `path`.

    Raises:
        BundleError: see `muslin.models.predictor.Predictor.open`; errors call the file `name`.
        DataError: the precision or the guarantee of `settings` is out of range.
    """
    stamp = file_stamp(candidate or path)  # before its content, so that a change in between is seen later
    bundle = open_bundle(candidate or path, name)
    without_weights = replace(bundle, weights=save({}))  # which training needs; a tenth of a worker's memory
    predictor = Predictor.of(without_weights, settings.threads, name)
    predictor.rules.for_predictions(settings.precision, settings.guarantee)
    max_batch = min(settings.max_batch or predictor.batch_size, predictor.max_batch_size)
    run = partial(predictor.run_graph, batch_size=max_batch)
    batcher = Batcher(run, max_batch, settings.max_wait_ms / 1e3)
    model = ServedModel(name, path, stamp, prediction_digest(bundle), predictor, batcher)
    return_freed_memory()
    weakref.finalize(model, batcher.close).atexit = False  # when it is replaced, and no request has it any more
    return model


class ModelTable(Mapping[str, ServedModel]):
    """The models of a server by their names, in order; each can be replaced while requests use it."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self._models = dict(models)

    def __getitem__(self, name: str) -> ServedModel:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def get_on(self, max_run_s: float) -> bool:
        """Whether no run of a model lasts longer than that; it would have hung, perhaps in a library."""
        return all(model.batcher.busy_s() < max_run_s for model in self._models.values())

    def put(self, model: ServedModel) -> None:
        """Serve a model in place of the one of its name, which ends with the last request that has taken it."""
        self._models[model.name] = model

    def find(self, name: str | None) -> ServedModel:
        """The model called `name`; the only one, where it is None.

        Raises:
            MuslinError: there is no such model, or there are several and none is named.
        """
        if name is None:
            if len(self._models) != 1:
                raise MuslinError("model_not_named", choices=list(self._models))
            return next(iter(self._models.values()))
        if name not in self._models:
            raise MuslinError("model_unknown", **unknown(name, self._models))
        return self._models[name]
