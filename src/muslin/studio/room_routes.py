"""Routes of a room: a request is checked and answered in one of the room's threads, and the result is packed."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.studio.work_queue import WorkQueue
from muslin.web.requests import Body
from muslin.web.responses import json_body, response_of

MAX_QUEUED = 32
"""Requests of a room that are being answered: a page sends a handful at a time."""


def post_route(queue: WorkQueue, path: str, answer: Callable[[Body], Any]) -> Route:
    """POST `path`: `answer` takes the request's JSON, and gives what `muslin.web.responses.response_of` packs."""

    async def handle(request: Request) -> Response:
        body = await json_body(request)
        response: Response = await queue.run(lambda: response_of(request, answer(body)))
        return response

    return Route(path, handle, methods=["POST"])


def get_route(queue: WorkQueue, path: str, answer: Callable[[], Any]) -> Route:
    """GET `path`, without parameters."""

    async def handle(request: Request) -> Response:
        response: Response = await queue.run(lambda: response_of(request, answer()))
        return response

    return Route(path, handle, methods=["GET"])
