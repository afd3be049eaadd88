"""muslin's commands as processes that can be killed at any moment, without the seconds that imports take.

A server process imports what they need once, and forks a child for each command. So a kill at a random moment meets the
work, not the imports, and hundreds of commands take minutes.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

PIPE_BYTES = 2**20
"""What a command can print; the server reads it when the command has ended."""

IMPORTS = ("onnxruntime", "muslin.models.predictor", "muslin.workflows.tag")
TRAINING_IMPORTS = (
    "scipy.optimize",
    "muslin.learn.linear_probe",
    "muslin.reporting.report.multi_target",
    "muslin.workflows.train",
)
SERVER_IMPORTS = ("muslin.review.store", "muslin.studio.app", "muslin.studio.server", "uvicorn", "psycopg")
"""What is imported before a fork. None of them may start a pool of threads, which a child would lack."""

MAX_S = 300
"""By the clock: a command that takes longer hangs."""


@dataclass(frozen=True)
class Job:
    """A command and its surroundings.

    Attributes:
        words: after `muslin`.
        cwd: its working folder.
        environment: variables that differ from the server's.
        limits: resource limits by their name in `resource`, such as `RLIMIT_FSIZE`.
        datasets: data sets to register: fields of `RegisteredDataset` that differ from those of Fashion-MNIST.
        constants: values for constants, by `module:NAME`, and results for functions.
    """

    words: Sequence[object]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    datasets: Sequence[Mapping[str, Any]] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; below 0 the signal that killed it.
        out, err: what it printed.
    """

    code: int
    out: str
    err: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def error(self) -> Any:
        """The error object of a command with `--json`."""
        return json.loads(self.out.splitlines()[-1])["error"]


class Running:
    """A command that runs."""

    def __init__(self, server: "ForkServer", pid: int) -> None:
        self._server, self.pid = server, pid
        self.ended: Ended | None = None

    def poll(self) -> Ended | None:
        """How it ended; None while it runs."""
        if self.ended is None and (answer := self._server.ask("poll", pid=self.pid)):
            self.ended = Ended(**answer)
        return self.ended

    def kill(self) -> Ended:
        """End it by SIGKILL, unless it has ended."""
        if not self.poll():
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> Ended:
        deadline = time.monotonic() + MAX_S
        while not (ended := self.poll()):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"the command did not end within {MAX_S} s")
            time.sleep(0.002)
        return ended


class ForkServer:
    """Starts commands. A context manager."""

    def __enter__(self) -> Self:
        words = [sys.executable, "-X", "faulthandler", __file__]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, job: Job) -> Running:
        content = {**vars(job), "words": list(map(str, job.words)), "cwd": str(job.cwd)}
        return Running(self, self.ask("start", job=content))

    def run(self, job: Job) -> Ended:
        return self.start(job).wait()

    def ask(self, name: str, **params: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"name": name} | params).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


# ── In the server ────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Answer each request on stdin, a JSON object per line, on stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pipes: dict[int, tuple[int, int]] = {}
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["name"] == "start":
            _import_for(request["job"]["words"][0])
            out, err = _pipe(), _pipe()
            if not (pid := os.fork()):
                _become(request["job"], out[1], err[1])
            os.close(out[1])
            os.close(err[1])
            pipes[pid] = out[0], err[0]
            answer: Any = pid
        else:
            answer = None
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            if pid:
                texts = [_read_all(pipe) for pipe in pipes.pop(pid)]
                answer = {"code": os.waitstatus_to_exitcode(status), "out": texts[0], "err": texts[1]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _import_for(command: str) -> None:
    """What the command imports, so that its children need not."""
    more = {"train": TRAINING_IMPORTS, "studio": SERVER_IMPORTS, "review": SERVER_IMPORTS}
    for name in (*IMPORTS, *more.get(command, ())):
        importlib.import_module(name)


def _pipe() -> tuple[int, int]:
    import fcntl

    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return read, write


def _read_all(pipe: int) -> str:
    """What is in the pipe. A command that was killed can have left children which hold it open."""
    content = b""
    while select.select([pipe], [], [], 0)[0] and (block := os.read(pipe, PIPE_BYTES)):
        content += block
    os.close(pipe)
    return content.decode("utf-8", "replace")


def _become(job: dict[str, Any], out: int, err: int) -> None:
    """Turn this process into the command; never returns."""
    import resource
    import tempfile
    from dataclasses import replace

    from muslin.data import registry

    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        for handle in range(3, 64):
            with suppress(OSError):
                os.close(handle)  # the pipes of other commands
        os.environ.update(job["environment"])
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})  # one thread: none waits for others
        tempfile.tempdir = None  # it was found in the server's environment
        os.chdir(job["cwd"])
        for values in job["datasets"]:
            row = replace(registry.FASHION_MNIST, **{"debian_folder": None, **values})
            registry.DATASETS[row.name] = row
        for place, value in job["constants"].items():
            module, _, name = place.partition(":")
            old = getattr(importlib.import_module(module), name)
            new = (lambda *_, value=value: value) if callable(old) else value
            setattr(importlib.import_module(module), name, new)
        for name, limit in job["limits"].items():
            resource.setrlimit(getattr(resource, name), (limit, limit))
        sys.argv = ["muslin", *job["words"]]
        from muslin.cli import main as command

        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


if __name__ == "__main__":
    main()
