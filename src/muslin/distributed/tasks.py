"""One shard in the process that works on it: the same for every executor."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from importlib import import_module

from muslin.errors import ExecutionError
from muslin.execution import TRIES, Shard, ShardOutcome, ShardResult, Task

Outcomes = Generator[tuple[int, ShardOutcome], None, None]
"""Of shards: their numbers from 0, and what is found of each."""


def load_task(name: str) -> Task:
    """The function that `package.module:function` names."""
    module, _, function = name.partition(":")
    task: Task = getattr(import_module(module), function)
    return task


def run_task(task: Task, shard: Shard, shared: Mapping[str, bytes]) -> ShardResult:
    """The result of `task` for `shard`; `shared` has been checked by `check_shared`.

    Raises:
        ExecutionError: the shard's content is not what its digests say.
    """
    for digest, part in shard.content.items():
        if hashlib.sha256(part).hexdigest() != digest:
            raise ExecutionError("content_damaged", name=shard.params.get("name"))
    return task(shard.params, shard.content, shared)


def digests_of(shared: Mapping[str, bytes]) -> dict[str, str]:
    """By name the SHA-256 of what is shared."""
    return {name: hashlib.sha256(part).hexdigest() for name, part in shared.items()}


def check_shared(shared: Mapping[str, bytes], digests: Mapping[str, str]) -> None:
    """Refuse what came to a worker damaged.

    Raises:
        ExecutionError: `shared` is not what `digests` says.
    """
    found = digests_of(shared)
    if damaged := [name for name in digests if found.get(name) != digests[name]]:
        raise ExecutionError("content_damaged", name=damaged[0])


class ShardRunner(ABC):
    """The two ways in which an Executor gives back what it has run."""

    @abstractmethod
    def run_shards(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes], in_order: bool) -> Outcomes:
        """What `outcomes` gives, if `in_order` in the order of the shards."""

    def map(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes]) -> Iterator[ShardResult]:
        """As of `Executor`: after the error in a shard's place no other shard is begun."""
        with closing(self.run_shards(task, shards, shared, in_order=True)) as outcomes:
            for _, found in outcomes:
                if isinstance(found, Exception):
                    raise found
                yield found

    def outcomes(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes]) -> Outcomes:
        """As of `Executor`."""
        return self.run_shards(task, shards, shared, in_order=False)


def shard_lost(shard: Shard) -> ExecutionError:
    """The error of a shard whose workers all ended."""
    return ExecutionError("shard_lost", name=shard.params.get("name"), tries=TRIES)
