"""Make the images of the server's page in docs/images: on a desk, and on a phone in the dark.

    python docs/images/serve.py MODEL PHOTO...

Starts `muslin serve` with the model, drops the photos on its page in a headless Chromium, and saves what is seen.
"""

import base64
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "tests/browser")]

from chromium import Page, chromium  # noqa: E402
from make import of_256_colours  # noqa: E402
from page_actions import drop, until  # noqa: E402

from server_process import running_server  # noqa: E402

SCREENS = {"serve": (1000, 1060, "light"), "serve-phone": (390, 844, "dark")}
SETTLE_S = 1


def main(model: Path, photos: list[Path]) -> None:
    with running_server(f"clothes={model}") as server, chromium() as page:
        page.resize(1000, 900)
        page.visit(f"{server.address}/")
        until(page, "document.querySelector('.drop') !== null")
        drop(page, *photos)
        until(page, f"document.querySelectorAll('.card .verdict').length === {len(photos)}")
        for name, (width, height, scheme) in SCREENS.items():
            page.resize(width, height, phone=width < 500)
            page.prefer(scheme)
            time.sleep(SETTLE_S)
            small = of_256_colours(photographed(page, width, height))
            (HERE / f"{name}.png").write_bytes(small)
            print(f"wrote docs/images/{name}.png ({len(small):,} bytes)")


def photographed(page: Page, width: int, height: int) -> bytes:
    """The upper part of the page as a PNG file."""
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    return base64.b64decode(page.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
