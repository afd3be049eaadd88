"""The paths of the training room and of the tagging room, beside those of jobs."""

from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from muslin.studio.model_files import file_within
from muslin.studio.room_routes import MAX_QUEUED, post_route
from muslin.studio.training_values import TrainingRoom
from muslin.studio.work_queue import WorkQueue
from muslin.web.requests import text_of

THREADS = 4
TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".parquet", ".jsonl")


def training_routes(root: Path) -> list[Route]:
    """All paths below /api/training/, and /api/tagged."""
    room, queue = TrainingRoom(root), WorkQueue(THREADS, MAX_QUEUED)

    async def tagged(request: Request) -> Response:
        path = await queue.run(lambda: file_within(root, text_of(request.query_params, "file"), TABLE_SUFFIXES))
        saved = f"attachment; filename*=UTF-8''{quote(path.name)}"
        return FileResponse(path, headers={"content-disposition": saved}, media_type="application/octet-stream")

    return [
        post_route(queue, "/api/training/run", room.run),
        post_route(queue, "/api/training/epoch", room.epoch),
        Route("/api/tagged", tagged, methods=["GET"]),
    ]
