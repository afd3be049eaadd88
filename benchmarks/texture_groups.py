"""Accuracy on crops of photographed surfaces, with the surface as the group and without; and what is said of it.

    python benchmarks/texture_groups.py [DATA] [--photos N] [--crops N] [--note SENTENCE]

DATA is clothing-small, by default as `muslin get` keeps it. Cuts CROPS random crops from the middle of PHOTOS photos of
each class. They are a table with the columns image, label, sample_id (the photo) and lot (at random). Trains the recipe
photo twice, seed 0: as muslin finds the group, and with --group none. Writes accuracies, groups and messages to
benchmarks/results/.
"""

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from results_file import start_result, write_result

CROP_PX = 160
SEED = 0


def write_crops(data: str, folder: Path, n_photos: int, n_crops: int) -> Path:
    """The photos of the crops, and the table that names them."""
    from muslin.data import read

    dataset = read(data)
    labels, classes = dataset.labels[dataset.targets[0].name], dataset.targets[0].classes
    random, rows = np.random.default_rng(SEED), []
    (folder / "photos").mkdir(parents=True)
    chosen = np.concatenate([np.flatnonzero(labels == index)[:n_photos] for index in range(len(classes))])
    for sample, index in enumerate(chosen.tolist()):
        photo = Image.fromarray(dataset.images[index])
        width, height = photo.size
        side = min(photo.size) * 2 // 5
        for crop in range(n_crops):
            left, top = (int(size / 4 + random.random() * (size - side) / 2) for size in (width, height))
            name = f"photos/{sample:04}-{crop}.jpg"
            piece = photo.crop((left, top, left + side, top + side)).resize((CROP_PX, CROP_PX))
            piece.convert("RGB").save(folder / name, quality=85)
            rows.append((name, classes[labels[index]], f"S{sample:04}", f"lot {random.integers(len(chosen) // 3)}"))
    random.shuffle(rows)
    with open(folder / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "sample_id", "lot"), *rows])
    return folder / "table.csv"


def measure(table: Path, out: Path, group: str | None) -> dict[str, Any]:
    import muslin

    options = {} if group is None else {"group": group}
    run = muslin.train(table, recipe="photo", out=out, seed=SEED, read_options={"target": "label", **options})
    record = run.record
    fixes = [fix["message"] if isinstance(fix, dict) else str(fix) for fix in record["data"]["fixes"]]
    return {"group": group, "test": record["test"]["label"], "train_s": record["train_s"], "messages": fixes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="clothing-small")
    parser.add_argument("--photos", type=int, default=40, help="of each class (default 40)")
    parser.add_argument("--crops", type=int, default=4, help="of each photo (default 4)")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    question = "How much higher is the accuracy where crops of one surface are on both sides of the split?"
    result = start_result(question, arguments.note)
    with tempfile.TemporaryDirectory() as folder:
        table = write_crops(arguments.data, Path(folder) / "data", arguments.photos, arguments.crops)
        runs = [measure(table, Path(folder) / str(group), group) for group in (None, "none")]
    write_result(result, {"photos": arguments.photos, "crops": arguments.crops, "seed": SEED, "runs": runs})


if __name__ == "__main__":
    main()
