"""A registered data set on a real server that sends it slowly, so that a download can be disturbed."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from fork_server import Job
from inputs import Inputs

from idx_files import images_file, labels_file, put
from muslin.data.synthetic import make_garments
from served_files import QuietHandler, serving


class Slow(QuietHandler):
    """Sends files in small pieces."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with suppress(OSError):  # the other side was killed
            while piece := source.read(2048):
                outputfile.write(piece)
                time.sleep(0.001)


@contextmanager
def serving_dataset(folder: Path) -> Iterator[dict[str, Any]]:
    """The fields of a registered data set while a server has its files, which are written into `folder`."""
    garments = make_garments(60, seed=5)
    pixels, labels = garments.dataset.images.pixels, garments.true_labels
    contents = {}
    for prefix, part in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        contents[f"{prefix}-images-idx3-ubyte"] = images_file(pixels[part])
        contents[f"{prefix}-labels-idx1-ubyte"] = labels_file(labels[part])
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    put(folder / "tiny", contents)
    with serving(partial(Slow, directory=str(folder / "tiny"))) as url:
        yield {"name": "tiny", "name_pattern": "tiny", "urls": [url], "files": digests}


def download_job(inputs: Inputs, tiny: dict[str, Any], folder: Path, *words: object) -> Job:
    """`muslin get` into a cache in `folder`."""
    constants = {"muslin.storage.download:BLOCK_BYTES": 2048}
    environment = inputs.environment(folder / "cache")
    return Job(["get", "tiny", *words, "--json"], folder, environment, datasets=[tiny], constants=constants)


def cached_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "cache/muslin/tiny").iterdir()}
