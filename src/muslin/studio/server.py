"""Run the studio until Ctrl-C."""

import errno
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

from muslin.errors import DataError, MuslinError

HOST = "127.0.0.1"
MOST_AT_ONCE = 64  # requests; a page asks for a few at a time, so beyond that something is wrong: 503


def run_studio(folder: Path, port: int, open_browser: bool, log: Callable[[str], None]) -> None:
    """Serve the studio for `folder` on this machine's own address, until it is interrupted.

    Args:
        port: 0 takes any free one.
        tell: called with what a person should read, once it answers.

    Raises:
        DataError: there is no such folder.
        MuslinError: the port is in use.
    """
    import uvicorn

    from muslin.studio.app import studio

    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder. Give the folder with your models and images.")
    folder = folder.resolve()
    listening = _listen(port)
    port = listening.getsockname()[1]
    address = f"http://{HOST}:{port}"
    config = uvicorn.Config(
        studio(folder, port),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_AT_ONCE,
        timeout_graceful_shutdown=5,
        ws="none",
        lifespan="off",
    )
    log(f"looking into {folder}\n{address}  (Ctrl-C ends it)")
    if open_browser:
        webbrowser.open(address)
    uvicorn.Server(config).run(sockets=[listening])


def _listen(port: int) -> socket.socket:
    """A bound socket that listens already, so that whoever reads the address may connect at once."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise MuslinError(
                f"port {port}: is in use or not allowed. Give another with --port, or 0 for any that is free."
            ) from error
        raise
    return listening
