"""Checkpoint of a training run: weights, optimizers' state and progress in one safetensors file. No pickle."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from muslin.errors import TrainingError
from muslin.learn.modules import Net
from muslin.learn.optimizers import Optimizer
from muslin.library_errors import reason_of
from muslin.storage.atomic import write_atomically


@dataclass(frozen=True)
class Checkpoint:
    """A run's checkpoint: its file, and a digest of what run.json says, so that no edit of that makes another model."""

    path: Path
    run: str = ""


def start_checkpoint(checkpoint: Checkpoint) -> None:
    """Write the checkpoint of a run before its first step, which holds the digest of its record alone.

    Raises:
        StorageError: the disk is full or the folder is not writable.
    """
    write_atomically(checkpoint.path, save({}, metadata={"run": checkpoint.run}))


def has_steps(checkpoint: Checkpoint) -> bool:
    """Whether there is a checkpoint of at least one training step.

    Raises:
        TrainingError: the file is not a checkpoint, or one of a run with another record.
    """
    if not checkpoint.path.exists():
        return False
    with _opened(checkpoint.path) as file:
        metadata = file.metadata() or {}
    if metadata.get("run") != checkpoint.run:
        raise TrainingError("checkpoint_settings", path=str(checkpoint.path))
    return "state" in metadata


def save_checkpoint(checkpoint: Checkpoint, net: Net, optimizers: list[Optimizer], state: dict[str, Any]) -> None:
    """Write what training needs to resume; `state` holds plain JSON values.

    Raises:
        StorageError: the disk is full or the folder is not writable; the previous checkpoint is untouched.
    """
    tensors = {f"net/{name}": value for name, value in net.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, weight in enumerate(optimizer.weights):
            values = optimizer.state[weight]
            tensors |= {f"optimizer/{number}/{index}/{name}": torch.as_tensor(v) for name, v in values.items()}
    # clone: safetensors refuses tensors that share memory, and stores only plain row-major ones
    plain = {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    metadata = {"run": checkpoint.run, "state": json.dumps(state)}
    metadata["sha256"] = _digest(plain, metadata["run"], metadata["state"])
    write_atomically(checkpoint.path, save(plain, metadata=metadata))


def load_checkpoint(checkpoint: Checkpoint, net: Net, optimizers: list[Optimizer]) -> dict[str, Any]:
    """Restore `net` and `optimizers` from the file; returns the `state` given to `save_checkpoint`.

    Raises:
        TrainingError: the file is not a checkpoint, is damaged, or belongs to another network.
    """
    with _opened(checkpoint.path) as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        if _digest(tensors, metadata["run"], metadata["state"]) != metadata["sha256"]:
            raise ValueError("checksum mismatch")
        state: dict[str, Any] = json.loads(metadata["state"])
        net.load_state_dict({name.removeprefix("net/"): v for name, v in tensors.items() if name.startswith("net/")})
        for number, optimizer in enumerate(optimizers):
            weights = optimizer.weights
            for name, value in tensors.items():
                if name.startswith(f"optimizer/{number}/"):
                    _, _, index, key = name.split("/")
                    weight = weights[int(index)]
                    # fused optimizers walk through memory: the state needs the weight's memory layout
                    laid_out = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
                    optimizer.state[weight][key] = laid_out
    return state


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The opened safetensors file; any error about it becomes a TrainingError."""
    try:
        with _unicode_path(path) as unicode_path, safe_open(unicode_path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, LookupError, ValueError, RuntimeError, TypeError) as error:
        raise TrainingError("checkpoint_invalid", path=str(path), reason=reason_of(error)) from error


@contextmanager
def _unicode_path(path: Path) -> Iterator[Path]:
    """`path`, or a link to it where it is not UTF-8, because safetensors opens no such path."""
    if os.fsencode(path).decode("utf-8", "replace") == str(path):
        yield path
        return
    with TemporaryDirectory() as folder:
        link = Path(folder, "checkpoint.safetensors")
        link.symlink_to(path.absolute())
        yield link


def _digest(tensors: dict[str, torch.Tensor], run: str, state: str) -> str:
    return hashlib.sha256(save(tensors, metadata={"": f"{run} {state}"})).hexdigest()  # keys would have no order
