"""Shards on the machines of a Ray cluster, by Ray Core alone: an actor for each processor, and objects.

```
shards ─► waiting ─► calls: at most AHEAD_PER_WORKER a worker ─► results, which `map` keeps until their turn
             ▲          │ the worker or its machine ended
             └──────────┘
```
"""

import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from muslin.distributed.environment import environment
from muslin.distributed.ray_cluster import RayCluster
from muslin.distributed.ray_worker import actor_class, result_of
from muslin.distributed.tasks import Outcomes, ShardRunner, digests_of, shard_lost
from muslin.errors import ExecutionError, MuslinError, StoppedError
from muslin.execution import (
    AHEAD_PER_WORKER,
    MEMORY_MB,
    TRIES,
    ExecutorStatus,
    Params,
    Shard,
    ShardOutcome,
    ShardResult,
)
from muslin.library_errors import reason_of
from muslin.workers import pack_messages

LOOK_S = 2.0
"""Seconds between two looks for machines that came or went, and the longest wait for a result between them."""

WAIT_FOR_WORKERS_S = 120
"""Seconds that a job waits for the first worker, or for another one after the last is gone. A worker takes three
seconds to start, and a minute on a machine that other work keeps very busy."""

KEPT_PER_WORKER = 16
"""Results that wait for an earlier shard, a worker, before no other shard is begun: they take memory."""

KEPT_S = 10
"""Seconds for which workers wait for the next job, such as the next products of a catalogue; then others can have their
processors."""

WORKER_TRIES = 3
"""Workers that may end at one machine, one after the other without a result, before the machine is left alone."""


class RayExecutor(ShardRunner):
    """An Executor of a Ray cluster, connected.

    Args:
        where: `ray://HOST:PORT`, or `ray` for the cluster that was started on this machine.
        memory_mb: memory that a task can take.

    Raises:
        ExecutionError: the cluster cannot be used, see RayCluster.
        MissingPartError: ray is not installed.
    """

    def __init__(self, where: str, memory_mb: int = MEMORY_MB) -> None:
        self._cluster = RayCluster(where)
        self._memory_mb = memory_mb
        self._is_cancelled = threading.Event()
        self._lock = threading.Lock()
        self._workers: _Workers | None = None
        self._idle: threading.Timer | None = None
        self._job: _Job | None = None
        self._before = ExecutorStatus(0, 0, 0, 0)  # all earlier jobs

    def run_shards(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes], in_order: bool) -> Outcomes:
        job: _Job | None = None
        try:
            self._check_cancelled()
            with self._lock:
                job = self._job = _Job(self._cluster, self._workers_for(task, shared), iter(shards), in_order)
            while not job.is_done:
                self._check_cancelled()
                if (outcome := job.step()) is not None:
                    yield outcome
        except ExecutionError:
            self._check_cancelled()  # the connection was closed under a call
            raise
        finally:
            if job is not None:
                self._before, self._job = replace(self.status(), workers=0, running=0), None
                if job.is_done:
                    self._idle = threading.Timer(KEPT_S, self._end_workers)
                    self._idle.daemon = True
                    self._idle.start()
                else:
                    self._end_workers()

    def cancel(self) -> None:
        if not self._is_cancelled.is_set():
            self._is_cancelled.set()
            if self._idle:
                self._idle.cancel()
            self._cluster.close()

    def status(self) -> ExecutorStatus:
        job, before = self._job, self._before
        if job is None:
            return replace(before, workers=self._processors())
        ready = job.workers.ready()
        running = sum(len(worker.calls) for worker in ready)
        done, retried = before.done + job.done, before.retried + job.retried
        return ExecutorStatus(len(ready), running, done, retried, job.workers.left_out())

    def _workers_for(self, task: str, shared: Mapping[str, bytes]) -> "_Workers":
        """Those of the last job, if its task and what it shared are the same; or new ones."""
        if self._idle:
            self._idle.cancel()
        setup = self._setup(task, shared)
        if self._workers and self._workers.setup != setup:
            self._workers.end()
            self._workers = None
        self._workers = self._workers or _Workers(self._cluster, setup, shared)
        self._workers.begin()
        return self._workers

    def _end_workers(self) -> None:
        """End the workers, unless the next job has them."""
        with self._lock:
            if self._workers and not self._job and not self._is_cancelled.is_set():
                self._workers.end()
                self._workers = None

    def _processors(self) -> int:
        """Of the cluster's machines together: each has a worker once there is work."""
        import ray

        if not self._is_cancelled.is_set():
            with suppress(ExecutionError):  # the head is lost, as the next job says
                nodes = self._cluster.ask(ray.nodes)
                return sum(_processors(node) for node in nodes if node["Alive"])
        return 0

    def _setup(self, task: str, shared: Mapping[str, bytes]) -> bytes:
        return json.dumps({
            "head": environment(), "task": task, "digests": digests_of(shared), "memory_mb": self._memory_mb,
        }).encode()  # fmt: skip

    def _check_cancelled(self) -> None:
        if self._is_cancelled.is_set():
            raise StoppedError("execution_cancelled") from None


