"""Run a server in one process, until it is told to stop."""

import errno
import os
import socket

from muslin.errors import MuslinError
from muslin.messages import Log
from muslin.server.settings import Settings, check_settings

MAX_PENDING = 1024  # connections that the system holds until they are accepted


def run_server(settings: Settings, log: Log) -> None:
    """Serve the models of `settings` until SIGTERM or SIGINT.

    Args:
        log: called with the address, once the models are ready and requests are accepted.

    Raises:
        BundleError: a model cannot be used.
        MuslinError: the settings are not safe, or the address cannot be listened to.
    """
    import uvicorn

    check_settings(settings)

    from muslin.server.app import create_app
    from muslin.server.models import ModelTable
    from muslin.web.connections import Connection, Server

    listening = listen(settings)
    models = ModelTable.of(settings)
    config = uvicorn.Config(
        create_app(settings, models),
        log_level="error",
        access_log=False,
        use_colors=False,
        server_header=False,
        http=Connection,
        timeout_graceful_shutdown=int(settings.grace_s),
        backlog=MAX_PENDING,
        ws="none",
        lifespan="off",
        root_path=settings.root_path,
    )
    log(f"serving {', '.join(models)}\n{address_of(listening)}  (Ctrl-C ends it)")
    Server(config, log).run(sockets=[listening])


def listen(settings: Settings) -> socket.socket:
    """The socket that accepts connections.

    Raises:
        MuslinError: the port is in use or not allowed, or the host is not this machine's.
    """
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, settings.port), family=family, backlog=MAX_PENDING)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise MuslinError("port_in_use", port=settings.port) from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise MuslinError("host_not_here", host=host, reason=reason) from error


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
