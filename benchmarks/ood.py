"""How well does a model detect images of none of its classes: digits, noise, blanks, photos, classes left out?

    python benchmarks/ood.py RUN [--photos DATA] [--leave-out 2] [--count 2000] [--note SENTENCE]

Takes a run on Fashion-MNIST (`muslin train fashion-mnist --out RUN`). Compares the OOD score of each kind of
out-of-scope image with that of Fashion-MNIST's test images: the area under the ROC curve (1: every out-of-scope image
has a higher score than every test image) with its 95 % bootstrap interval, and the share that is detected. `--photos`
is a set of product photos, such as `clothing-small`, which go through Fashion-MNIST's transform. Then trains `quick`
on Fashion-MNIST without two classes (drawn with seed 0), whose images are the out-of-scope ones; `--leave-out 0` skips
that. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

PX = 28


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--photos", help="product photos: a known name, a folder or an archive")
    parser.add_argument("--leave-out", type=int, default=2, help="how many classes")
    parser.add_argument("--count", type=int, default=2_000, help="images of each kind")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    from muslin.data import read
    from muslin.data.dataset import pixel_array
    from muslin.models.predictor import Predictor
    from muslin.workflows.model_input import to_model_input
    from muslin.workflows.train import train

    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    dataset, predictor = read("fashion-mnist"), Predictor.open(arguments.run)
    test = pixel_array(dataset.part("test"))
    random = np.random.default_rng(0)
    kinds = {
        "digits": digits(arguments.count, random),
        "noise": random.integers(0, 256, (arguments.count, PX, PX, 1), dtype=np.uint8),
        "gray noise": np.clip(random.normal(128, 40, (arguments.count, PX, PX, 1)), 0, 255).astype(np.uint8),
        "blank": np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None, None], (256, PX, PX, 1)).copy(),
    }
    if arguments.photos:
        photos = read(arguments.photos)
        some = np.sort(random.permutation(len(photos))[: arguments.count])
        photos = replace(photos.take(some), transform="fashion-mnist")
        kinds["photos"] = pixel_array(to_model_input(predictor, photos))
    measured = measure_detection(predictor, test, kinds)
    if arguments.leave_out:
        left_out = np.sort(random.choice(10, arguments.leave_out, replace=False))
        names = [dataset.target("label").classes[i] for i in left_out]
        with tempfile.TemporaryDirectory() as folder:
            run = train(without_classes(dataset, left_out), out=Path(folder) / "run")
            fewer = Predictor.open(run.folder)
        is_left_out = np.isin(dataset.part("test").labels["label"], left_out)
        kind = {f"left out: {', '.join(names)}": test[is_left_out]}
        without = measure_detection(fewer, test[~is_left_out], kind)
        measured["out_of_scope"] |= without["out_of_scope"]
        measured["test_without_left_out"] = without["test"]
    print(json.dumps(measured, indent=1))
    write_result(head, measured)


def measure_detection(predictor: Any, test: NDArray[np.uint8], kinds: dict[str, NDArray[np.uint8]]) -> dict[str, Any]:
    """Per kind of out-of-scope images the area under the ROC curve against `test`, and the share detected."""
    from muslin.evaluation.binary import weighted_roc_auc, with_bootstrap_interval
    from muslin.evaluation.intervals import bootstrap_weights, wilson_interval

    detector = predictor.bundle.ood_detector

    def ood_score(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = detector.ood_score(predictor.infer_raw(pixels)[1])
        return scores

    test_scores = ood_score(test)
    false_detections = int((test_scores > detector.threshold).sum())
    rows = {}
    for name, pixels in kinds.items():
        scores = ood_score(pixels)
        is_ood = np.concatenate([np.zeros(len(test_scores), np.int64), np.ones(len(scores), np.int64)])
        samples = bootstrap_weights(len(is_ood), len(is_ood))
        auroc, interval = with_bootstrap_interval(
            weighted_roc_auc, is_ood, np.concatenate([test_scores, scores]), samples
        )
        rows[name] = {
            "images": len(pixels),
            "auroc": auroc,
            "interval": interval,
            "detected": float((scores > detector.threshold).mean()),
        }
    return {
        "test": {
            "images": len(test_scores),
            "detected": false_detections / len(test_scores),
            "interval": wilson_interval(false_detections, len(test_scores)),
        },
        "out_of_scope": rows,
    }


def digits(count: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Digits as in MNIST: white strokes on black, 20 px high, slanted and shifted, with soft edges."""
    from PIL import Image, ImageDraw, ImageFont

    images = np.empty((count, PX, PX, 1), np.uint8)
    for index in range(count):
        large = Image.new("L", (8 * PX, 8 * PX))
        font = ImageFont.load_default(size=int(random.integers(150, 190)))
        ImageDraw.Draw(large).text(
            (4 * PX, 4 * PX), str(index % 10), fill=255, font=font, anchor="mm", stroke_width=int(random.integers(0, 8))
        )
        large = large.rotate(float(random.normal(0, 10)), Image.Resampling.BILINEAR)
        shift = tuple(int(s) for s in random.integers(-12, 13, 2))
        large = large.transform(large.size, Image.Transform.AFFINE, (1, 0.2, shift[0] - 22, 0, 1, shift[1]))
        images[index, :, :, 0] = np.asarray(large.resize((PX, PX), Image.Resampling.BOX))
    return images


def without_classes(dataset: Any, classes: NDArray[np.int64]) -> Any:
    """The data set without these classes and their images."""
    target = dataset.target("label")
    others = [i for i in range(len(target.classes)) if i not in classes]
    fewer = dataset.take(np.flatnonzero(np.isin(dataset.labels["label"], others)))
    named = replace(target, classes=tuple(target.classes[i] for i in others))
    labels = {"label": np.searchsorted(others, fewer.labels["label"])}
    return replace(fewer, targets=(named,), labels=labels)


if __name__ == "__main__":
    main()
