"""Make the pictures of the studio in docs/pictures, from a model and its own examples.

    python docs/pictures/studio.py FOLDER      # a folder with a model that was trained on Fashion-MNIST

Starts `muslin studio FOLDER`, opens each view in a headless Chromium, and saves what it shows.
"""

import base64
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "tests/browser")]

from chromium import chromium  # noqa: E402
from make import of_256_colours  # noqa: E402

from studio_server import running_studio  # noqa: E402

READY = "document.querySelector('.arithmetic .big, .card .shots img') !== null"
VIEWS = {  # name: what follows the #, width in px, colours, and what is clicked
    "studio-home": ("", 1100, "light", ""),
    "studio-bench": ("page=bench&padding=1", 1280, "light", ""),
    "studio-phone": ("page=bench&padding=1", 390, "dark", ""),
    "studio-picture": ("page=bench", 1100, "light", "document.querySelector('.chosen button').click()"),
}


def main(folder: Path) -> None:
    with running_studio(folder) as address, chromium() as page:
        for name, (link, width, scheme, click) in VIEWS.items():
            page.resize(width, 900, phone=width < 500)
            page.prefer(scheme)
            page.visit(f"{address}/#{link}")
            for _ in range(200):
                if page.run(READY):
                    break
                time.sleep(0.05)
            if click:
                page.run(click)
            time.sleep(0.6)  # thumbnails
            height = 900 if click else min(page.run("document.documentElement.scrollHeight"), 1600)
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            shot = page.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
            small = of_256_colours(base64.b64decode(shot))
            (HERE / f"{name}.png").write_bytes(small)
            print(f"wrote docs/pictures/{name}.png ({len(small):,} bytes)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
