"""The paths of the home page: what the folder holds, and files that a person drops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.studio.folder_contents import FolderContents
from muslin.studio.imports import MAX_BYTES, MAX_FILES, Imports, wanted_suffixes
from muslin.studio.room_routes import MAX_QUEUED, get_route, post_route
from muslin.studio.work_queue import WorkQueue
from muslin.web.requests import Body, integer_of, text_of, value_of
from muslin.web.responses import response_of

THREADS = 4


def home_routes(root: Path) -> list[Route]:
    """`/api/contents`, and all paths below /api/imports/; `root` is the studio's folder, with links resolved."""
    contents, imports = FolderContents(root), Imports(root)
    queue = WorkQueue(THREADS, MAX_QUEUED)

    def post(path: str, answer: Callable[[Body], Any]) -> Route:
        return post_route(queue, f"/api/imports/{path}", answer)

    async def add(request: Request) -> Response:
        body = await request.body()
        return response_of(request, await queue.run(lambda: imports.add(body)))

    return [
        get_route(queue, "/api/contents", lambda: contents.rows() | {"imports": imports.rows()}),
        post("check", lambda body: wanted_suffixes(value_of(body, "names", dict))),
        post("start", lambda body: imports.start(text_of(body, "name"), *_announced(body))),
        Route("/api/imports/add", add, methods=["POST"]),
        post("finish", lambda body: imports.finish(text_of(body, "name"))),
        post("discard", lambda body: imports.discard(text_of(body, "name"))),
    ]


def _announced(body: Body) -> tuple[int, int]:
    return integer_of(body, "files", 0, MAX_FILES), integer_of(body, "bytes", 0, MAX_BYTES)
