"""A worker without a model, for tests of processes: it says who it is, takes its time, and ends when asked to."""

import asyncio
import os
import signal
import socket
import threading
from typing import Any

import uvicorn

from muslin.messages import no_log
from muslin.server.connections import FastConnection
from muslin.server.graceful_server import GracefulServer
from muslin.server.processes import WorkerFolder, keep_beating, when_orphaned
from muslin.server.work_threads import WorkThreads

MAX_RUN_S = 0.5


def hang(job: threading.Event) -> None:
    job.wait()


THREADS = WorkThreads(name="model", work=hang, report=list)


def run(argument: dict[str, Any], listening: socket.socket, folder: WorkerFolder) -> None:
    """Serve `/pid`, `/die`, `/hold` until a stop has begun, `/hold-on` for ever, and `/hang` in a thread alone. The
    worker's state counts the SIGHUPs, and the requests that it has held.

    `argument` has `grace_s`, and `fails` where the worker is to end before it serves, or `fails_if` with a path: where
    there is something.
    """
    if argument.get("fails"):
        raise SystemExit(3)
    if os.path.exists(argument.get("fails_if", "")):
        raise SystemExit(4)
    hangups = held = 0

    def describe() -> None:
        folder.write_state({"ready": True, "hangups": hangups, "held": held})

    def ready() -> None:
        describe()
        when_orphaned(server.stop, folder)
        keep_beating(folder, lambda: THREADS.busy_s() < MAX_RUN_S)

    def hang_up() -> None:
        nonlocal hangups
        hangups += 1
        describe()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal held
        if scope["path"].startswith("/hold"):
            held += 1
            describe()
            while scope["path"] == "/hold-on" or not server.is_stopping:
                await asyncio.sleep(0.01)
        if scope["path"] == "/hang":
            THREADS.add(threading.Event())
        if scope["path"] == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        application, log_level="error", access_log=False, http=FastConnection, ws="none", lifespan="off"
    )
    server = GracefulServer(config, argument["grace_s"], no_log, ready, hang_up)
    server.run(sockets=[listening])
