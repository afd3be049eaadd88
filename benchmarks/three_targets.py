"""Are three targets trained together as accurate as each alone, with two fifths of their labels unknown?

    python benchmarks/three_targets.py PHOTOS [--recipe photo] [--unknown 0.4] [--seed 0] [--note SENTENCE]

PHOTOS is the archive of clothing-small. Each photo has three targets: what it shows (ten classes), where that is worn
(head, upper body, lower body, whole body, feet), and how bright its middle is (dark, medium, bright: thirds of the
training photos). The given share of the labels of the training and validation photos is removed at random. `muslin
train` trains each target alone and all three together, on the same table. The result is the accuracy on the 372 test
photos, all of whose labels are known.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from results_file import start_result, write_result

from muslin.data import read
from muslin.data.photos import PhotoImages, resize_photos

WORN = {
    "hat": "head",
    "t-shirt": "upper body",
    "longsleeve": "upper body",
    "shirt": "upper body",
    "outwear": "upper body",
    "pants": "lower body",
    "shorts": "lower body",
    "skirt": "lower body",
    "dress": "whole body",
    "shoes": "feet",
}
TARGETS = ("kind", "worn", "brightness")


def centre_brightness(images: PhotoImages, side: int = 48) -> np.ndarray:
    """Per photo the mean luminance, 0 to 255, of its middle third (ITU-R BT.601)."""
    third = side // 3
    weights = np.array([0.299, 0.587, 0.114])
    return np.array(
        [float((images[i][third : 2 * third, third : 2 * third] @ weights).mean()) for i in range(len(images))]
    )


def write_table(photos: Path, folder: Path, unknown: float, seed: int) -> None:
    """Write `table.csv` to `folder`, with the photos that it names."""
    dataset = read(photos)
    assert isinstance(dataset.images, PhotoImages)
    assert dataset.parts is not None
    (target,) = dataset.targets
    kinds = [target.classes[label] for label in dataset.labels[target.name]]
    brightness = centre_brightness(resize_photos(dataset, (48, 48, 3)).images)
    lower, upper = np.quantile(brightness[dataset.parts == "train"], [1 / 3, 2 / 3])
    is_unknown = np.random.default_rng(seed).random((len(dataset), len(TARGETS))) < unknown
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "part", *TARGETS])
        for i, part in enumerate(dataset.parts):
            path = folder / "photos" / f"{i:05}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(dataset.images.photos[i].content())
            bright = ("dark", "medium", "bright")[int(np.searchsorted([lower, upper], brightness[i]))]
            cells = [kinds[i], WORN[kinds[i]], bright]
            hidden = is_unknown[i] & (part != "test")
            rows.writerow([path.name, part, *("" if h else cell for cell, h in zip(cells, hidden, strict=True))])


def test_accuracy(folder: Path, recipe: str, seed: int, targets: tuple[str, ...]) -> dict[str, float]:
    """Train on the table; the accuracy on the test photos, per target."""
    chosen = [word for name in targets for word in ("--target", name)]
    words = ["--images", str(folder / "photos"), "--image-column", "image", "--split-column", "part", *chosen]
    command = [sys.executable, "-m", "muslin", "train", str(folder / "table.csv"), "--recipe", recipe]
    out = folder / "-".join(targets)
    command += ["--seed", str(seed), "--out", str(out), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    made = json.loads(done.stdout[done.stdout.index("{") :])
    return {name: metrics["accuracy"] for name, metrics in made["test"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recipe", default="photo")
    parser.add_argument("--unknown", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    words = [options.photos.name, "--recipe", options.recipe, "--unknown", str(options.unknown)]
    head = start_result((__doc__ or "").splitlines()[0], options.note, [*words, "--seed", str(options.seed)])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_table(options.photos, folder, options.unknown, options.seed)
        together = test_accuracy(folder, options.recipe, options.seed, TARGETS)
        alone = {name: test_accuracy(folder, options.recipe, options.seed, (name,))[name] for name in TARGETS}
    rows = [
        {
            "target": name,
            "together": together[name],
            "alone": alone[name],
            "points": 100 * (together[name] - alone[name]),
        }
        for name in TARGETS
    ]
    for row in rows:
        print(json.dumps(row))
    write_result(head, {"rows": rows})


if __name__ == "__main__":
    main()
