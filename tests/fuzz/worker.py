"""A process that opens one file after another within limits of time and memory, and a new one where it dies.

Nothing but a result or a MuslinError is accepted: another exception, a warning, a killed process, more processor time
or more memory is a failure.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent

MAX_SECONDS = 10.0
"""Processor time of one job."""

MAX_MB = 1000
"""Memory of one job, beyond that of the process before."""

MAX_CLOCK_SECONDS = 100
"""A process that waits for something is killed after so long by the clock; a machine can be busy."""

MAX_JOBS = 5000
"""Jobs of one process; a new one follows, because caches grow."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        result: `read`, `refused` (with a MuslinError) or `failed`.
        message: what was read, the error's sentence, or what failed.
        place: of a failure, where: equal for failures of one cause.
        details: of a failure, the traceback and what was written to stderr.
        seconds: processor time.
        mb: largest memory of the process.
    """

    result: str
    message: str
    place: str = ""
    details: str = ""
    seconds: float = 0.0
    mb: int = 0


class Worker:
    """Runs jobs in a process of its own. A context manager."""

    def __init__(self, max_seconds: float = MAX_SECONDS, max_mb: int = MAX_MB) -> None:
        self.max_seconds, self.max_mb = max_seconds, max_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 — closed by __exit__
        self._jobs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()
        self._stderr.close()

    def run(self, action: str, path: Path, **params: Any) -> Outcome:
        """The outcome of an action with `path`: one of `actions.ACTIONS`, or `property`, with the parameters of
        `properties.check`.
        """
        process = self._started()
        assert process.stdin
        assert process.stdout
        job = json.dumps({"action": action, "path": os.fsdecode(path)} | params)
        process.stdin.write(job.encode("utf-8", "surrogateescape") + b"\n")
        process.stdin.flush()
        readable, _, _ = select.select([process.stdout], [], [], MAX_CLOCK_SECONDS)
        answer = process.stdout.readline() if readable else b""
        if answer:
            return Outcome(**json.loads(answer))
        killed = "" if readable else f"no answer within {MAX_CLOCK_SECONDS} s by the clock"
        if killed:
            process.kill()
        code = process.wait()
        if not killed:
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            killed = f"more than {self.max_seconds:g} s" if name == "SIGXCPU" else f"the process died: {name}"
        self._stderr.seek(0)
        details = self._stderr.read().decode("utf-8", "replace")
        self._end()
        return Outcome("failed", killed, f"{action}: {killed}", details)

    def _started(self) -> "subprocess.Popen[bytes]":
        self._jobs += 1
        if self._process and self._jobs % MAX_JOBS == 0:
            self._end()
        if self._process is None:
            self._stderr.seek(0)
            self._stderr.truncate()
            words = [sys.executable, "-X", "faulthandler", __file__, str(self.max_seconds), str(self.max_mb)]
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
                env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
            )  # fmt: skip
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process = None


# ── In the process ───────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Answer each job on stdin, a JSON object per line, with its outcome on stdout."""
    sys.path.insert(0, str(HERE))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    import actions

    max_seconds, max_mb = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_memory_mb("VmSize") + max_mb << 20, -1))
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Generating overly large repr")  # of hypothesis, when it shows what failed
    unraisable: list[str] = []
    sys.unraisablehook = lambda hook: unraisable.append(f"{type(hook.exc_value).__name__}: {hook.exc_value} (ignored)")
    for line in sys.stdin.buffer:
        job = json.loads(line)
        action, path = job.pop("action"), Path(job.pop("path"))
        _reset_peak_memory()
        limit_processor_time(max_seconds)
        start = time.process_time()
        if action == "property":
            from properties import check  # only here, because hypothesis takes a second to import

            work = partial(check, folder=path, before=partial(limit_processor_time, max_seconds), **job)
        else:
            work = partial(actions.use, action, path)
        outcome = _attempt(work)
        seconds, mb = time.process_time() - start, _memory_mb("VmHWM")
        is_slow = seconds > max_seconds and action != "property"  # which is many inputs
        failures = [*unraisable, *([f"{seconds:.1f} s"] if is_slow else [])]
        unraisable.clear()
        if failures:
            message = "; ".join([*failures, outcome["message"]])
            outcome |= {"result": "failed", "message": message, "place": f"{action}: {failures[0]}"}
        answers.write(json.dumps(outcome | {"seconds": round(seconds, 3), "mb": mb}) + "\n")
        answers.flush()


def limit_processor_time(seconds: float) -> None:
    """Let the kernel kill this process once it has used so much more processor time, which no code can prevent."""
    used = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, -1))  # in whole seconds


def _attempt(work: Callable[[], object]) -> dict[str, str]:
    from muslin.errors import MuslinError

    try:
        return {"result": "read", "message": str(work())}
    except MuslinError as error:
        return {"result": "refused", "message": f"{error.code}: {error}"}
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        named = [frame for frame in frames if "/muslin/" in frame.filename] or frames
        place = f"{Path(named[-1].filename).name}, line {named[-1].lineno}"
        message = f"{type(error).__name__} in {place}: {error}"
        details = "".join(traceback.format_exception(error))
        return {"result": "failed", "message": message, "place": f"{type(error).__name__}, {place}", "details": details}


def _memory_mb(name: str) -> int:
    """A line of /proc/self/status; 0 where there is none."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) >> 10 for line in status if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return 0


def _reset_peak_memory() -> None:
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass  # then the largest memory is that of all jobs so far


if __name__ == "__main__":
    main()
