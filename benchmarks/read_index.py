"""Time and memory to read an index of 300,000 photos with 1,000 attributes.

    python benchmarks/read_index.py [--rows N] [--attributes N] [--note SENTENCE]

Writes lists in DeepFashion's layout (list_attr_img.txt alone has about 900 MB) for photos that are links to one file,
because reading an index opens none. Reads them in a separate process. Prints the result and writes it to
benchmarks/results/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results_file import peak_mb, start_result, write_result

A_FOLDER = 100
"""Photos of one product."""


def write(root: Path, rows: int, attributes: int) -> list[str]:
    names = []
    photo = root / "one.jpg"
    photo.write_bytes(b"")
    for number in range(rows):
        folder = root / f"img/Sheer_Pleated-Front_Blouse_{number // A_FOLDER}"
        if number % A_FOLDER == 0:
            folder.mkdir(parents=True)
        name = f"{folder.relative_to(root)}/img_{number % A_FOLDER + 1:08}.jpg"
        os.link(photo, root / name) if number % 30_000 else (root / name).write_bytes(b"")
        if number % 30_000 == 29_999:  # a file can have only so many names
            photo.unlink()
            photo.write_bytes(b"")
        names.append(name)
    (root / "Anno").mkdir()
    with (root / "Anno/list_attr_cloth.txt").open("w") as file:
        file.write(f"{attributes}\nattribute_name  attribute_type\n")
        file.writelines(f"attribute number {i}   {i % 5 + 1}\n" for i in range(attributes))
    random = np.random.default_rng(0)
    with (root / "Anno/list_attr_img.txt").open("wb") as file:
        file.write(b"%d\nimage_name  attribute_labels\n" % rows)
        texts = np.array([list(b"-1 "), list(b" 0 "), list(b" 1 ")], dtype=np.uint8)
        for name in names:
            file.write(name.encode() + b"   " + texts[random.integers(0, 3, attributes)].tobytes() + b"\n")
    return names


def measure(root: Path) -> dict[str, Any]:
    from muslin.data import read

    logged: list[float] = []
    before, started = peak_mb(), time.perf_counter()
    dataset = read(root, log=lambda sentence: logged.append(time.perf_counter() - started))
    wall = time.perf_counter() - started
    read_mb = peak_mb()
    labels = dataset.labels["attributes"]
    return {
        "rows": len(dataset),
        "attributes": labels.shape[1],
        "dtype": str(labels.dtype),
        "wall_s": round(wall, 1),
        "before_mb": round(before, 1),
        "peak_mb": round(read_mb, 1),
        "sentences": len(logged),
        "checksum": int(labels.sum(dtype=np.int64)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--attributes", type=int, default=1000)
    parser.add_argument("--note", default="")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    wishes = parser.parse_args()
    if wishes.measure:
        print(json.dumps(measure(wishes.measure)))
        return
    head = start_result((__doc__ or "").splitlines()[0], wishes.note)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "DeepFashion"
        root.mkdir()
        write(root, wishes.rows, wishes.attributes)
        list_mb = (root / "Anno/list_attr_img.txt").stat().st_size / 1e6
        command = [sys.executable, __file__, "--measure", str(root)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result = {"list_mb": round(list_mb, 1), **json.loads(output)}
    print(f"{result['rows']:,} × {result['attributes']:,} ({list_mb:.0f} MB) in {result['wall_s']} s, ")
    print(f"peak {result['peak_mb']:.0f} MB, {result['sentences']} sentences")
    write_result(head, result)


if __name__ == "__main__":
    main()