@dataclass(eq=False)
class _SentShard:
    """A shard on its way: its place, itself without its content, and that as a reference into the object store."""

    index: int
    shard: Shard
    content: Any
    tries: int = 0


@dataclass(eq=False)
class _Worker:
    """An actor. `starting` is the reference of its start, None once it is ready; `calls` are those of its parts by
    reference, the one that it works on first."""

    node: str
    address: str
    actor: Any
    starting: Any
    calls: dict[Any, _SentShard] = field(default_factory=dict)


class _Workers:
    """A worker for each processor of each machine that is there and fits."""

    def __init__(self, cluster: RayCluster, setup: bytes, shared: Mapping[str, bytes]) -> None:
        import ray

        self._cluster, self.setup = cluster, setup
        # in a list: Ray would replace a reference that is an argument itself by its value, for each worker again
        self._shared = {name: [cluster.ask(ray.put, part)] for name, part in shared.items()}
        self._class = cluster.ask(ray.remote, actor_class())
        self._all: list[_Worker] = []
        self._first_nodes: set[str] | None = None
        self._failed_starts: dict[str, int] = {}
        self._refused: dict[str, MuslinError | RuntimeError] = {}
        self._failure: Params = {}  # why a worker ended at its start: `worker`, its machine, and `reason`
        self._looked_s = self._ready_s = 0.0  # when machines were looked for, and when a worker was ready last

    def begin(self) -> None:
        """Wait anew: a job begins."""
        self._looked_s, self._ready_s = 0.0, time.monotonic()

    def ready(self) -> list[_Worker]:
        """Those that take shards, the least busy first."""
        return sorted((each for each in list(self._all) if each.starting is None), key=lambda each: len(each.calls))

    def left_out(self) -> tuple[MuslinError, ...]:
        """Why machines that came later do not take part."""
        later = [each for node, each in list(self._refused.items()) if node not in (self._first_nodes or ())]
        return tuple(each for each in later if isinstance(each, MuslinError))

    def references(self) -> dict[Any, _Worker]:
        """What to wait for: starts and calls."""
        starts = {each.starting: each for each in self._all if each.starting is not None}
        return starts | {reference: each for each in self._all for reference in each.calls}

    def look(self) -> None:
        """Start workers at machines that came, or whose workers ended.

        Raises:
            ExecutionError: there has been no worker for too long.
        """
        import ray

        now = time.monotonic()
        if self.ready():
            self._ready_s = now
        if now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        nodes = [node for node in self._cluster.ask(ray.nodes) if node["Alive"]]
        self._first_nodes = self._first_nodes or {node["NodeID"] for node in nodes}
        for node in nodes:
            self._fill(node)
        if now - self._ready_s > WAIT_FOR_WORKERS_S or (self._refused and not self._all):
            for refusal in self._refused.values():
                raise refusal
            raise self._no_workers(nodes)

    def _no_workers(self, nodes: Sequence[Mapping[str, Any]]) -> ExecutionError:
        import ray

        free = self._cluster.ask(ray.available_resources).get("CPU", 0)
        return ExecutionError(
            "cluster_without_workers", address=self._cluster.address, wait_s=WAIT_FOR_WORKERS_S, machines=len(nodes),
            processors=sum(map(_processors, nodes)), free=int(free), **self._failure,
        )  # fmt: skip

    def take_start(self, worker: _Worker, response: Any) -> None:
        """Let a worker work that has started, or leave its machine out.

        Raises:
            MuslinError: it refuses, and its machine was there when the job began.
        """
        found = json.loads(response[0])
        if "missing" in found:
            refusal: Any = ExecutionError("worker_without_muslin", worker=found["worker"], module=found["missing"])
        else:
            refusal = result_of(response)
        if isinstance(refusal, ShardResult):
            worker.starting = None
            self._failed_starts.pop(worker.node, None)
            return
        self.drop(worker)
        if refusal is not None:  # none: its memory did not suffice, which is tried again
            self._refused[worker.node] = refusal
            if worker.node in (self._first_nodes or ()):
                raise refusal

    def drop(self, worker: _Worker, error: Exception | None = None) -> None:
        """Give up a worker that ended; `look` starts another one."""
        if worker.starting is not None:
            if error is not None:
                self._failure = {"worker": worker.address, "reason": reason_of(error)}
            self._failed_starts[worker.node] = self._failed_starts.get(worker.node, 0) + 1
        self._all.remove(worker)
        self._kill(worker)

    def end(self) -> None:
        for worker in self._all:
            self._kill(worker)
        self._all.clear()

    def _fill(self, machine: Mapping[str, Any]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = machine["NodeID"]
        if node in self._refused or self._failed_starts.get(node, 0) >= WORKER_TRIES:
            return
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        for _ in range(_processors(machine) - sum(worker.node == node for worker in self._all)):
            options = self._class.options(num_cpus=1, max_restarts=0, scheduling_strategy=there)
            actor = self._cluster.ask(options.remote)
            starting = self._cluster.ask(actor.prepare.remote, self.setup, self._shared)
            self._all.append(_Worker(node, machine["NodeManagerAddress"], actor, starting))

    def _kill(self, worker: _Worker) -> None:
        import ray
        from ray.exceptions import RayError

        with suppress(ExecutionError, RayError, ValueError):  # it or the cluster is gone, as the next call says
            self._cluster.ask(ray.kill, worker.actor)


def _processors(node: Mapping[str, Any]) -> int:
    return int(node["Resources"].get("CPU", 0))


class _Job:
    """The shards of one `map` or `outcomes`, and where each of them is."""

    def __init__(self, cluster: RayCluster, workers: _Workers, shards: Iterator[Shard], in_order: bool) -> None:
        self.workers, self._cluster, self._shards, self._in_order = workers, cluster, shards, in_order
        self._waiting: deque[_SentShard] = deque()  # whose worker ended
        self._kept: dict[int, ShardOutcome] = {}
        self._read = self._given_back = 0
        self._is_read = False
        self.done = self.retried = 0

    @property
    def is_done(self) -> bool:
        return self._is_read and self._given_back == self._read

    def step(self) -> tuple[int, ShardOutcome] | None:
        """Hand out shards, wait a little for results, and give back the next one if it is there, with its number."""
        self.workers.look()
        self._hand_out()
        self._collect(0 if self._next_number() in self._kept else LOOK_S)
        number = self._next_number()
        if number not in self._kept:
            return None
        found = self._kept.pop(number)
        self._given_back += 1
        self.done += isinstance(found, ShardResult)
        return number, found

    def _next_number(self) -> int:
        """Of the result to be given back next, which may not be there yet."""
        return self._given_back if self._in_order else next(iter(self._kept), -1)

    def _hand_out(self) -> None:
        for calls in range(AHEAD_PER_WORKER):
            for worker in self.workers.ready():
                if len(worker.calls) > calls:
                    continue
                if (part := self._next_part()) is None:
                    return
                params = json.dumps(pack_messages(part.shard.params)).encode()
                reference = self._cluster.ask(worker.actor.run.remote, params, part.content)
                worker.calls[reference] = part

    def _next_part(self) -> _SentShard | None:
        import ray

        if self._waiting:
            return self._waiting.popleft()
        if self._is_read or self._read - self._given_back >= KEPT_PER_WORKER * max(1, len(self.workers.ready())):
            return None
        shard = next(self._shards, None)
        if shard is None:
            self._is_read = True
            return None
        content = self._cluster.ask(ray.put, dict(shard.content)) if shard.content else {}
        self._read += 1
        return _SentShard(self._read - 1, Shard(shard.params), content)

    def _collect(self, wait_s: float) -> None:
        import ray
        from ray.exceptions import RayError

        references = self.workers.references()
        if not references:
            time.sleep(wait_s if not self.is_done else 0)
            return
        ready, _ = self._cluster.ask(ray.wait, list(references), num_returns=1, timeout=wait_s)
        if ready and len(references) > 1:
            ready, _ = self._cluster.ask(ray.wait, list(references), num_returns=len(references), timeout=0)
        for reference in ready:
            worker = references[reference]
            try:
                response = self._cluster.ask(ray.get, reference)
            except RayError as error:
                self._give_up(worker, error)
            else:
                self._take(worker, reference, response)

    def _take(self, worker: _Worker, reference: Any, response: Any) -> None:
        if reference == worker.starting:
            self.workers.take_start(worker, response)
        elif reference in worker.calls:  # not one of a worker that was given up since
            if (found := result_of(response)) is None:
                self._give_up(worker)
            else:
                self._kept[worker.calls.pop(reference).index] = found

    def _give_up(self, worker: _Worker, error: Exception | None = None) -> None:
        """Let other workers do what a worker had; the first of its parts is what it worked on."""
        if worker not in self.workers.references().values():
            return
        self.workers.drop(worker, error)
        parts = list(worker.calls.values())
        worker.calls.clear()
        self.retried += len(parts)
        if parts:
            parts[0].tries += 1
        for part in reversed(parts):
            if part.tries < TRIES:
                self._waiting.appendleft(part)
            else:
                self._kept[part.index] = shard_lost(part.shard)
