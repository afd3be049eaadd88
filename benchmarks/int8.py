"""Is int8 faster than float32 on this machine, and what does it cost in accuracy?

    python benchmarks/int8.py MODEL DATA [--ways WAY …] [--parts test] [--rounds 5] [--threads 1] [--note SENTENCE]

The graph of MODEL, a sealed model or a run's folder, is quantised to int8 by onnxruntime.quantization in every WAY,
calibrated on 300 of DATA's training images, and run as muslin runs it: through the bundle, with muslin's settings of
ONNX Runtime, from uint8 pixels in memory to probabilities. The accuracy is on DATA's parts, on images on which MODEL
was not trained, paired with float32's.
For the time, float32 and the ways take turns, so that each ratio is of one turn. Keeps everything in
benchmarks/results/.

WAY is the type of activations and weights: `u8s8, 7 bits` leaves one bit of the weights unused, because processors
without VNNI add two products in 16 bits, which overflow (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from results_file import start_result, write_result
from serving import rate

from muslin.data.dataset import Dataset
from muslin.models.bundle import Bundle
from muslin.models.predictor import Predictor

Pixels = NDArray[np.uint8]

BATCHES = (1, 64)
DOMAINS = ("", "ai.onnx")  # the operator sets that a bundle allows
CALIBRATED_ON = 300
FLOAT = "float32"
U8S8 = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
WAYS: dict[str, dict[str, Any]] = {
    "u8s8, 7 bits": U8S8 | {"reduce_range": True},
    "u8s8": U8S8,
    "s8s8": U8S8 | {"activation_type": QuantType.QInt8},
    "u8u8": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8},
}
"""Arguments of quantize_static beside its defaults, which are ranges from minimum to maximum, and the format QDQ.
The other format, QOperator, has operators of ONNX Runtime's own, which a bundle refuses."""


class Images(CalibrationDataReader):  # type: ignore[misc]
    """Batches of images for the quantiser's calibration."""

    def __init__(self, pixels: Pixels) -> None:
        self._batches: Iterator[dict[str, Pixels]] = iter(
            {"pixels": pixels[start : start + 20]} for start in range(0, len(pixels), 20)
        )

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self._batches, None)


def quantised(model: bytes, pixels: Pixels, ways: list[str]) -> dict[str, bytes]:
    """Per way the graph in int8."""
    made = {}
    with tempfile.TemporaryDirectory() as temporary:
        as_is, ready, done = (Path(temporary) / f"{name}.onnx" for name in ("as_is", "ready", "done"))
        as_is.write_bytes(model)
        quant_pre_process(as_is, ready)  # batch norm goes into the convolution before it
        for way in ways:
            quantize_static(ready, done, Images(pixels), **WAYS[way])
            graph = onnx.load(done)
            # the optimiser imports all operator sets that it knows, and a bundle allows only ONNX's own
            own = [opset for opset in graph.opset_import if opset.domain in DOMAINS]
            del graph.opset_import[:]
            graph.opset_import.extend(own)
            made[way] = graph.SerializeToString()
    return made


def predictors_of(bundle: Bundle, graphs: Mapping[str, bytes], threads: int) -> dict[str, Predictor]:
    return {
        # int8 changes the golden images' probabilities a little: that is measured here
        way: Predictor(replace(bundle, model=graph), threads, way, check=way == FLOAT)
        for way, graph in graphs.items()
    }


def accuracies(predictors: Mapping[str, Predictor], pixels: Pixels, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Per way the accuracy on the first target, against float32's."""
    from muslin.evaluation.compare import paired_difference

    raw_probabilities = {way: next(iter(each.infer_raw(pixels)[0].values())) for way, each in predictors.items()}
    before = raw_probabilities[FLOAT]
    found = {}
    for way, after in raw_probabilities.items():
        against = paired_difference(before.argmax(1) == labels, after.argmax(1) == labels)
        found[way] = {
            "accuracy": float((after.argmax(1) == labels).mean()),
            "difference": against.difference,
            "interval": against.interval,
            "same_prediction": float((after.argmax(1) == before.argmax(1)).mean()),
            "mean_probability_change": float(np.abs(after - before).max(1).mean()),
            "max_probability_change": float(np.abs(after - before).max()),
        }
    return found


def unseen_images(predictor: Predictor, dataset: Dataset, part: str) -> Dataset:
    """The images of a part, as the model takes them; of the test set without those that it has seen.

    Exits where the model was trained on validation images, as a linear probe with folds was.
    """
    from muslin.workflows.selected_part import select_part

    selected = select_part(predictor, dataset, part)
    if (seen := selected.seen) and seen.train and not seen.set_aside:
        sys.exit(f"the model was trained on {seen.train} of the {seen.n} {part} images: train it with --folds 0")
    return selected.images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--parts", nargs="+", choices=("validation", "test"), default=["test"], help="default test")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring for each size of a batch")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()

    from muslin.data import read
    from muslin.data.dataset import pixel_array
    from muslin.workflows.model_input import to_model_input

    # names alone: where files lie on this machine says nothing
    words = [Path(word).name if os.path.exists(word) else word for word in sys.argv[1:]]
    head = start_result((__doc__ or "").splitlines()[0], arguments.note, words)
    predictor = Predictor.open(arguments.model, threads=1)
    bundle, dataset = predictor.bundle, read(arguments.data)
    training = dataset.part("train")
    some = np.sort(np.random.default_rng(0).permutation(len(training))[:CALIBRATED_ON])
    graphs = {FLOAT: bundle.model}
    graphs |= quantised(bundle.model, pixel_array(to_model_input(predictor, training.take(some))), arguments.ways)
    evaluated = [unseen_images(predictor, dataset, part) for part in arguments.parts]
    pixels = np.concatenate([pixel_array(part) for part in evaluated])
    labels = np.concatenate([part.labels[bundle.targets[0].name] for part in evaluated])
    accuracy = accuracies(predictors_of(bundle, graphs, 1), pixels, labels)
    for way, metrics in accuracy.items():
        print(way, json.dumps(metrics), flush=True)
    runs = []
    for threads in arguments.threads:
        predictors = predictors_of(bundle, graphs, threads)
        for number in range(arguments.rounds):
            for size in BATCHES:
                for way, each in predictors.items():
                    each.infer_raw(pixels[:size])  # buffers are made for each size
                    run = {"round": number + 1, "threads": threads, "batch": size, "way": way}
                    runs.append(run | rate(each.infer_raw, pixels[:size], arguments.seconds))
                    print(json.dumps(runs[-1]), flush=True)
    result = {
        "network": bundle.network["name"],
        "bytes": {way: len(graph) for way, graph in graphs.items()},
        "calibrated_on": len(some),
        "evaluated_on": len(labels),
        "accuracy": accuracy,
        "runs": runs,
    }
    write_result(head, result, name=f"int8_{bundle.network['name']}")


if __name__ == "__main__":
    main()
