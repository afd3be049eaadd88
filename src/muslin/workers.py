"""Processes that do work on untrusted files within limits of processor time and memory, and can be ended.

A process responds with JSON and bytes, never with a pickle, because a hostile file may have taken it over.
"""

import atexit
import json
import os
import queue
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import IO, Any

from muslin.errors import MuslinError
from muslin.messages import Message

Params = dict[str, Any]
Work = Callable[[Params, bytes], tuple[Params, Any]]
"""Takes JSON values and bytes, and returns such; it can raise a MuslinError."""

CLOCK_FACTOR = 10
"""Seconds of the clock per second of processor time that a call may take."""

MAX_RESPONSE_BYTES = 2**31
_SIZES = struct.Struct("<QQ")  # of the JSON values, and of the bytes
_MESSAGE = "\0message"  # the key that marks a Message among JSON values


class WorkerEnded(Exception):  # noqa: N818 — an event, which the caller turns into an error of its file
    """The process exceeded a limit, or crashed."""


class WorkerPool:
    """Processes that run one function, one call each at a time. Safe to use from several threads at once.

    They start when they are needed, and are replaced when they end.

    Args:
        target: `package.module:function`, a `Work`.
        processes: how many calls run at the same time; others wait.
        max_s: processor time of one call, in seconds.
        max_mb: memory of one call, in megabytes beyond what the process has at its start. Only Linux enforces it.
        max_clock_s: time of one call by the clock, in seconds; by default ten times `max_s`, for busy machines.
    """

    def __init__(self, target: str, processes: int, max_s: int, max_mb: int, max_clock_s: float | None = None) -> None:
        self._target, self._max_s, self._max_mb = target, max_s, max_mb
        self._max_clock_s = max_s * CLOCK_FACTOR if max_clock_s is None else max_clock_s
        self._free: queue.LifoQueue[WorkerProcess | None] = queue.LifoQueue()
        for _ in range(processes):
            self._free.put(None)

    def start(self) -> None:
        """Start a process now, so that the first call need not wait for its imports."""
        process = self._free.get()
        self._free.put(process if process and process.is_alive else self._start())

    def run(self, params: Mapping[str, Any], content: bytes | memoryview = b"") -> tuple[Params, bytearray]:
        """The function's result for `params`, which are JSON values, and `content`.

        Raises:
            MuslinError: the function raised it.
            RuntimeError: the function raised another exception, whose traceback it holds.
            WorkerEnded: the process exceeded a limit, or crashed.
        """
        process = self._free.get()
        try:
            if process is None or not process.is_alive:
                process = self._start()
            return process.run(params, content, self._max_clock_s)
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End the processes; those in use end with their call."""
        for process in [self._free.get() for _ in range(self._free.qsize())]:
            if process:
                process.end()
            self._free.put(None)

    def _start(self) -> "WorkerProcess":
        return WorkerProcess(self._target, self._max_s, self._max_mb)


class WorkerProcess:
    """One process that runs a function, a call at a time, and the pipes to it.

    Args:
        target: `package.module:function`, a `Work`.
        max_s: processor time of one call, in seconds; None for any.
        max_mb: memory of one call, as of `WorkerPool`.
        environment: variables that it gets besides those of this process.

    Raises:
        OSError: the system starts no more processes.
    """

    def __init__(
        self, target: str, max_s: int | None, max_mb: int, environment: Mapping[str, str] | None = None
    ) -> None:
        # -P and the import path of this process: not a module of the folder that the command was started in
        code, arguments = "from muslin.workers import main; main()", [target, str(max_s or 0), str(max_mb)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1", **(environment or {}),
            },
            start_new_session=True,  # so that Ctrl-C reaches only the process that decides what it means
        )  # fmt: skip
        atexit.register(self.end)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def run(
        self, params: Mapping[str, Any], content: bytes | memoryview = b"", max_clock_s: float | None = None
    ) -> tuple[Params, bytearray]:
        """The function's result; errors as of `WorkerPool.run`.

        Args:
            max_clock_s: time of the call by the clock, in seconds; None for any.
        """
        found, content_found = self._run(params, content, max_clock_s)
        if "fault" in found:
            raise RuntimeError(found["fault"])
        if "error" in found:
            kind, code, hint, error_params = found["error"]
            kinds = {each.__name__: each for each in MuslinError.__subclasses__()}
            raise kinds.get(kind, MuslinError)(code, hint, **error_params)
        return found["result"], content_found

    def _run(
        self, params: Mapping[str, Any], content: bytes | memoryview, max_clock_s: float | None
    ) -> tuple[Params, bytearray]:
        assert self._process.stdin
        assert self._process.stdout
        timer = None if max_clock_s is None else threading.Timer(max_clock_s, self._process.kill)
        if timer:
            timer.daemon = True  # an exit need not wait for it
            timer.start()
        try:
            _send(self._process.stdin, params, content)
            found = _receive(self._process.stdout, MAX_RESPONSE_BYTES)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):  # whatever it responds
            found = None
        finally:
            if timer:
                timer.cancel()
        if found is None or not {"result", "error", "fault"} & set(found[0]):
            self.end()
            raise WorkerEnded
        return found

    def kill(self) -> None:
        """End the process, from any thread; a call in another one ends with WorkerEnded."""
        self._process.kill()

    def end(self) -> None:
        """End the process, which nobody calls now."""
        atexit.unregister(self.end)
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):  # what was left to write has nobody to read it
                    pipe.close()


def _send(pipe: IO[bytes], params: Mapping[str, Any], content: Any) -> None:
    header, content = json.dumps(pack_messages(params), default=str).encode(), memoryview(content)
    pipe.write(_SIZES.pack(len(header), content.nbytes) + header)
    pipe.write(content)
    pipe.flush()


def _receive(pipe: IO[bytes], max_bytes: int | None = None) -> tuple[Params, bytearray] | None:
    """The JSON values and the bytes; None at the end of the pipe, and where they are more than `max_bytes`."""
    sizes = pipe.read(_SIZES.size)
    if len(sizes) < _SIZES.size or (max_bytes and sum(_SIZES.unpack(sizes)) > max_bytes):
        return None
    parts = []
    for size in _SIZES.unpack(sizes):
        part = bytearray(size)
        if pipe.readinto(part) < size:  # type: ignore[attr-defined]
            return None
        parts.append(part)
    params = unpack_messages(json.loads(parts[0]))
    return (params, parts[1]) if isinstance(params, dict) else None


def pack_messages(value: Any) -> Any:
    """`value` with messages as JSON values."""
    if isinstance(value, Message):
        return {_MESSAGE: [value.code, value.hint_code, pack_messages(value.params)]}
    if isinstance(value, Mapping):
        return {str(name): pack_messages(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [pack_messages(inside) for inside in value]
    return value


def unpack_messages(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {_MESSAGE}:
            code, hint, params = value[_MESSAGE]
            return Message(code, hint, **unpack_messages(params))
        return {name: unpack_messages(inside) for name, inside in value.items()}
    return [unpack_messages(inside) for inside in value] if isinstance(value, list) else value


# ── In the process ───────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Read calls from stdin and respond on stdout; the arguments are those of `WorkerProcess`."""
    target, max_s, max_mb = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the responses
    module, _, name = target.partition(":")
    work: Work = getattr(import_module(module), name)
    _limit_memory(max_mb)
    while call := _receive(sys.stdin.buffer):
        if max_s:
            _limit_processor_time(max_s)
        _send(responses, *_call(work, *call))


def _call(work: Work, params: Params, content: bytearray) -> tuple[Params, Any]:
    try:
        result, content_found = work(params, bytes(content))
    except MuslinError as error:
        return {"error": [type(error).__name__, error.code, error.hint_code, error.params]}, b""
    except MemoryError:
        sys.exit(1)
    except Exception:
        return {"fault": traceback.format_exc()}, b""
    return {"result": result}, content_found


def _limit_memory(max_mb: int) -> None:
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as sizes:
            pages = int(sizes.read().split()[0])
        limit = pages * resource.getpagesize() + max_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass  # not Linux


def _limit_processor_time(max_s: int) -> None:
    """Let the system end this process once it has used so much more, which no code in it can prevent."""
    try:
        import resource

        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + max_s + 1, resource.RLIM_INFINITY))
    except (ImportError, OSError, ValueError):
        pass  # Windows: the clock alone
