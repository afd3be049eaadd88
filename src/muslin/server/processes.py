"""Several worker processes behind one listening socket, and the supervisor that starts, replaces and stops them.

Why not uvicorn's Multiprocess: SIGHUP restarts its workers, where ours only read the models that changed; when it is
killed, its workers stay and hold the port; it waits without end for a worker that does not stop; and it starts a worker
that fails at once again and again, twice a second.

A worker gets its argument on stdin, which then stays open: its end tells that the supervisor is gone. What a worker
says of itself is a file in the supervisor's folder, so that each worker can see what the others do.
"""

import asyncio
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from muslin.errors import MuslinError
from muslin.messages import Log, Message
from muslin.printing import escaped_output
from muslin.strict_json import json_text
from muslin.workers import pack_messages, unpack_messages

POLL_S = 0.02
"""Seconds between two looks at the workers' states, until they are ready."""

MAX_PAUSE_S = 30.0
"""Seconds before a worker that failed to start is started again; the first pause is one second, each next one twice."""

STOP_MARGIN_S = 5.0
"""Seconds beyond the grace after which a worker that has not stopped is killed."""

HANG_S = 30.0
"""Seconds without a sign of life after which a worker that served is killed and replaced. A busy one shows itself every
second; one that stays away for as long as this answers nobody."""

LOOKS = 10
"""At a worker's signs of life in that time. They are counted, so that time in which the whole machine slept is none."""

BEAT_S = 0.5
"""Seconds between two signs of life of a worker."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that tells prometheus_client, when it is imported, in which folder all workers keep their metrics."""

State = dict[str, Any]


