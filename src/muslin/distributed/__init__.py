"""What runs shards of work: this process, processes of this machine, or a Ray cluster. The only importer of ray."""

from collections.abc import Iterator
from contextlib import contextmanager

from muslin.errors import ExecutionError
from muslin.execution import MEMORY_MB, Executor

MAX_PROCESSES = 256
"""More are a slip: each takes some 100 MB, and work that needs them needs more machines."""


@contextmanager
def open_executor(where: str | None = None, *, memory_mb: int = MEMORY_MB) -> Iterator[Executor]:
    """An executor, whose workers end with the `with` block.

    Args:
        where: None for this process, `local:N` for N processes of this machine, `ray://HOST:PORT` for a Ray cluster, or
            `ray` for the one that was started on this machine.
        memory_mb: memory that a task can take.

    Raises:
        ExecutionError: `where` is something else, or no cluster is there that can be used.
        MissingPartError: ray is not installed.
    """
    executor: Executor
    if where is None:
        from muslin.distributed.in_process import InProcess

        executor = InProcess()
    elif where.startswith("local:"):
        from muslin.distributed.processes import Processes

        executor = Processes(_count(where.removeprefix("local:")), memory_mb)
    elif where == "ray" or where.startswith("ray://"):
        from muslin.distributed.ray_executor import RayExecutor

        executor = RayExecutor(where, memory_mb)
    else:
        raise ExecutionError("executor_unknown", value=where)
    try:
        yield executor
    finally:
        executor.cancel()


def _count(text: str) -> int:
    """The number of processes.

    Raises:
        ExecutionError: it is none, or out of range.
    """
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_PROCESSES):
        raise ExecutionError("executor_processes", value=text, maximum=MAX_PROCESSES)
    return int(text)
