"""Checkpoint of a training run: weights, optimizers' state and progress in one safetensors file. No pickle."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.optim import Optimizer

from muslin.errors import TrainingError
from muslin.learn.modules import Net
from muslin.storage.atomic import write_atomically


def save_checkpoint(path: Path, net: Net, optimizers: list[Optimizer], state: dict[str, Any]) -> None:
    """Write what training needs to resume; `state` holds plain JSON values.

    Raises:
        StorageError: the disk is full or the folder is not writable; the previous checkpoint is untouched.
    """
    tensors = {f"net/{name}": value for name, value in net.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{index}/{name}": torch.as_tensor(v) for name, v in values.items()}
    # clone: safetensors refuses tensors that share memory, and stores only plain row-major ones
    plain = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
        if value is not None
    }
    state_json = json.dumps(state)
    metadata = {"state": state_json, "sha256": _checkpoint_digest(plain, state_json)}
    write_atomically(path, save(plain, metadata=metadata))


def load_checkpoint(path: Path, net: Net, optimizers: list[Optimizer]) -> dict[str, Any]:
    """Restore `net` and `optimizers` from the file; returns the `state` given to `save_checkpoint`.

    Raises:
        TrainingError: the file is not a checkpoint, is damaged, or belongs to another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state_json, expected = file.metadata()["state"], file.metadata()["sha256"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        if _checkpoint_digest(tensors, state_json) != expected:
            raise ValueError("checksum mismatch")
        state: dict[str, Any] = json.loads(state_json)
        net.load_state_dict({name.removeprefix("net/"): v for name, v in tensors.items() if name.startswith("net/")})
        for number, optimizer in enumerate(optimizers):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            values: dict[int, dict[str, Any]] = {}
            for name, value in tensors.items():
                if name.startswith(f"optimizer/{number}/"):
                    _, _, index, key = name.split("/")
                    weight = weights[int(index)]
                    # fused optimizers walk through memory: the state needs the weight's memory layout
                    laid_out = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
                    values.setdefault(int(index), {})[key] = laid_out
            optimizer.load_state_dict({"state": values, "param_groups": optimizer.state_dict()["param_groups"]})
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise TrainingError("checkpoint_invalid", path=str(path), reason=str(error)) from error
    return state


def _checkpoint_digest(tensors: dict[str, torch.Tensor], state: str) -> str:
    return hashlib.sha256(save(tensors, metadata={"state": state})).hexdigest()
