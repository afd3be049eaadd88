"""Run a server, in one process or several, until it is told to stop."""

import socket
from collections.abc import Callable
from dataclasses import replace

from muslin.machine import physical_cores
from muslin.messages import Log
from muslin.server.access import check_access
from muslin.server.request_log import RequestLog, event_log
from muslin.server.service_manager import notify_ready
from muslin.server.settings import Settings, check_settings
from muslin.web.listening import listen

MAX_PENDING = 1024  # connections that the system holds until they are accepted


def run_server(settings: Settings, log: Log) -> None:
    """Serve the models of `settings` until SIGTERM or SIGINT.

    Args:
        log: called with the address, once the models are ready and requests are accepted.

    Raises:
        BundleError: a model cannot be used.
        MuslinError: the settings are not safe, or the address cannot be listened to.
    """
    check_settings(settings)
    check_access(settings)
    log = event_log(settings.log_format, log)
    listening = listen(settings.host, settings.port, MAX_PENDING)
    greeting = f"serving {', '.join(settings.models)}\n{address_of(listening)}  (Ctrl-C ends it)"

    def announce() -> None:
        log(greeting)
        notify_ready()

    if settings.workers > 1:
        return _run_workers(settings, listening, announce)

    from muslin.server.worker import serve

    return serve(settings, listening, announce)


def _run_workers(settings: Settings, listening: socket.socket, announce: Callable[[], None]) -> None:
    from muslin.server.processes import METRICS_FOLDER, Supervisor, WorkerPlan, worker_folder

    threads = settings.threads or max(1, physical_cores() // settings.workers)
    of_worker = replace(settings, threads=threads)
    with worker_folder() as folder:
        plan = WorkerPlan(
            "muslin.server.worker:run_worker",
            of_worker,
            settings.workers,
            settings.grace_s,
            {METRICS_FOLDER: str(folder.path)},
        )
        events = RequestLog(settings.log_format)  # which no slow reader of standard error can hold up
        try:
            Supervisor(plan, listening, folder, events.event).run(announce)
        finally:
            events.close()


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
