"""Run the studio until Ctrl-C."""

import errno
import socket
import webbrowser
from pathlib import Path

from muslin.errors import DataError, MuslinError
from muslin.messages import Log

HOST = "127.0.0.1"
MAX_PENDING = 256  # connections that the system holds, and that are accepted in one go


def run_studio(folder: Path, port: int, open_browser: bool, log: Log) -> None:
    """Serve the studio for `folder` on this machine's own address until it is interrupted.

    Args:
        port: 0 takes a free one.
        log: called with the address, once the server accepts requests.

    Raises:
        DataError: there is no such folder.
        MuslinError: the port is in use.
    """
    import uvicorn

    from muslin.studio.app import studio
    from muslin.studio.connections import STOP_S, Connection, Server

    if not folder.is_dir():
        raise DataError("folder_missing", path=str(folder))
    folder = folder.resolve()
    try:
        listening = socket.create_server((HOST, port), backlog=MAX_PENDING)  # before the address is printed
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise MuslinError("port_in_use", port=port) from error
        raise
    port = listening.getsockname()[1]
    address = f"http://{HOST}:{port}"
    config = uvicorn.Config(
        studio(folder, port),
        log_level="error",
        access_log=False,
        use_colors=False,  # they would be shown as text
        server_header=False,
        http=Connection,
        timeout_graceful_shutdown=STOP_S,
        backlog=MAX_PENDING,
        ws="none",
        lifespan="off",
    )
    log(f"serving {folder}\n{address}  (Ctrl-C ends it)")
    if open_browser:
        webbrowser.open(address)
    Server(config, log).run(sockets=[listening])
