"""A training run as one safetensors file: weights, optimizers' state, and where it was. No pickle."""

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
    """Write everything that training needs to go on; `state` holds plain JSON values.

    Raises:
        StorageError: the disk is full or the place cannot be written; the checkpoint before is untouched.
    """
    tensors = {f"net/{name}": value for name, value in net.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer/{number}/{index}/{name}": torch.as_tensor(v) for name, v in values.items()
            }
    # clone: safetensors refuses tensors that share memory, and stores only plain row-major ones
    plain = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
        if value is not None
    }
    written = json.dumps(state)
    write_atomically(path, save(plain, metadata={"state": written, "sha256": _digest(plain, written)}))


def load_checkpoint(path: Path, net: Net, optimizers: list[Optimizer]) -> dict[str, Any]:
    """Put `net` and `optimizers` back where `save_checkpoint` found them; returns its `state`.

    Raises:
        TrainingError: the file is not such a checkpoint, is damaged, or is one of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            written, expected = file.metadata()["state"], file.metadata()["sha256"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        if _digest(tensors, written) != expected:
            raise ValueError("it was damaged after it was written")
        state: dict[str, Any] = json.loads(written)
        net.load_state_dict(
            {name.removeprefix("net/"): v for name, v in tensors.items() if name.startswith("net/")}
        )
        for number, optimizer in enumerate(optimizers):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            values: dict[int, dict[str, Any]] = {}
            for name, value in tensors.items():
                if name.startswith(f"optimizer/{number}/"):
                    _, _, index, key = name.split("/")
                    weight = weights[int(index)]
                    # fused optimizers walk through memory: the state must lie there as its weight does
                    placed = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
                    values.setdefault(int(index), {})[key] = placed
            optimizer.load_state_dict(
                {"state": values, "param_groups": optimizer.state_dict()["param_groups"]}
            )
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise TrainingError(f"{path}: not a checkpoint of this run ({error}). Start a new run.") from error
    return state


def _digest(tensors: dict[str, torch.Tensor], state: str) -> str:
    """SHA-256 of all that a checkpoint holds."""
    content = hashlib.sha256(state.encode())
    for name, value in sorted(tensors.items()):
        content.update(name.encode())
        content.update(value.numpy().tobytes())
    return content.hexdigest()
