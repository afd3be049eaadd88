"""How well are images told that are none of the model's classes: digits, noise, blanks, photos, and classes left out.

    python benchmarks/not_ours.py RUN [--photos DATA] [--leave-out 2] [--count 2000] [--note SENTENCE]

Takes a run on Fashion-MNIST (`muslin train fashion-mnist --out RUN`). Each kind of stranger is compared with
Fashion-MNIST's test images by how strange the model finds them: the area under the ROC curve (1: every stranger
stranger than every true image) with its 95 % bootstrap interval, and the share of each that is called not ours.
`--photos` is a set of product photos, as `clothing-small`, which go through Fashion-MNIST's transform. Then `quick` is
trained on Fashion-MNIST without two classes (drawn with seed 0), whose images are the strangers; `--leave-out 0`
leaves that out. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import begun, keep

PX = 28


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--photos", help="product photos: a known name, a folder or an archive")
    parser.add_argument("--leave-out", type=int, default=2, help="how many classes")
    parser.add_argument("--count", type=int, default=2_000, help="strangers of each kind")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    from muslin.data import read
    from muslin.data.dataset import pixel_array
    from muslin.models.predictor import Predictor
    from muslin.workflows import train as train_workflow

    head = begun(
        "How well are images told that are none of the model's classes?",
        arguments.note,
    )
    dataset, predictor = read("fashion-mnist"), Predictor.open(arguments.run)
    ours = pixel_array(dataset.part("test"))
    random = np.random.default_rng(0)
    strangers = {
        "digits": digits(arguments.count, random),
        "noise": random.integers(0, 256, (arguments.count, PX, PX, 1), dtype=np.uint8),
        "gray noise": np.clip(random.normal(128, 40, (arguments.count, PX, PX, 1)), 0, 255).astype(np.uint8),
        "blank": np.broadcast_to(
            np.arange(256, dtype=np.uint8)[:, None, None, None], (256, PX, PX, 1)
        ).copy(),
    }
    if arguments.photos:
        photos = read(arguments.photos)
        some = np.sort(random.permutation(len(photos))[: arguments.count])
        photos = replace(photos.take(some), transform="fashion-mnist")
        strangers["photos"] = pixel_array(train_workflow.in_model_pixels(predictor, photos))
    measured = against(predictor, ours, strangers)
    if arguments.leave_out:
        left_out = np.sort(random.choice(10, arguments.leave_out, replace=False))
        names = [dataset.target("label").classes[i] for i in left_out]
        with tempfile.TemporaryDirectory() as folder:
            run = train_workflow.train(without(dataset, left_out), out=Path(folder) / "run")
            fewer = Predictor.open(run.folder)
        labels = dataset.part("test").labels["label"]
        strange = np.isin(labels, left_out)
        found = against(fewer, ours[~strange], {f"left out: {', '.join(names)}": ours[strange]})
        measured["strangers"] |= found["strangers"]
        measured["ours_without_them"] = found["ours"]
    result = {
        **measured,
    }
    print(json.dumps(measured, indent=1))
    keep(head, result)


def against(
    predictor: Any, ours: NDArray[np.uint8], strangers: dict[str, NDArray[np.uint8]]
) -> dict[str, Any]:
    """Per kind of stranger the area under the ROC curve against `ours`, and how many are called not ours."""
    from muslin.evaluation.curves import resamples, roc_areas, with_interval
    from muslin.evaluation.intervals import wilson_interval

    ood_detector = predictor.bundle.ood_detector

    def ood_score(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = ood_detector.ood_score(predictor.infer_raw(pixels)[1])
        return found

    known = ood_score(ours)
    beyond = int((known > ood_detector.limit).sum())
    rows = {}
    for name, pixels in strangers.items():
        strange = ood_score(pixels)
        truth = np.concatenate([np.zeros(len(known), np.int64), np.ones(len(strange), np.int64)])
        area, interval = with_interval(
            roc_areas, truth, np.concatenate([known, strange]), resamples(len(truth), len(truth))
        )
        rows[name] = {
            "images": len(pixels),
            "auroc": area,
            "interval": interval,
            "called_not_ours": float((strange > ood_detector.limit).mean()),
        }
    return {
        "ours": {
            "images": len(known),
            "called_not_ours": beyond / len(known),
            "interval": wilson_interval(beyond, len(known)),
        },
        "strangers": rows,
    }


def digits(count: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Digits as MNIST has them: white strokes on black, 20 px high, slanted and shifted, with soft edges."""
    from PIL import Image, ImageDraw, ImageFont

    images = np.empty((count, PX, PX, 1), np.uint8)
    for place in range(count):
        large = Image.new("L", (8 * PX, 8 * PX))
        font = ImageFont.load_default(size=int(random.integers(150, 190)))
        ImageDraw.Draw(large).text(
            (4 * PX, 4 * PX),
            str(place % 10),
            fill=255,
            font=font,
            anchor="mm",
            stroke_width=int(random.integers(0, 8)),
        )
        large = large.rotate(float(random.normal(0, 10)), Image.Resampling.BILINEAR)
        shift = tuple(int(s) for s in random.integers(-12, 13, 2))
        large = large.transform(large.size, Image.Transform.AFFINE, (1, 0.2, shift[0] - 22, 0, 1, shift[1]))
        images[place, :, :, 0] = np.asarray(large.resize((PX, PX), Image.Resampling.BOX))
    return images


def without(dataset: Any, classes: NDArray[np.int64]) -> Any:
    """The data without the images of these classes, and without the classes."""
    target = dataset.target("label")
    kept = [i for i in range(len(target.classes)) if i not in classes]
    fewer = dataset.take(np.flatnonzero(np.isin(dataset.labels["label"], kept)))
    named = replace(target, classes=tuple(target.classes[i] for i in kept))
    return replace(fewer, targets=(named,), labels={"label": np.searchsorted(kept, fewer.labels["label"])})


if __name__ == "__main__":
    main()
