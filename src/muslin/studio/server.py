"""Run the studio until Ctrl-C."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from muslin.errors import DataError
from muslin.messages import Log

if TYPE_CHECKING:
    from muslin.studio.review_routes import ReviewRoom

HOST = "127.0.0.1"
MAX_PENDING = 256  # connections that the system holds, and that are accepted in one go


def run_studio(folder: Path, port: int, open_browser: bool, log: Log, store: str | None = None) -> None:
    """Serve the studio for `folder` on this machine's own address until it is interrupted.

    Args:
        port: 0 takes a free one.
        log: called with the address, once the server accepts requests.
        store: a path or a URL of a review store, with which the page begins.

    Raises:
        DataError: there is no such folder, or no such store.
        StorageError: the store cannot be opened.
        MuslinError: the port is in use.
    """
    from muslin.studio.review_routes import ReviewRoom

    if not folder.is_dir():
        raise DataError("folder_missing", path=str(folder))
    room = ReviewRoom.of(folder.resolve(), store)
    try:
        page = "" if store is None else f"/#{urlencode({'page': 'review', 'store': room.stores.open_served()})}"
        _serve(folder.resolve(), room, port, page, open_browser, log)
    finally:
        room.close()


def _serve(folder: Path, room: "ReviewRoom", port: int, page: str, open_browser: bool, log: Log) -> None:
    import uvicorn

    from muslin.studio.app import studio
    from muslin.studio.connections import STOP_S, Connection, StudioServer
    from muslin.studio.data_sets import start_spare_process
    from muslin.web.listening import listen

    listening = listen(HOST, port, MAX_PENDING)  # before the address is printed
    port = listening.getsockname()[1]
    address = f"http://{HOST}:{port}{page}"
    config = uvicorn.Config(
        studio(folder, port, room),
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
    start_spare_process()
    log(f"serving {folder}\n{address}  (Ctrl-C ends it)")
    if open_browser:
        webbrowser.open(address)
    StudioServer(config, log).run(sockets=[listening])
