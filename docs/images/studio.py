"""Make the studio's images in docs/images: a screenshot of every view, of a run, its data and two photos.

    muslin train fashion-mnist --recipe tutorial --epochs 10 --snapshots --out FOLDER/runs/tutorial
    python docs/images/studio.py FOLDER            # with runs/tutorial, photos in clothes/CLASS, and a photo mine.jpg
    python docs/images/studio.py FOLDER walk data  # only views whose names hold one of these words

Starts `muslin studio FOLDER`, opens each view in a headless Chromium, does what a person does to get there, and saves
what is seen. The review page's images come from `review.py`.
"""

import base64
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "tests/browser")]

from chromium import chromium  # noqa: E402
from make import of_256_colours  # noqa: E402

from studio_server import running_studio  # noqa: E402

WAIT_S = 180  # some views wait for a job
SETTLE_S = 1.5  # thumbnails and feature maps
MAX_HEIGHT_PX = 1600  # of an image; most end with the page
MODEL = "page=model&model={model}&image=golden:1&tab="
WALK = "page=walk&model={model}&stage="
MISTAKES = "page=mistakes&run={run}&model={model}"
DATA = "page=data&data="
LAYER = "conv1"  # of the recipe tutorial
EDITS = (
    f'&image_edits={quote("""{"rotate":20}""")}&model_edits='
    + quote(f'[{{"kind":"channel_off","layer":"{LAYER}","channel":4}}]')
)  # fmt: skip
START = "document.querySelector('.empty .main')?.click()"
MAIN = "document.querySelector('main .main').click()"
SORT = "document.querySelectorAll('.walksort select').forEach((e, i) => { e.selectedIndex = 1 + i % 3;"
CHANGED = "e.dispatchEvent(new Event('change', { bubbles: true })); })"


class View(NamedTuple):
    """One screenshot.

    Attributes:
        address: the part after the #; {model} and {run} are those of the folder.
        wanted: a selector of what must be there.
        does: what a person does then: expressions of the page, one after the other.
        width: of the screen, in CSS pixels.
        scheme: `light` or `dark`.
        folder: "" for the folder given, `empty` for an empty one.
        height: of the image at most.
        then: a selector of what these actions must bring.
    """

    address: str
    wanted: str
    does: tuple[str, ...] = ()
    width: int = 1280
    scheme: str = "light"
    folder: str = ""
    height: int = MAX_HEIGHT_PX
    then: str = "body"


VIEWS = {
    "studio-home": View("", ".home .row, .home .card"),
    "studio-empty": View("", "main h1", folder="empty", height=900),
    "studio-data": View(DATA + "fashion-mnist", ".dataroom canvas", height=900),
    "studio-mistakes": View(MISTAKES, ".confusion td"),
    "studio-mistakes-cell": View(MISTAKES + "&label=Shirt&predicted=Coat", ".mistakesimages .thumbnail"),
    "studio-why": View(
        MISTAKES + "&label=Shirt&predicted=Coat", ".mistakesimages .thumbnail",
        ("document.querySelector('.mistakesimages .cell').click()",),
        then=".why:has(.near img):has(.whyattribution canvas):has(.channels canvas)", height=2600,
    ),
    "studio-audit": View(
        DATA + "clothes&show=audit", ".empty .main, .findingimages", (START,), then=".findingimages img", height=900
    ),
    "studio-map": View(
        DATA + "clothes&show=map", ".empty .main, canvas.datamap", (START,), then="canvas.datamap", height=1000
    ),
    "studio-camera": View("page=camera", "main h1", height=900),
    "studio-training": View("page=training&data=clothes", "input[name=recipe]"),
    "studio-run": View("page=training&run={run}", ".charts .chart", then="main section img[alt=\"\"], main canvas"),
    "studio-tagging": View("page=tagging&model={model}&data=clothes", "main .main", (MAIN,), then="#tagged"),
    "studio-preprocessing": View(MODEL + "preprocessing", ".strip .step"),
    "studio-network": View(MODEL + "network", ".node canvas"),
    "studio-layer": View(MODEL + f"network&layer={LAYER}&channel=4", ".layer-step"),
    "studio-attribution": View(MODEL + "attribution&checks=1", ".test svg"),
    "studio-edits": View(MODEL + "edits" + EDITS, ".edits li", scheme="dark"),
    "studio-image": View(
        MODEL + "preprocessing", ".given button", ("document.querySelector('.given button').click()",), height=900
    ),
    "studio-playground": View("page=playground&padding=1", ".arithmetic .big"),
    "studio-phone": View(MODEL + "network", ".node", width=390, scheme="dark"),
    "studio-walk-layers": View(WALK + "layers&walk=" + quote('{"changed":"relu"}'), ".task tbody tr"),
    "studio-walk-classes": View(
        WALK + "classes", ".walksort img",
        (SORT + CHANGED, "document.querySelector('.task .main').click()"),
    ),
    "studio-walk-sure": View(WALK + "sure", ".task input", scheme="dark"),
    "studio-walk-photo": View(WALK + "photo&walk=" + quote('{"photo":"file:mine.jpg"}'), ".walkrow img", height=3200),
}  # fmt: skip


def main(folder: Path, words: list[str]) -> None:
    model = next(iter(sorted(folder.rglob("model.muslin")))).relative_to(folder)
    names = {"model": model.as_posix(), "run": model.parent.as_posix()}
    wanted = {name: view for name, view in VIEWS.items() if not words or any(word in name for word in words)}
    with tempfile.TemporaryDirectory() as empty, chromium() as page:
        for kind, served in (("", folder), ("empty", Path(empty))):
            views = {name: view for name, view in wanted.items() if view.folder == kind}
            if views:
                with running_studio(served) as address:
                    for name, view in views.items():
                        write(name, photographed(page, address, view, names))


def photographed(page: Any, address: str, view: View, names: dict[str, str]) -> bytes:
    """The view as a PNG file."""
    page.resize(view.width, 900, phone=view.width < 500)
    page.prefer(view.scheme)
    link = view.address
    for name, value in names.items():
        link = link.replace(f"{{{name}}}", value)
    page.visit(f"{address}/#{link}")
    wait_for(page, view.wanted, link)
    for action in view.does:
        page.run(f"{action}; 0")
        time.sleep(SETTLE_S)
    wait_for(page, view.then, link)
    time.sleep(SETTLE_S)
    height = min(
        page.run("Math.ceil(document.querySelector('body > footer').getBoundingClientRect().bottom + scrollY)"),
        view.height,
    )
    clip = {"x": 0, "y": 0, "width": view.width, "height": height, "scale": 1}
    return base64.b64decode(page.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])


def wait_for(page: Any, selector: str, link: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not page.run(f"document.querySelector({selector!r}) !== null"):
        if time.monotonic() > deadline:
            raise SystemExit(f"{link}: there is no {selector}")
        time.sleep(0.05)


def write(name: str, content: bytes) -> None:
    small = of_256_colours(content)
    (HERE / f"{name}.png").write_bytes(small)
    print(f"wrote docs/images/{name}.png ({len(small):,} bytes)")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
