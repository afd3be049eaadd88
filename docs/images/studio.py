"""Make the studio's images in docs/images, from a model and its golden images.

    python docs/images/studio.py FOLDER      # a folder with a model that was trained on Fashion-MNIST

Starts `muslin studio FOLDER`, opens each page in a headless Chromium, and saves a screenshot.
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

MODEL = "page=model&model={model}&image=golden:1&tab="
LAYER = "block1_conv1"  # of the recipe quick
PAGES = {  # name: the part after the #, an element to wait for, width in px, colours, and a click
    "studio-home": ("", ".row .thumbnails img", 1100, "light", ""),
    "studio-preprocessing": (MODEL + "preprocessing", ".strip .step", 1280, "light", ""),
    "studio-network": (MODEL + "network", ".node canvas[width='126']", 1280, "light", ""),
    "studio-layer": (MODEL + f"network&layer={LAYER}&channel=4", ".layer-step", 1280, "light", ""),
    "studio-attribution": (MODEL + "attribution&checks=1", ".test svg", 1280, "light", ""),
    "studio-edits": (
        MODEL + "edits&image_edits=%7B%22rotate%22%3A20%7D&model_edits="
        f"%5B%7B%22kind%22%3A%22channel_off%22%2C%22layer%22%3A%22{LAYER}%22%2C%22channel%22%3A4%7D%5D",
        ".edits li", 1280, "dark", "[...document.querySelectorAll('.buttons button')].pop().click()",
    ),
    "studio-playground": ("page=playground&padding=1", ".arithmetic .big", 1280, "light", ""),
    "studio-phone": (MODEL + "network", ".node", 390, "dark", ""),
    "studio-image": (
        "page=playground", ".arithmetic .big", 1100, "light", "document.querySelector('.chosen button').click()",
    ),
}  # fmt: skip


def main(folder: Path) -> None:
    with running_studio(folder) as address, chromium() as page:
        model = next(folder.rglob("*.muslin")).relative_to(folder).as_posix()
        for name, (link, wanted, width, scheme, click) in PAGES.items():
            page.resize(width, 900, phone=width < 500)
            page.prefer(scheme)
            page.visit(f"{address}/#{link.format(model=model)}")
            for _ in range(400):
                if page.run(f"document.querySelector({wanted!r}) !== null"):
                    break
                time.sleep(0.05)
            if click:
                page.run(click)
            time.sleep(1.5)  # thumbnails and feature maps
            height = 900 if "image" in name else min(page.run("document.documentElement.scrollHeight"), 1600)
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            shot = page.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
            small = of_256_colours(base64.b64decode(shot))
            (HERE / f"{name}.png").write_bytes(small)
            print(f"wrote docs/images/{name}.png ({len(small):,} bytes)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
