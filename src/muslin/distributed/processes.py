"""Shards in processes of this machine, which are replaced when they end."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from muslin.distributed.environment import environment
from muslin.distributed.tasks import Outcomes, ShardRunner, digests_of, shard_lost
from muslin.distributed.worker import sizes_of, split
from muslin.errors import ExecutionError, MuslinError, StoppedError
from muslin.execution import AHEAD_PER_WORKER, THREADS_VARIABLE, TRIES, ExecutorStatus, Shard, ShardOutcome, ShardResult
from muslin.library_errors import reason_of
from muslin.machine import physical_cores
from muslin.workers import WorkerEnded, WorkerProcess


class Processes(ShardRunner):
    """An Executor of processes of this machine. They start with their first shard.

    Args:
        count: of the processes.
        memory_mb: that a task can take beyond what its process has at the start. Only Linux enforces it.
    """

    def __init__(self, count: int, memory_mb: int) -> None:
        self._count, self._memory_mb = count, memory_mb
        self._lock = threading.Lock()
        self._free: deque[_Worker] = deque()
        self._busy: set[_Worker] = set()
        self._is_cancelled = False
        self._done = self._retried = 0

    def run_shards(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes], in_order: bool) -> Outcomes:
        given, ahead = _Given(shared), dict[Future[ShardResult], int]()
        pool = ThreadPoolExecutor(self._count)
        try:
            for number, shard in enumerate(shards):
                self._check()
                ahead[pool.submit(self._run, task, shard, given)] = number
                if len(ahead) >= AHEAD_PER_WORKER * self._count:
                    yield _take_next(ahead, in_order)
            while ahead:
                yield _take_next(ahead, in_order)
        finally:
            given.is_closed = True
            pool.shutdown(wait=False, cancel_futures=True)
            self._kill(self._busy)
            pool.shutdown()

    def cancel(self) -> None:
        self._is_cancelled = True
        self._kill(self._busy)
        with self._lock:
            free = list(self._free)
            self._free.clear()
        for worker in free:
            worker.process.end()

    def status(self) -> ExecutorStatus:
        cores = min(physical_cores(), self._count * _threads(self._count))
        return ExecutorStatus(self._count, len(self._busy), self._done, self._retried, cores=cores)

    def _run(self, task: str, shard: Shard, given: "_Given") -> ShardResult:
        """The result of a shard, tried again where its process ends. Called in as many threads as there are workers."""
        for is_retry in [False, *[True] * (TRIES - 1)]:
            self._retried += is_retry
            worker = self._take()
            try:
                result = worker.run(task, shard, given)
            except WorkerEnded:
                with self._lock:
                    self._busy.discard(worker)
                if given.is_closed:
                    break
            except BaseException:
                self._give_back(worker)
                raise
            else:
                self._give_back(worker, done=1)
                return result
        self._check()
        raise shard_lost(shard)

    def _take(self) -> "_Worker":
        with self._lock:
            self._check()
            worker = self._free.pop() if self._free else None
            if worker and not worker.process.is_alive:
                worker.process.end()
                worker = None
            if worker is None:
                worker = _Worker(self._count, self._memory_mb)
            self._busy.add(worker)
        return worker

    def _give_back(self, worker: "_Worker", done: int = 0) -> None:
        with self._lock:
            self._done += done
            self._busy.discard(worker)
            if self._is_cancelled:
                worker.process.end()
            else:
                self._free.append(worker)

    def _kill(self, workers: Iterable["_Worker"]) -> None:
        with self._lock:
            for worker in workers:
                worker.process.kill()

    def _check(self) -> None:
        if self._is_cancelled:
            raise StoppedError("execution_cancelled")


def _take_next(ahead: dict[Future[ShardResult], int], in_order: bool) -> tuple[int, ShardOutcome]:
    """The number and the outcome of the first shard in `ahead`, or of one that is done, which is taken out."""
    future = next(iter(ahead)) if in_order else next(iter(wait(ahead, return_when=FIRST_COMPLETED).done))
    number = ahead.pop(future)
    try:
        return number, future.result()
    except (MuslinError, RuntimeError) as error:
        return number, error


class _Given:
    """What a `map` shares, with its digests, and whether nobody takes its results any more."""

    def __init__(self, shared: Mapping[str, bytes]) -> None:
        self.shared, self.digests, self.is_closed = shared, digests_of(shared), False


class _Worker:
    """A process and what has been sent to it."""

    def __init__(self, count: int, memory_mb: int) -> None:
        threads = str(_threads(count))
        variables = {THREADS_VARIABLE: threads, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        try:
            self.process = WorkerProcess("muslin.distributed.worker:work", None, memory_mb, variables)
        except OSError as error:
            raise ExecutionError("worker_not_started", reason=reason_of(error)) from error
        self._is_checked = False
        self._digests: dict[str, str] = {}

    def run(self, task: str, shard: Shard, given: _Given) -> ShardResult:
        """The result of a shard; errors as of `WorkerProcess.run`."""
        self._prepare(given)
        params: dict[str, Any] = {"task": task, "params": shard.params, "sizes": sizes_of(shard.content)}
        found, content = self.process.run(params, b"".join(shard.content.values()))
        try:
            return ShardResult(found["params"], split(content, found["sizes"]))
        except (LookupError, TypeError, ValueError) as error:  # whatever it responds
            raise WorkerEnded from error

    def _prepare(self, given: _Given) -> None:
        """Check the worker, and send it what it lacks of what is shared."""
        if not self._is_checked:
            self.process.run({"environment": environment()})
            self._is_checked = True
        for name, digest in given.digests.items():
            if self._digests.get(name) != digest:
                self.process.run({"name": name, "digest": digest}, given.shared[name])
                self._digests[name] = digest
        for name in self._digests.keys() - given.digests.keys():
            self.process.run({"name": name})
            del self._digests[name]


def _threads(count: int) -> int:
    """The share of the cores that each of these processes has."""
    return max(1, physical_cores() // count)
