"""What share of plain ONNX Runtime's speed do full predictions have: labels, probabilities, decisions, OOD scores?

    python benchmarks/full_predictions.py RUN [--rounds N] [--seconds S] [--threads N] [--note SENTENCE]

`RUN` is a run or a model, such as one of `muslin train fashion-mnist --recipe tutorial --set epochs=2 -o RUN`. Images
are uint8 in memory, in batches of 1 and of 64. *ONNX Runtime* is `session.run` of the model's graph with default
settings and as many threads, to raw probabilities; *arrays* is `Predictor.predict`, of which the arrays of classes,
probabilities and decisions are read; *predictions* also makes a `Prediction` for each image. The ways take turns in one
process, each after a pause in which the threads of the one before it fall asleep. A ratio compares the medians of one
round. Keeps everything in benchmarks/results/.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
from results_file import start_result, write_result
from serving import Predict, rate

BATCHES = (1, 64)
PLAIN = "ONNX Runtime"
PAUSE_S = 0.1  # threads of ONNX Runtime spin for some milliseconds after their last work


def ways_to_predict(model: str, threads: int) -> tuple[dict[str, Predict], tuple[int, int, int]]:
    """Functions of a batch, and the shape of an image."""
    import onnxruntime

    from muslin.models.predictor import Predictor

    predictor = Predictor.open(model, threads=threads, graph="float32")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(predictor.bundle.model, options, providers=["CPUExecutionProvider"])
    names = [target.name for target in predictor.targets]

    def arrays(batch: Any) -> Any:
        of_targets = predictor.predict(batch).arrays
        return [(each.predicted, each.probabilities, each.decisions) for each in of_targets.values()]

    def predictions(batch: Any) -> Any:
        return [
            (each.label, each.probability, each.decision)
            for prediction in predictor.predict(batch)
            for each in prediction.predictions.values()
        ]

    ways = {PLAIN: lambda batch: session.run(names, {"pixels": batch}), "arrays": arrays, "predictions": predictions}
    return ways, predictor.bundle.preprocessing.shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="RUN")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring a way in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    ways, shape = ways_to_predict(arguments.model, arguments.threads)
    pixels = np.random.default_rng(1).integers(0, 256, (max(BATCHES), *shape), dtype=np.uint8)
    runs: list[dict[str, Any]] = []
    for number in range(1, arguments.rounds + 1):
        for size in BATCHES:
            for way, predict in ways.items():
                time.sleep(PAUSE_S)
                for _ in range(5):
                    predict(pixels[:size])
                measured = rate(predict, pixels[:size], arguments.seconds)
                runs.append({"round": number, "batch": size, "way": way, **measured})
    speeds = {(run["round"], run["batch"], run["way"]): run["images_per_s"] for run in runs}
    ratios = {}
    for size in BATCHES:
        for way in ways:
            of_rounds = range(1, arguments.rounds + 1)
            shares = [speeds[number, size, way] / speeds[number, size, PLAIN] for number in of_rounds]
            median_us = statistics.median(1e6 * size / speeds[number, size, way] for number in of_rounds)
            summary = {"median": statistics.median(shares), "min": min(shares), "max": max(shares)}
            ratios[f"{way}, batch of {size}"] = {name: round(share, 3) for name, share in summary.items()}
            print(f"batch of {size:2}  {way:12}  {median_us:9.1f} µs  ratio {summary['median']:.2f} "
                  f"({summary['min']:.2f}–{summary['max']:.2f})")  # fmt: skip
    write_result(head, {"threads": arguments.threads, "ratios": ratios, "runs": runs})


if __name__ == "__main__":
    main()
