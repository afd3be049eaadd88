"""How long work takes here and on an executor's workers; and what an executor has to say about them."""

from muslin.execution import Executor, Params
from muslin.messages import Log, Message

MIN_S = 60.0
"""What takes less is not said."""


def here_and_there(of_one_core_s: float, cores: int, executor: Executor | None) -> Params:
    """The time of work on so many cores of this machine, `here_s`; and with an executor how many `workers` it has, and
    their time, `there_s`, where they are as fast as this machine. Both are None where it has none."""
    params: Params = {"here_s": of_one_core_s / cores, "workers": None, "there_s": None}
    if executor is not None and (status := executor.status()).workers:
        params |= {"workers": status.workers, "there_s": of_one_core_s / (status.cores or status.workers)}
    return params


class ExecutorNotes:
    """What became of an executor's workers while it worked, said once each."""

    def __init__(self, executor: Executor | None, log: Log) -> None:
        self._executor, self._log = executor, log
        self._n_left_out = 0
        self._retried = executor.status().retried if executor else 0

    def tell(self) -> None:
        """Say which machines that came do not take part."""
        for error in self._executor.status().left_out[self._n_left_out :] if self._executor else ():
            self._log(error.message)
            self._n_left_out += 1

    def end(self) -> None:
        """Say how often work was given to another worker."""
        self.tell()
        if self._executor and (count := self._executor.status().retried - self._retried):
            self._log(Message("shards_retried", count=count))
