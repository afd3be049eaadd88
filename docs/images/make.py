"""Make the README's part about scripts/demo (its output, shortened) and the images of the report.

    python docs/images/make.py              # runs scripts/demo, then rewrites README.md's part and the images
    python docs/images/make.py DEMO.txt     # the same from the output of an earlier demo

`scripts/demo 2>&1 | tee DEMO.txt` writes DEMO.txt; its run must still exist. Needs Chromium and Pillow.
"""

import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- demo -->", "<!-- /demo -->"
LINES_SHOWN = {"look": 8, "evaluate": 10, "inspect": 4}
"""Lines shown of the output of these commands; the rest is counted."""
REPORT_PX = (1100, 760)  # width and height of the top: the accuracy, what it confuses, what to look at next
PREDICTIONS_PX = (1100, 760)
MAX_BYTES = 400_000
ONLY = (
    "<style>header,footer,nav,.summary,.key-metrics,section:not(#{}){{display:none}}"
    "section{{padding:0}}h2{{margin-top:24px}}</style>"
)
"""Hides everything but one section of a page."""


def main(arguments: list[str]) -> None:
    if arguments:
        output = Path(arguments[0]).read_text(encoding="utf-8")
    else:
        command = ["bash", str(ROOT / "scripts/demo")]
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    report = Path(re.findall(r"^  (/.*/report\.html)$", output, re.MULTILINE)[-1])
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    run = json.loads((report.parent / "run.json").read_text(encoding="utf-8"))
    machine = f"{run['machine']['processor']}, {run['machine']['cores']} cores"
    source = f"Printed on {run['started'][:10]}; processor: {machine}."
    block = f"```console\n{shortened(output, report.parents[2])}\n```\n\n{source}"
    README.write_text(f"{before}{BEGIN}\n{block}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    page = report.read_text(encoding="utf-8")
    images = {
        "report.png": screenshot(page, REPORT_PX),
        "predictions.png": screenshot(page.replace("</head>", ONLY.format("predictions") + "</head>"), PREDICTIONS_PX),
    }
    for name, content in images.items():
        small = of_256_colours(content)
        if len(small) > MAX_BYTES:
            raise SystemExit(f"{name} has {len(small):,} bytes, more than {MAX_BYTES:,}: make it smaller.")
        (HERE / name).write_bytes(small)
        print(f"wrote docs/images/{name} ({len(small):,} bytes)")
    print("wrote the demo's part of README.md")


def shortened(output: str, clone: Path) -> str:
    """The demo's output from its first command on, without the clone's own path."""
    lines: list[str] = []
    steps = re.split(r"^\$ ", output.replace(str(clone), "…"), flags=re.MULTILINE)[1:]
    steps[-1], _, end = steps[-1].strip().rpartition("\n\n")  # where the report is
    for step in steps:
        command, *printed = (line.rstrip() for line in step.strip().splitlines())
        most = LINES_SHOWN.get(command.split()[1], len(printed))
        left_out = [f"… {len(printed) - most} more lines"] if len(printed) > most else []
        lines += [f"$ {command}", *printed[:most], *left_out, ""]
    return "\n".join([*lines, end])


def screenshot(html: str, size_px: tuple[int, int]) -> bytes:
    """The top of a page in a browser, as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        page, image = Path(folder) / "page.html", Path(folder) / "page.png"
        page.write_text(html, encoding="utf-8")
        size, profile = f"--window-size={size_px[0]},{size_px[1]}", f"--user-data-dir={folder}/profile"
        quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        command = ["chromium", *quiet, size, profile, f"--screenshot={image}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        return image.read_bytes()


def of_256_colours(image: bytes) -> bytes:
    """The same PNG at a third of the size; it looks the same."""
    small = io.BytesIO()
    few = Image.open(io.BytesIO(image)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
