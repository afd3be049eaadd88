"""`GET /`: a page to try the models, and its files. It needs nothing but this server."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.web.page_files import MEDIA_TYPES, page_files, static_route

PAGE = Path(__file__).with_name("page")


def page_routes() -> list[Route]:
    """The page, its files below `/static/`, and no icon."""
    files = page_files(PAGE)
    _, index = files.pop("index.html")

    async def page(request: Request) -> Response:
        return Response(index, media_type=MEDIA_TYPES[".html"], headers={"cache-control": "no-cache"})

    return [Route("/", page), Route("/favicon.ico", Response(status_code=204)), static_route(files)]
