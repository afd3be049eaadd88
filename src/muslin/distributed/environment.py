"""What the bits of results depend on besides the work: a worker must have it as the head has."""

import platform
from importlib.metadata import PackageNotFoundError, version

import muslin
from muslin.errors import ExecutionError
from muslin.execution import Params
from muslin.machine import instructions

PACKAGES = ("numpy", "pillow", "onnxruntime")
TRAINING_PACKAGES = ("torch", "scipy", "scikit-learn")
"""Compared where both sides have them: a worker that only tags needs none."""


def environment() -> Params:
    """Versions and the processor's instructions, as JSON values."""
    packages = {name: found for name in (*PACKAGES, *TRAINING_PACKAGES) if (found := _version(name))}
    return {
        "versions": {"muslin": muslin.__version__, "Python": platform.python_version(), **packages},
        "processor": [platform.machine(), *instructions()],
    }


def check_environment(head: Params, worker: str = "") -> None:
    """Refuse to work for a head whose results would have other bits.

    Args:
        head: the head's `environment()`.
        worker: what messages call this machine, by default its name.

    Raises:
        ExecutionError: versions differ (`worker_versions`), or the processor computes otherwise (`worker_processor`).
    """
    own, worker = environment(), worker or platform.node()
    given, found = head["versions"], own["versions"]
    optional = [name for name in TRAINING_PACKAGES if name not in given or name not in found]
    names = [name for name in given if name not in optional and given[name] != found.get(name)]
    if names:
        expected = [f"{name} {given[name]}" for name in names]
        raise ExecutionError(
            "worker_versions", worker=worker, found=[f"{name} {found.get(name, '–')}" for name in names],
            expected=expected,
        )  # fmt: skip
    if head["processor"] != own["processor"]:
        differing = sorted(set(head["processor"]) ^ set(own["processor"]))
        raise ExecutionError("worker_processor", worker=worker, names=differing)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
