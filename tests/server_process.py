"""A real `muslin serve` on this machine, for tests over HTTP."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WAIT_S = 30


@dataclass(frozen=True)
class Served:
    """A server that is ready.

    Attributes:
        address: such as `http://127.0.0.1:8000`.
        client: sends requests to it, by paths.
    """

    address: str
    process: "subprocess.Popen[str]"
    client: httpx.Client

    def predict(self, *contents: bytes, **query: Any) -> httpx.Response:
        """The response to a form with these files in fields `image`, named `0.png`, `1.png` and so on."""
        files = [("image", (f"{place}.png", content)) for place, content in enumerate(contents)]
        return self.client.post("/v1/predict", files=files, params=query)


@contextmanager
def running_server(*words: str, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """A server of `muslin serve WORDS` at a free port; the process ends with the block."""
    command = [sys.executable, "-m", "muslin", "serve", *words, "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            for line in process.stderr:
                said += line
                if found := re.search(r"http://[\d.]+:\d+", line):
                    with httpx.Client(base_url=found[0], timeout=WAIT_S, trust_env=False) as client:
                        yield Served(found[0], process, client)
                    break
            else:
                raise AssertionError(f"the server ended before it printed its address: {said}")
        finally:
            process.terminate()
            process.wait(WAIT_S)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of uint8 (height, width) or (height, width, 3)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def gray(brightness: int, side: int = 8) -> bytes:
    """A PNG file of one gray."""
    return png(np.full((side, side), brightness, np.uint8))
