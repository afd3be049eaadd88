"""What runs shards of work: this process, processes of this machine, or a Ray cluster. The only importer of ray."""

from collections.abc import Iterator
from contextlib import contextmanager

from muslin.errors import ExecutionError
from muslin.execution import MEMORY_MB, Executor

MAX_PROCESSES = 256


@contextmanager
def open_executor(where: str | None = None, *, memory_mb: int = MEMORY_MB) -> Iterator[Executor]:
    """An executor, whose workers end with the `with` block.

    Args:
        where: None for this process, `local:N` for N processes of this machine, `ray://HOST:PORT` for a Ray cluster, or
            `ray` for one of this machine alone.
        memory_mb: memory that a task can take.

    Raises:
        ExecutionError: `where` is something else.
        MissingPartError: ray is not installed.
    """
    executor: Executor
    if where is None:
        from muslin.distributed.in_process import InProcess

        executor = InProcess()
    else:
        raise ExecutionError("executor_unknown", value=where)
    try:
        yield executor
    finally:
        executor.cancel()
