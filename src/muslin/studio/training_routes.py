"""The paths of the training room and of the tagging room, beside those of jobs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from muslin.studio.model_files import file_within
from muslin.studio.requests import Body, text_of
from muslin.studio.responses import json_body, response_of
from muslin.studio.training_values import TrainingRoom
from muslin.studio.work_queue import WorkQueue

THREADS = 4
MAX_QUEUED = 32
TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".parquet", ".jsonl")


def training_routes(root: Path) -> list[Route]:
    """All paths below /api/training/, and /api/tagged."""
    room, queue = TrainingRoom(root), WorkQueue(THREADS, MAX_QUEUED)

    def post(path: str, answer: Callable[[Body], Any]) -> Route:
        async def handle(request: Request) -> Response:
            body = await json_body(request)
            response: Response = await queue.run(lambda: response_of(request, answer(body)))
            return response

        return Route(f"/api/training/{path}", handle, methods=["POST"])

    async def tagged(request: Request) -> Response:
        path = await queue.run(lambda: file_within(root, text_of(request.query_params, "file"), TABLE_SUFFIXES))
        saved = f"attachment; filename*=UTF-8''{quote(path.name)}"
        return FileResponse(path, headers={"content-disposition": saved}, media_type="application/octet-stream")

    return [post("run", room.run), post("epoch", room.epoch), Route("/api/tagged", tagged, methods=["GET"])]
