"""Make what the README shows of scripts/demo: its output, shortened, and images of the report that it left.

    python docs/images/make.py              # runs scripts/demo, then rewrites README.md's part and the images
    python docs/images/make.py DEMO.txt     # the same from what scripts/demo printed before

DEMO.txt is made by `scripts/demo 2>&1 | tee DEMO.txt`; its run must still be there. Needs Chromium and Pillow.
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
SHOWN = {"look": 8, "evaluate": 9, "inspect": 4}
"""Of these commands' output only so many lines are shown; what is left out is counted."""
SIZE_PX = (1100, 850)  # width and height of the top: the verdict, what it confuses, and where to look next
MOST_BYTES = 400_000


def main(arguments: list[str]) -> None:
    if arguments:
        printed = Path(arguments[0]).read_text(encoding="utf-8")
    else:
        command = ["bash", str(ROOT / "scripts/demo")]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
        printed = done.stdout
    report = Path(re.findall(r"^  (/.*/report\.html)$", printed, re.MULTILINE)[-1])
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    run = json.loads((report.parent / "run.json").read_text(encoding="utf-8"))
    machine = f"{run['machine']['processor']}, {run['machine']['cores']} cores"
    made = f"Printed on {run['started'][:10]}; processor: {machine}."
    block = f"```console\n{shortened(printed, report.parents[2])}\n```\n\n{made}"
    README.write_text(f"{before}{BEGIN}\n{block}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    images = {
        "report.png": screenshot(report),
        "predictions.png": (report.parent / "predictions.png").read_bytes(),
    }
    for name, content in images.items():
        small = of_256_colours(content)
        if len(small) > MOST_BYTES:
            raise SystemExit(f"{name} has {len(small):,} bytes, more than {MOST_BYTES:,}: make it smaller.")
        (HERE / name).write_bytes(small)
        print(f"wrote docs/images/{name} ({len(small):,} bytes)")
    print("wrote the demo's part of README.md")


def shortened(printed: str, clone: Path) -> str:
    """The demo's output from its first command on, without this machine's own path."""
    lines: list[str] = []
    for step in re.split(r"^\$ ", printed.replace(str(clone), "…"), flags=re.MULTILINE)[1:]:
        step, *said = step.split("\nDone. ")
        command, *output = (line.rstrip() for line in step.strip().splitlines())
        most = SHOWN.get(command.split()[1], len(output))
        left_out = [f"… {len(output) - most} more lines"] if len(output) > most else []
        lines += [f"$ {command}", *output[:most], *left_out, ""]
        lines += [f"Done. {line.strip()}" for line in said]
    return "\n".join(lines).strip()


def screenshot(page: Path) -> bytes:
    """The top of `page` in a browser, as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        size, profile = f"--window-size={SIZE_PX[0]},{SIZE_PX[1]}", f"--user-data-dir={folder}/profile"
        quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        command = ["chromium", *quiet, size, profile, f"--screenshot={shot}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        return shot.read_bytes()


def of_256_colours(image: bytes) -> bytes:
    """The same PNG at a third of the size; it looks the same."""
    small = io.BytesIO()
    few = Image.open(io.BytesIO(image)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