@dataclass(frozen=True)
class WorkerFolder:
    """The folder in which each worker of a server describes itself, and others read it.

    Attributes:
        path: a folder that only this user can read.
        supervisor: the number of the process whose workers they are.
    """

    path: Path
    supervisor: int

    def ask_for_hangup(self) -> None:
        """Let the supervisor send SIGHUP to all workers, also to one that just starts."""
        if os.getppid() == self.supervisor:  # or it is gone, and its workers stop
            os.kill(self.supervisor, signal.SIGHUP)

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Describe this process, JSON values, in place of what it said before; `ready` tells that it serves."""
        new = self.path / f".{os.getpid()}.new"
        new.write_text(json_text(dict(state)), encoding="utf-8")
        os.replace(new, self._file(os.getpid()))

    def beat(self) -> None:
        """Show that this process is alive: a new time of its file."""
        with suppress(FileNotFoundError):  # the supervisor is gone
            os.utime(self._file(os.getpid()))

    def last_beat(self, pid: int) -> int | None:
        """Differs once a worker has shown again that it is alive; None before it serves."""
        try:
            return self._file(pid).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def states(self) -> dict[int, State]:
        """What the workers that live say of themselves, by their process number."""
        found = {}
        for file in self.path.glob("[0-9]*.json"):
            with suppress(FileNotFoundError):  # it ended a moment ago
                found[int(file.stem)] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def forget(self, pid: int) -> None:
        """Drop what a worker said that has ended, and its gauges; what it has counted stays."""
        for file in (self._file(pid), *self.path.glob(f"gauge_live*_{pid}.db")):
            file.unlink(missing_ok=True)

    def _file(self, pid: int) -> Path:
        return self.path / f"{pid}.json"


@contextmanager
def worker_folder() -> Iterator[WorkerFolder]:
    """A new folder for the states of workers, which is removed when the block ends."""
    with tempfile.TemporaryDirectory(prefix="muslin-serve-", ignore_cleanup_errors=True) as path:
        yield WorkerFolder(Path(path), os.getpid())


@dataclass(frozen=True)
class WorkerPlan:
    """What the workers of a server are.

    Attributes:
        target: `package.module:function`, called with `argument`, the listening socket and the `WorkerFolder`.
        argument: a value that can be pickled.
        count: how many processes.
        grace_s: seconds in which a worker finishes what it took, once it is told to stop.
        environment: variables that the workers have beyond those of this process.
        hang_s: seconds without a sign of life after which a worker is replaced.
    """

    target: str
    argument: Any
    count: int
    grace_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    hang_s: float = HANG_S


class Supervisor:
    """Keeps `plan.count` workers running until SIGTERM or SIGINT, and passes SIGHUP on to them.

    Args:
        listening: the socket, bound and listening, that all workers accept connections from.
        log: called with a sentence for each worker that ended or had to be killed.
    """

    def __init__(self, plan: WorkerPlan, listening: socket.socket, folder: WorkerFolder, log: Log) -> None:
        self._plan, self._listening, self._folder, self._log = plan, listening, folder, log
        self._running: dict[subprocess.Popen[bytes], asyncio.Future[int]] = {}
        self._stop = asyncio.Event()
        self._was_ready = False

    def run(self, when_ready: Callable[[], object]) -> None:
        """Return once all workers have stopped.

        Args:
            when_ready: called once all workers serve.

        Raises:
            MuslinError: a worker ended before the server was ready; it has said why.
        """
        asyncio.run(self._run(when_ready))

    async def _run(self, when_ready: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._begin_stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGHUP, self._signal_all, signal.SIGHUP)
        loop.add_signal_handler(signal.SIGCHLD, self._note_ends)
        keepers = [asyncio.create_task(self._keep_worker()) for _ in range(self._plan.count)]
        try:
            if await self._all_ready(keepers):
                self._was_ready = True
                when_ready()
            await asyncio.gather(*keepers)
        finally:
            self._begin_stop()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _all_ready(self, keepers: list["asyncio.Task[None]"]) -> bool:
        """Whether all workers serve; False when a stop came first, or a worker ended."""
        while sum(bool(state.get("ready")) for state in self._folder.states().values()) < self._plan.count:
            if self._stop.is_set() or any(keeper.done() for keeper in keepers):
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _keep_worker(self) -> None:
        """One worker after another in one place, until a stop."""
        pause_s = 0.0
        while not self._stop.is_set():
            process = self._start_worker()
            status = await self._end(process)
            del self._running[process]
            assert process.stdin
            with suppress(BrokenPipeError):
                process.stdin.close()
            state = self._folder.states().get(process.pid, {})
            self._folder.forget(process.pid)
            if self._stop.is_set():
                return
            error = _error_in(state)
            if not self._was_ready:
                raise error or MuslinError("worker_failed", how=_end_of(status))
            pause_s = 0.0 if state.get("ready") else min(2 * pause_s or 1.0, MAX_PAUSE_S)
            how = error.message if error else _end_of(status)
            self._log(Message("worker_replaced", pid=process.pid, how=how, pause_s=pause_s or None))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)

    async def _end(self, process: "subprocess.Popen[bytes]") -> int:
        """A worker's exit status, once it has ended; one that hangs is killed."""
        end, beat, looks = self._running[process], None, 0
        while not end.done():
            await asyncio.wait([end], timeout=self._plan.hang_s / LOOKS)
            last = self._folder.last_beat(process.pid)
            looks = looks + 1 if last is not None and last == beat else 0
            beat = last
            if looks == LOOKS and not self._stop.is_set():
                self._log(Message("worker_hung", pid=process.pid, seconds=self._plan.hang_s))
                process.kill()
        return end.result()

    def _start_worker(self) -> "subprocess.Popen[bytes]":
        handle = self._listening.fileno()
        command = "from muslin.server.processes import main; main()"
        with _signals_blocked():  # the worker lets them in once it has handlers for them
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", command, self._plan.target, str(handle), str(self._folder.path)],
                stdin=subprocess.PIPE,
                pass_fds=[handle],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **self._plan.environment},
                start_new_session=True,  # so that Ctrl-C reaches only this process
            )
        self._running[process] = asyncio.get_running_loop().create_future()
        assert process.stdin
        with suppress(BrokenPipeError):  # it has ended already
            process.stdin.write(pickle.dumps(self._plan.argument))
            process.stdin.flush()  # and left open: its end tells the worker that this process is gone
        return process

    def _note_ends(self) -> None:
        for process, end in self._running.items():
            if process.poll() is not None and not end.done():
                end.set_result(process.returncode)

    def _begin_stop(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._listening.close()  # or clients could connect as long as the slowest worker takes to stop
            self._signal_all(signal.SIGTERM)
            asyncio.get_running_loop().call_later(self._plan.grace_s + STOP_MARGIN_S, self._kill_all)

    def _interrupt(self) -> None:
        """Ctrl-C stops, Ctrl-C again ends at once."""
        if self._stop.is_set():
            self._signal_all(signal.SIGKILL)
        self._begin_stop()

    def _kill_all(self) -> None:
        self._signal_all(signal.SIGKILL)
        for process in self._running:
            self._log(Message("worker_killed", pid=process.pid))

    def _signal_all(self, number: int) -> None:
        for process in self._running:
            process.send_signal(number)  # to one that lives


def _error_in(state: State) -> MuslinError | None:
    """Why a worker did not begin to serve, if it said so."""
    if "error" not in state:
        return None
    code, hint, params = state["error"]
    return MuslinError(code, hint, **unpack_messages(params))


def _end_of(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


HANDLED = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]  # not on Windows


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """The signals that a worker handles wait until the block ends; a process started in it inherits that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ── In the worker ────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Run the target of a `WorkerPlan`; the arguments are those of `Supervisor`."""
    target, handle, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    argument = pickle.load(sys.stdin.buffer)  # of the process that started this one
    module, _, name = target.partition(":")
    folder = WorkerFolder(path, os.getppid())
    try:
        with escaped_output():
            getattr(import_module(module), name)(argument, socket.socket(fileno=handle), folder)
    except MuslinError as error:
        folder.write_state({"error": [error.code, error.hint_code, pack_messages(error.params)]})
        sys.exit(1)  # the supervisor says why


def let_signals_in() -> None:
    """Accept the signals that came since this worker was started, once it has handlers for them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def keep_beating(folder: WorkerFolder, is_well: Callable[[], bool]) -> None:
    """Let the supervisor see that this worker's event loop does not hang, and its threads neither.

    To be called in the running event loop, once the worker has described itself.

    Args:
        is_well: whether its threads get on with their work.
    """
    if is_well():
        folder.beat()
    asyncio.get_running_loop().call_later(BEAT_S, keep_beating, folder, is_well)


def when_orphaned(action: Callable[[], object], folder: WorkerFolder) -> None:
    """Call `action` when the supervisor is gone, whose folder nobody else removes then.

    To be called in the running event loop of a worker.
    """
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(0)
        shutil.rmtree(folder.path, ignore_errors=True)
        action()

    loop.add_reader(0, end)
