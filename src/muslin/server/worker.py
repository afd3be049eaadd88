"""One process that serves: the only one, or one of several workers."""

import socket
from collections.abc import Callable

import uvicorn

from muslin.messages import Log
from muslin.printing import log as print_log
from muslin.server.app import create_app
from muslin.server.graceful_server import GracefulServer
from muslin.server.models import ModelTable
from muslin.server.processes import WorkerFolder, when_orphaned
from muslin.server.settings import Settings
from muslin.web.connections import Connection


def run_worker(settings: Settings, listening: socket.socket, folder: WorkerFolder) -> None:
    """Serve as one of several workers until the supervisor says so, or is gone."""

    def announce(models: ModelTable, server: GracefulServer) -> None:
        when_orphaned(server.stop, folder)
        folder.write_state({"ready": True, "models": {model.name: model.digest for model in models.values()}})

    serve(settings, listening, announce, print_log)


def serve(
    settings: Settings, listening: socket.socket, when_ready: Callable[[ModelTable, GracefulServer], object], log: Log
) -> None:
    """Serve the models of `settings` in this process until SIGTERM or SIGINT.

    Args:
        when_ready: called in the event loop once requests are accepted.

    Raises:
        BundleError: a model cannot be used.
        DataError: the precision or the guarantee is out of range.
    """
    models = ModelTable.of(settings)
    config = uvicorn.Config(
        create_app(settings, models),
        log_level="error",
        access_log=False,
        use_colors=False,
        server_header=False,
        http=Connection,
        ws="none",
        lifespan="off",
        root_path=settings.root_path,
    )
    server = GracefulServer(config, settings.grace_s, log, lambda: when_ready(models, server))
    server.run(sockets=[listening])
