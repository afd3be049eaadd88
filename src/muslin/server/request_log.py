"""The log of a server: a line per request and per event, as JSON or as text, on standard error.

No line holds an image, a token, an address, a query, a name of a file that a client sent, or the text of an exception,
which can quote any of them. A log whose reader is slow holds up no request: lines that do not fit are counted.
"""

import logging
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from muslin.messages import Log, Message, plain
from muslin.printing import write_line
from muslin.server.request_record import RequestRecord
from muslin.strict_json import json_text

MAX_LINES = 10_000
"""That wait to be written; a few megabytes."""

GATHER_S = 0.05
"""Seconds in which lines gather, to be written together."""

MAX_PIECE = 4000
"""Characters; the system writes 4096 bytes into a pipe in one piece (PIPE_BUF)."""

CLOSE_S = 1.0
"""Seconds that a stop waits for a slow reader of the log."""

LOG_FORMATS = ("json", "text")

WARNINGS = frozenset({"model_kept", "worker_hung", "worker_killed", "worker_replaced"})
"""Codes of events after which somebody should look."""


class RequestLog:
    """Writes the lines in a thread of its own.

    Args:
        log_format: of LOG_FORMATS.
        write: writes a line.
        on_drop: called with the number of lines that were dropped, when there is place again.
    """

    def __init__(
        self,
        log_format: str,
        write: Callable[[str], None] = write_line,
        on_drop: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._is_json, self._write, self._on_drop = log_format == "json", write, on_drop
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._has_lines, self._is_closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._thread.start()

    def request(self, record: RequestRecord) -> None:
        """A line about an answered request."""
        if self._is_json:
            self._add(json_text(_stamped(_level(record.status), "request") | _request_values(record)))
        else:
            self._add(_request_text(record))

    def event(self, message: str, level: str | None = None) -> None:
        """A line about something other than a request."""
        self._add(event_line(message, level) if self._is_json else message)

    def fault(self, error: BaseException, request_id: str = "") -> None:
        """A line about a bug: where it is, and of what kind. Its text could quote what a client sent."""
        kind, frames = type(error).__name__, fault_frames(error)
        if self._is_json:
            values = {"request_id": request_id, "error": kind, "frames": frames}
            self._add(json_text(_stamped("error", "fault") | values))
        else:
            self._add("\n  ".join([f"{kind} in the response to request {request_id}, at", *frames]))

    def close(self) -> None:
        """Write what waits, for at most CLOSE_S."""
        self._is_closed.set()
        self._has_lines.set()
        self._thread.join(CLOSE_S)

    def _add(self, line: str) -> None:
        if len(self._lines) >= MAX_LINES:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._has_lines.is_set():  # one switch between threads for many lines
            self._has_lines.set()

    def _write_lines(self) -> None:
        while not (self._is_closed.is_set() and not self._lines):
            self._has_lines.wait()
            self._is_closed.wait(GATHER_S)
            self._has_lines.clear()
            if dropped := self._dropped:
                self._dropped -= dropped
                self._on_drop(dropped)
            for text in _joined(self._lines):
                try:
                    self._write(text)
                except OSError:
                    self._on_drop(text.count("\n") + 1)  # standard error is closed, or its disk is full


def _joined(lines: deque[str]) -> Iterator[str]:
    """All lines, together as far as the system writes them in one piece, which those of other workers cannot split."""
    text = ""
    while lines:
        line = lines.popleft()
        if text and len(text) + len(line) > MAX_PIECE:
            yield text
            text = line
        else:
            text = f"{text}\n{line}" if text else line
    if text:
        yield text


def event_log(log_format: str, log: Log) -> Log:
    """`log`, or for JSON one that writes each sentence as a line of the server's log."""
    return log if log_format == "text" else lambda sentence: write_line(event_line(sentence))


def event_line(message: str, level: str | None = None) -> str:
    """JSON about something other than a request, such as a model that was replaced; the level is that of its code."""
    code = message.code if isinstance(message, Message) else "log"
    level = level or ("warning" if code in WARNINGS else "info")
    values = _stamped(level, code) | {"message": str(message)}
    return json_text(values | ({"params": plain(message.params)} if isinstance(message, Message) else {}))


def log_libraries(log: "RequestLog") -> None:
    """Write warnings and errors that libraries report through Python's `logging` into `log`, and nowhere else."""
    logging.getLogger().addHandler(_LogHandler(log))


class _LogHandler(logging.Handler):
    def __init__(self, log: RequestLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self._log.fault(record.exc_info[1])
        else:
            self._log.event(
                f"{record.name}: {record.msg}", record.levelname.lower()
            )  # without its placeholders' values


def fault_frames(error: BaseException) -> list[str]:
    """`file:line function` of each call that led to the error, the innermost last, without the folders of this machine.

    >>> fault_frames(ValueError("ada@example.com"))
    []
    """
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{'/'.join(frame.filename.split(os.sep)[-2:])}:{frame.lineno} {frame.name}" for frame in frames]


def _stamped(level: str, event: str) -> dict[str, Any]:
    now = time.time()
    stamp = f"{_second(int(now))}.{int(now % 1 * 1e6):06}Z"
    return {"time": stamp, "level": level, "event": event, "pid": os.getpid()}


@lru_cache(maxsize=2)  # writing it out takes ten times as long
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _level(status: int) -> str:
    return "error" if status >= 500 and status != 503 else "info" if status < 400 else "warning"


def _request_values(record: RequestRecord) -> dict[str, Any]:
    values: dict[str, Any] = {
        "request_id": record.id,
        "method": record.method,
        "route": record.route,
        "status": record.status,
        "seconds": round(record.seconds, 6),
        "received_bytes": record.received_bytes,
        "sent_bytes": record.sent_bytes,
    }
    if record.model:
        values |= {"model": record.model, "digest": record.digest, "images": record.images}
    if record.stages:
        values["stages"] = {stage: round(seconds, 6) for stage, seconds in record.stages.items()}
    if record.error:
        values["error"] = record.error
    return values


def _request_text(record: RequestRecord) -> str:
    words = [record.method, record.route, str(record.status), f"{1000 * record.seconds:.1f} ms"]
    if record.model:
        words.append(f"{record.model}@{record.digest[:8]} {record.images}")
    return "  ".join([f"{_second(int(time.time()))[-8:]}Z", *words, *filter(None, [record.error]), record.id])
