"""Shards one after the other in this process, whose threads each task uses."""

import threading
from collections.abc import Iterable, Iterator, Mapping

from muslin.distributed.tasks import load_task, run_task
from muslin.errors import StoppedError
from muslin.execution import ExecutorStatus, Shard, ShardResult
from muslin.machine import physical_cores


class InProcess:
    """An Executor of this process."""

    def __init__(self) -> None:
        self._is_cancelled = threading.Event()
        self._running = self._done = 0

    def map(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes]) -> Iterator[ShardResult]:
        work = load_task(task)
        for shard in shards:
            if self._is_cancelled.is_set():
                raise StoppedError("execution_cancelled")
            self._running = 1
            try:
                result = run_task(work, shard, shared)
            finally:
                self._running = 0
            self._done += 1
            yield result

    def cancel(self) -> None:
        self._is_cancelled.set()

    def status(self) -> ExecutorStatus:
        return ExecutorStatus(1, self._running, self._done, 0, cores=physical_cores())
