"""Models that are replaced while a server runs: by a request, or by a file that changed.

A model is first opened and checked in a process with limits, before anything is replaced. Then the file of a request's
model takes the place of the old one, and each worker reads it; so the file and the server agree, and a restart serves
the same.
"""

import asyncio
import hashlib
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from muslin.errors import BundleError, DataError, StorageError
from muslin.messages import Log, Message
from muslin.models.bundle import open_bundle
from muslin.models.first_run import first_run
from muslin.models.prediction_digest import prediction_digest
from muslin.server.metrics import Metrics
from muslin.server.model_copies import ModelCopies
from muslin.server.models import ModelTable, ServedModel, file_stamp, open_model
from muslin.server.processes import POLL_S, WorkerFolder
from muslin.server.settings import Settings
from muslin.storage.atomic import atomic_file
from muslin.storage.locks import locked_folder

FOLLOW_S = 60.0
"""Seconds for the other workers to read a new model. One that takes longer is stopped, and a new one reads it."""

DIGEST_LETTERS = 16  # in the name of an old model's file


class ModelUpdates:
    """Replaces the models of this process, and lets the other workers follow.

    Args:
        copies: get each model that is served from now on.
        folder: of the workers; None where this process is the only one.
        log: called with a sentence for each model that is replaced, or kept because its file is bad.
        metrics: learn of each model that is served from now on, and of files that are bad; None for shadows.
    """

    def __init__(
        self,
        settings: Settings,
        models: ModelTable,
        copies: ModelCopies,
        folder: WorkerFolder | None,
        log: Log,
        metrics: Metrics | None = None,
    ) -> None:
        self._settings, self._models, self._copies, self._folder, self._log = settings, models, copies, folder, log
        self._metrics = metrics
        self._lock, self._first_run = asyncio.Lock(), asyncio.Lock()
        self._reloads: set[asyncio.Task[None]] = set()

    def announce(self) -> None:
        """Tell the other workers which models this one serves."""
        if self._folder:
            digests = {model.name: model.digest for model in self._models.values()}
            self._folder.write_state({"ready": True, "models": digests})

    async def replace(self, name: str, content: BinaryIO) -> tuple[ServedModel, ServedModel]:
        """Serve another model under a name from now on, in all workers; its file is replaced.

        The old file stays beside it, with the model's digest in its name.

        Args:
            content: an open file on the disk, with a .muslin file's content. It is tried in a process with limits.

        Returns:
            The new model, and the one that it replaced.

        Raises:
            BundleError: it is not a model that can be used.
            StorageError: its file cannot be written, or another model is being put into the same folder.
        """
        with self._counting_refusals(name):
            await self._try(content, name)
        with locked_folder(self._models[name].path.parent, "model_being_replaced"):
            async with self._lock:
                old = self._models[name]
                with self._counting_refusals(name):
                    new = await asyncio.to_thread(self._write, old, content)
                self._take(new, old)
            if self._folder:
                await self._wait_for_workers(self._folder, new)
        return new, old

    def reload_soon(self) -> None:
        """Begin to read the files that changed."""
        task = asyncio.get_running_loop().create_task(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def reload(self) -> None:
        """Read the files that changed since they were read; where one is bad, its old model is kept."""
        async with self._lock:
            for old in list(self._models.values()):
                if file_stamp(old.path) != old.stamp:
                    try:
                        with self._counting_refusals(old.name):
                            if not self._copies.have(old.name, old.path):  # no other worker has tried it
                                await self._try(old.path, old.name)
                            new = await asyncio.to_thread(self._read, old)
                    except (BundleError, DataError) as error:
                        self._log(Message("model_kept", name=old.name, digest=old.digest, reason=error.message))
                    else:
                        self._take(new, old)

    def _take(self, new: ServedModel, old: ServedModel) -> None:
        self._models.put(new)
        if self._metrics:
            self._metrics.watch(new, old)
        self.announce()
        if new.digest == old.digest:
            self._log(Message("model_unchanged", name=new.name, digest=new.digest))
        else:
            self._log(Message("model_replaced", name=new.name, digest=new.digest, former=old.digest))

    async def _try(self, file: BinaryIO | Path, name: str) -> None:
        async with self._first_run:  # one at a time, because of its memory
            await asyncio.to_thread(first_run, file, name)

    @contextmanager
    def _counting_refusals(self, name: str) -> Iterator[None]:
        try:
            yield
        except (BundleError, DataError):
            if self._metrics:
                self._metrics.model_refused(name)
            raise

    def _read(self, old: ServedModel) -> ServedModel:
        new = open_model(old.name, old.path, self._settings)
        self._copies.keep(new)
        return new

    def _write(self, old: ServedModel, content: BinaryIO) -> ServedModel:
        opened: list[ServedModel] = []

        def check(temporary: Path) -> None:
            opened.append(open_model(old.name, old.path, self._settings, temporary))
            if old.path.is_file():  # it can be gone, and somebody can have put something else there
                with suppress(FileNotFoundError):
                    shutil.copymode(old.path, temporary)
                    keep_file(old)

        with atomic_file(old.path, check) as file:
            shutil.copyfileobj(content, file)
        self._copies.keep(opened[0])
        return opened[0]

    async def _wait_for_workers(self, folder: WorkerFolder, new: ServedModel) -> None:
        folder.ask_for_hangup()
        end = asyncio.get_running_loop().time() + FOLLOW_S
        while late := [p for p, state in folder.states().items() if not _serves(state.get("models"), new)]:
            if asyncio.get_running_loop().time() > end:
                for pid in late:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                return
            await asyncio.sleep(POLL_S)


def _serves(digests: dict[str, str] | None, model: ServedModel) -> bool:
    return digests is None or digests.get(model.name) == model.digest


def keep_file(model: ServedModel) -> None:
    """Give the file of a model a second name, with its digest, under which it stays when it is replaced.

    Raises:
        FileNotFoundError: it is gone.
        StorageError: the folder cannot be written.
    """
    path = model.path.resolve()
    digest = model.digest if file_stamp(path) == model.stamp else _digest_of(path)
    kept = model.path.with_name(f"{model.path.stem}.{digest[:DIGEST_LETTERS]}{model.path.suffix}")
    if kept.exists():
        return
    try:
        os.link(path, kept)
    except OSError:  # another file system, or one without hard links
        with path.open("rb") as source, atomic_file(kept) as target:
            shutil.copyfileobj(source, target)


def _digest_of(path: Path) -> str:
    try:
        return prediction_digest(open_bundle(path))
    except BundleError:  # someone put another file there
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def without_path(error: StorageError, name: str) -> StorageError:
    """The error for a client, who learns the name of a model, but no path of this machine."""
    return StorageError(error.code, error.hint_code, **error.params | {"path": name})
