"""Work in shards, which an executor runs: in this process, in processes of this machine, or on several machines.

A workflow takes an Executor as a value, cuts its work into shards and gets their results in order;
`muslin.distributed.open_executor` makes one. Results are the same whatever runs them: a task computes from its shard
and what is shared alone, and a worker that would compute other bits is refused.
"""

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from muslin.errors import MuslinError
from muslin.machine import physical_cores

Params = dict[str, Any]
"""JSON values; a `muslin.messages.Message` stays one."""

TRIES = 3
"""How often a shard is tried whose worker ends: one whose photos end every worker must not end them all for ever, and
a machine that is taken away, or a process that the system ends for its memory, is no fault of the shard."""

AHEAD_PER_WORKER = 2
"""Shards that a worker has at a time: one that it works on, and one that is on its way meanwhile."""

MEMORY_MB = 2048
"""Memory that a task can take beyond what its process has at the start. A photo of 50 million pixels takes 150 MB, an
EfficientNet-Lite4 with its batch 300 MB, so that a task that needs more is a fault, which must not fill a machine."""

THREADS_VARIABLE = "MUSLIN_TASK_THREADS"
"""Set by an executor in the environment of its workers."""


@dataclass(frozen=True)
class Shard:
    """A unit of work: a range of a job's journal, or one variant of a sweep.

    Attributes:
        params: JSON values. `name` says what messages call the shard: its first product, or the variant.
        content: by SHA-256 (hex): photos, arrays; what this shard alone needs.
    """

    params: Params
    content: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class ShardResult:
    """What a task gives for a shard.

    Attributes:
        params: JSON values.
        content: bytes by name.
    """

    params: Params
    content: Mapping[str, bytes] = field(default_factory=dict)


Task = Callable[[Params, Mapping[str, bytes], Mapping[str, bytes]], ShardResult]
"""Takes a shard's `params` and `content`, and what is `shared`; it can raise a MuslinError.

The `shared` bytes are the same objects at every call in a worker, so that a task can keep what it makes of them in an
`lru_cache` by those bytes. It uses `task_threads()` threads.
"""


ShardOutcome = ShardResult | MuslinError | RuntimeError
"""The result of a shard, or the error in its place: what the task raised, or that its worker ended TRIES times."""


@dataclass(frozen=True)
class ExecutorStatus:
    """What an executor does now.

    Attributes:
        workers: that work, or could.
        running: shards that are given to workers and not done.
        done: shards whose results are there, in this executor's life.
        retried: shards that were given to another worker because theirs ended.
        left_out: why machines that came while the work ran do not take part. One that is there at the start and does
            not fit ends the work.
        cores: of the processors that all workers have together; None for one each.
    """

    workers: int
    running: int
    done: int
    retried: int
    left_out: tuple[MuslinError, ...] = ()
    cores: int | None = None


class Executor(Protocol):
    """Runs tasks on shards. One `map` or `outcomes` at a time; `cancel` and `status` can be called from any thread."""

    def map(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes]) -> Iterator[ShardResult]:
        """The results of the shards, in their order.

        A shard whose worker ends is tried on another one, TRIES times in all. Closing the iterator ends what is on
        its way.

        Args:
            task: `package.module:function`, a Task.
            shards: read as workers become free, at most AHEAD_PER_WORKER ahead for each of them, in the thread of the
                caller.
            shared: by name what all shards need, such as a model's file. Reaches each worker once.

        Raises:
            MuslinError: the task raised it. It comes in its shard's place, after the results of all earlier ones.
            ExecutionError: in its shard's place, the shard's worker ended TRIES times (`shard_lost`); or a worker is
                not as this process is, see `muslin.distributed.environment`; or no worker can be started or reached.
            RuntimeError: in its shard's place, the task raised another exception, whose traceback it holds.
            StoppedError: `cancel` was called (`execution_cancelled`).
        """

    def outcomes(
        self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes]
    ) -> Generator[tuple[int, ShardOutcome], None, None]:
        """As `map`, but each shard's result as soon as it is there, with the shard's number from 0.

        An error that `map` raises in a shard's place is given as a value, and the other shards go on.
        """

    def cancel(self) -> None:
        """End all work as soon as possible. Nothing can be done with the executor afterwards."""

    def status(self) -> ExecutorStatus: ...


def content_of(*parts: bytes) -> dict[str, bytes]:
    """`parts` by their SHA-256, as a Shard's `content`."""
    return {hashlib.sha256(part).hexdigest(): part for part in parts}


def task_threads() -> int:
    """Threads that a task is to use here: the worker's share of its machine's cores."""
    given = os.environ.get(THREADS_VARIABLE, "")
    return int(given) if given.isdecimal() and int(given) else physical_cores()
