"""One process that serves: the only one, or one of several workers."""

import gc
import socket
from collections.abc import Callable

import uvicorn

from muslin.images.pillow_warnings import without_pillow_warnings
from muslin.server.app import create_app
from muslin.server.connections import FastConnection, allow_connections
from muslin.server.decoding import Decoder
from muslin.server.graceful_server import GracefulServer
from muslin.server.metrics import Metrics
from muslin.server.model_copies import ModelCopies
from muslin.server.model_updates import ModelUpdates
from muslin.server.processes import WorkerFolder, keep_beating, when_orphaned
from muslin.server.request_log import RequestLog, log_libraries
from muslin.server.settings import Settings
from muslin.server.shadows import Shadows

GC_THRESHOLD = 20_000
"""Objects made and not freed, after which Python looks for cycles; 700 are usual."""


def run_worker(settings: Settings, listening: socket.socket, folder: WorkerFolder) -> None:
    """Serve as one of several workers until the supervisor says so, or is gone."""
    serve(settings, listening, lambda: None, folder)


def serve(
    settings: Settings, listening: socket.socket, when_ready: Callable[[], object], folder: WorkerFolder | None = None
) -> None:
    """Serve the models of `settings` in this process until SIGTERM or SIGINT.

    Args:
        when_ready: called once requests are accepted.
        folder: where this process is one of several workers.

    Raises:
        BundleError: a model cannot be used.
        DataError: the precision or the guarantee is out of range.
    """
    allow_connections()
    metrics = Metrics()
    request_log = RequestLog(settings.log_format, on_drop=metrics.lines_dropped)
    log_libraries(request_log)
    copies, shadow_copies = (ModelCopies(folder.path / part if folder else None) for part in ("models", "shadows"))
    log = request_log.event
    models = copies.open(settings.models, settings, log)
    for model in models.values():
        metrics.watch(model)
    candidates = shadow_copies.open(settings.shadows, settings, log)
    shadows = Shadows(candidates, Decoder(1, settings.max_image_bytes), metrics)
    updates = ModelUpdates(settings, models, copies, folder, log, metrics)
    of_shadows = ModelUpdates(settings, candidates, shadow_copies, None, log)
    config = uvicorn.Config(
        create_app(settings, models, updates, shadows, metrics, request_log, lambda: server.is_stopping),
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        http=FastConnection,
        ws="none",
        lifespan="off",
        proxy_headers=False,  # the guard reads them, of the proxies that are trusted
    )

    def begin() -> None:
        if folder:
            when_orphaned(server.stop, folder)
            keep_beating(folder, lambda: models.get_on(settings.request_s))
        updates.announce()
        when_ready()

    def reload() -> None:
        updates.reload_soon()
        of_shadows.reload_soon()

    server = GracefulServer(config, settings.grace_s, log, begin, reload)
    _collect_rarely()
    try:
        with without_pillow_warnings:
            server.run(sockets=[listening])
    finally:
        metrics.flush()
        request_log.close()


def _collect_rarely() -> None:
    """Let Python look for unreachable cycles seldom, and never in what is there already: requests leave none, and
    looking through all modules takes 25 ms, in which nothing is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
