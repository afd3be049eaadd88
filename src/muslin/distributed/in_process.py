"""Shards one after the other in this process, whose threads each task uses."""

import threading
from collections.abc import Iterable, Mapping

from muslin.distributed.tasks import Outcomes, ShardRunner, load_task, run_task
from muslin.errors import MuslinError, StoppedError
from muslin.execution import ExecutorStatus, Shard, ShardOutcome
from muslin.machine import physical_cores


class InProcess(ShardRunner):
    """An Executor of this process."""

    def __init__(self) -> None:
        self._is_cancelled = threading.Event()
        self._running = self._done = 0

    def run_shards(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes], in_order: bool) -> Outcomes:
        work = load_task(task)
        for number, shard in enumerate(shards):
            if self._is_cancelled.is_set():
                raise StoppedError("execution_cancelled")
            found: ShardOutcome
            self._running = 1
            try:
                found = run_task(work, shard, shared)
                self._done += 1
            except (MuslinError, RuntimeError) as error:
                found = error
            finally:
                self._running = 0
            yield number, found

    def cancel(self) -> None:
        self._is_cancelled.set()

    def status(self) -> ExecutorStatus:
        return ExecutorStatus(1, self._running, self._done, 0, cores=physical_cores())
