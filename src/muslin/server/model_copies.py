"""Copies of the models that the workers of a server have, for a worker that starts while a model's file is damaged."""

import filecmp
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from muslin.errors import BundleError
from muslin.messages import Log, Message
from muslin.server.models import ModelTable, ServedModel, file_stamp, open_model
from muslin.server.settings import Settings


class ModelCopies:
    """The newest good file of each model.

    Args:
        folder: is made; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def keep(self, model: ServedModel) -> None:
        """Copy a model's file in place of an older copy. Where it has changed meanwhile, or the disk is full, nothing
        is kept: then a worker that starts later depends on the file.
        """
        if self._folder is None:
            return
        folder = self._folder / model.name
        copy, new = folder / f"{model.digest}.muslin", folder / f".{os.getpid()}.new"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if copy.exists():
                return
            shutil.copyfile(model.path, new)
            if file_stamp(model.path) == model.stamp:
                os.replace(new, copy)
                for other in folder.glob("*.muslin"):
                    if other != copy:
                        other.unlink(missing_ok=True)
        new.unlink(missing_ok=True)

    def have(self, name: str, path: Path) -> bool:
        """Whether a file has the content of the newest good file of this model."""
        copy = self._find(name)
        try:
            return copy is not None and filecmp.cmp(copy, path, shallow=False)
        except OSError:  # one of them is gone
            return False

    def open(self, files: Mapping[str, Path], settings: Settings, log: Log) -> ModelTable:
        """The models of files by their names; where a file is damaged, the model that the other workers have.

        Raises:
            BundleError: as of `open_model`, and there is no copy.
            DataError: as of `open_model`.
        """
        return ModelTable({name: self._open(name, path, settings, log) for name, path in files.items()})

    def _open(self, name: str, path: Path, settings: Settings, log: Log) -> ServedModel:
        try:
            model = open_model(name, path, settings)
        except BundleError as error:
            copy = self._find(name)
            if copy is None:
                raise
            model = open_model(name, path, settings, copy)  # with the copy's stamp: SIGHUP reads the file again
            log(Message("model_kept", name=name, digest=model.digest, reason=error.message))
        self.keep(model)
        return model

    def _find(self, name: str) -> Path | None:
        if self._folder is None:
            return None
        return next((self._folder / name).glob("*.muslin"), None)
