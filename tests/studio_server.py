"""A real `muslin studio` on this machine, for tests in a browser and over HTTP."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from muslin.models.bundle import seal
from small_models import small_bundle

WAIT_S = 30


def write_shop(folder: Path) -> None:
    """A small model and a photo of noise, which takes a megabyte to send, in `folder`."""
    seal(small_bundle(), folder / "first.muslin")
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")


@contextmanager
def running_studio(folder: Path, *words: str) -> Iterator[str]:
    """The address of the studio of `folder`, or of another command that serves; the process ends with the block."""
    with studio_process(folder, *words) as (address, _):
        yield address


@contextmanager
def studio_process(folder: Path, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The same, and its process."""
    program = ["env", "--default-signal=INT", sys.executable, "-m", "muslin"]  # a shell's background job ignores SIGINT
    command = [*program, *(words or ("studio", str(folder))), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found[0], process
                    break
            else:
                raise AssertionError("the studio ended before it printed its address")
        finally:
            process.terminate()
            process.wait(WAIT_S)
