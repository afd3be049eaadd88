"""The files of a page: scripts, styles and texts of one or several folders under the one address `/static/`.

`web/static` holds what all pages share: Preact, the components without a server behind them, the style sheet and
the words on them. A page has a folder of its own beside its routes, such as `studio/static`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.errors import MuslinError
from muslin.messages import LANGUAGES
from muslin.reporting.colours import DARK, LIGHT, blue_to_orange, viridis
from muslin.reporting.svg.svg import FONT
from muslin.strict_json import json_text

SHARED = Path(__file__).with_name("static")

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


Files = dict[str, tuple[str, bytes]]
"""Media type and content by the name below `/static/`."""


def page_files(*folders: Path) -> Files:
    """The files of `folders` and of `SHARED`, with the joined texts `texts/<language>.json`, colours and ramps.

    Raises:
        ValueError: two folders hold a file of one name, or a text of one key.
    """
    files: Files = {}
    for folder in (SHARED, *folders):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.suffix not in MEDIA_TYPES or name.startswith("texts/"):
                continue
            if name in files:
                raise ValueError(f"{path}: another folder has a file of this name")
            files[name] = MEDIA_TYPES[path.suffix], path.read_bytes()
    for language in LANGUAGES:
        texts = page_texts((SHARED, *folders), language)
        files[f"texts/{language}.json"] = MEDIA_TYPES[".json"], json_text(texts).encode()
    files["colours.css"] = MEDIA_TYPES[".css"], colours_css().encode()
    ramps = {"VIRIDIS": viridis(), "BLUE_TO_ORANGE": blue_to_orange()}
    lines = [f"export const {name} = {json.dumps(ramp.tolist())};\n" for name, ramp in ramps.items()]
    files["ramps.js"] = MEDIA_TYPES[".js"], "".join(lines).encode()
    return files


def page_routes(folder: Path, cache_control: str, replacements: Mapping[str, str] = {}) -> list[Route]:
    """`GET /`, the files below `/static/`, and no icon.

    Args:
        folder: of the page; its `index.html` is the page itself.
        cache_control: how long a browser keeps the page.
        replacements: texts in the page by what stands for them.
    """
    files = page_files(folder)
    kind, index = files.pop("index.html")
    for placeholder, text in replacements.items():
        index = index.replace(placeholder.encode(), text.encode())

    async def page(request: Request) -> Response:
        return Response(index, media_type=kind, headers={"cache-control": cache_control})

    return [Route("/", page), Route("/favicon.ico", Response(status_code=204)), _static_route(files)]


def _static_route(files: Mapping[str, tuple[str, bytes]]) -> Route:
    """GET `/static/NAME` for the files of a page."""

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise MuslinError("page_missing")
        kind, content = files[name]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    return Route("/static/{name:path}", file)


def page_texts(folders: Iterable[Path], language: str) -> dict[str, str]:
    """All texts of the pages in one language, by their keys: those of every file in `texts/<language>` of `folders`.

    Raises:
        ValueError: two files use one key.
    """
    texts: dict[str, str] = {}
    for folder in folders:
        for path in sorted((folder / "texts" / language).glob("*.json")):
            found = json.loads(path.read_text(encoding="utf-8"))
            if both := texts.keys() & found.keys():
                raise ValueError(f"{path}: keys of another file: {sorted(both)}")
            texts |= found
    return texts


def colours_css() -> str:
    """The colours and the font of reports as a style sheet: light, dark, and as the person has chosen."""

    def rule(selector: str, colours: dict[str, str], scheme: str) -> str:
        names = "".join(f"--{name.replace('_', '-')}:{value};" for name, value in colours.items())
        return f"{selector}{{{names}color-scheme:{scheme}}}\n"

    return (
        f":root{{--font:{FONT}}}\n"
        + rule(":root", LIGHT, "light")
        + f"@media (prefers-color-scheme:dark){{{rule(':root', DARK, 'dark')}}}\n"
        + rule(":root[data-theme=light]", LIGHT, "light")
        + rule(":root[data-theme=dark]", DARK, "dark")
    )
