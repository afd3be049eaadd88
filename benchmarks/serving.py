"""How many images a second does a sealed model predict, and how soon is the first prediction of a fresh process?

    python benchmarks/serving.py [--rounds N] [--seconds S] [--threads N N] [--keras PYTHON] [--note SENTENCE]

The tutorial's network, from uint8 pixels in memory to probabilities, in float32, in batches of 1 and of 64: through
muslin's bundle (`muslin`), through it to predictions with decisions (`muslin, predictions`), in ONNX Runtime on the
same graph with default settings, in PyTorch and in Keras on TensorFlow. The weights are untrained: the arithmetic is
the same. The ways take turns, each time as a process of its own; `first_s` is from its start to its first prediction.
Then come the command `muslin predict` on one image, and imports alone. Keeps everything in benchmarks/results/.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from results_file import start_result, write_result

HERE = Path(__file__).resolve().parent
BATCHES = (1, 64)
WAYS = ("muslin", "muslin, predictions", "ONNX Runtime", "PyTorch", "Keras")
IMPORTS = ("muslin", "onnxruntime", "torch", "keras")
Predict = Callable[[Any], Any]


def tutorial_net() -> Any:
    from muslin.data.dataset import Target
    from muslin.learn.modules import Net
    from muslin.learn.networks import build_network
    from muslin.learn.recipes import recipe

    chosen = recipe("tutorial")
    target = Target("label", tuple(f"class {i}" for i in range(10)))
    table = build_network(
        chosen.network, (28, 28, 1), (target,), widths=chosen.widths, dropout=chosen.dropout,
        activation=chosen.activation,
    )  # fmt: skip
    return Net(table, seed=0).eval(), target


def write_models(folder: Path) -> None:
    """The sealed model, its graph alone, and one image."""
    from PIL import Image

    from muslin.learn.export import export
    from muslin.models.bundle import seal

    net, target = tutorial_net()
    golden = np.random.default_rng(0).integers(0, 256, (16, 28, 28, 1), dtype=np.uint8)
    bundle = export(net, (target,), transform="fashion-mnist", golden=golden, provenance={})
    seal(bundle, folder / "model.muslin")
    (folder / "model.onnx").write_bytes(bundle.model)
    Image.fromarray(golden[0, :, :, 0]).save(folder / "image.png")


def predict_function(way: str, folder: Path, threads: int) -> Predict:
    """A function of a batch, uint8 (n, 28, 28, 1)."""
    if way.startswith("muslin"):
        from muslin.models.predictor import Predictor

        predictor = Predictor.open(folder / "model.muslin", threads=threads)
        return predictor.infer_raw if way == "muslin" else lambda batch: predictor.predict(list(batch))
    if way == "ONNX Runtime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        return lambda batch: session.run(["label"], {"pixels": batch})
    import torch

    from muslin.learn.modules import to_batch

    torch.set_num_threads(threads)
    net = tutorial_net()[0].to(memory_format=torch.channels_last)
    return torch.inference_mode()(lambda batch: net.probabilities(to_batch(batch))["label"].numpy())


def measure(way: str, folder: Path, threads: int, seconds: float) -> dict[str, Any]:
    return rates(predict_function(way, folder, threads), seconds)


def rates(predict: Predict, seconds: float) -> dict[str, Any]:
    """When the first prediction was there (Unix time, s), and images a second by the size of a batch."""
    pixels = np.random.default_rng(1).integers(0, 256, (max(BATCHES), 28, 28, 1), dtype=np.uint8)
    predict(pixels[:1])
    measured: dict[str, Any] = {"first_at": time.time()}
    for size in BATCHES:
        batch = pixels[:size]
        for _ in range(5):  # buffers and graphs are made for each size
            predict(batch)
        measured[f"batch_{size}"] = {name: round(value, 1) for name, value in rate(predict, batch, seconds).items()}
    return measured


def rate(predict: Predict, batch: Any, seconds: float) -> dict[str, float]:
    """Images a second of the median batch, and the processor time of one image; run at least once."""
    taken: list[float] = []
    used, until = time.process_time(), time.perf_counter() + seconds
    while not taken or time.perf_counter() < until:
        started = time.perf_counter()
        predict(batch)
        taken.append(time.perf_counter() - started)
    return {
        "images_per_s": len(batch) / statistics.median(taken),
        "processor_us": 1e6 * (time.process_time() - used) / (len(batch) * len(taken)),
    }


def timed(command: list[str]) -> tuple[float, str]:
    """When a process began (Unix time, s), and what it printed last."""
    began = time.time()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return began, (done.stdout.splitlines() or [""])[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of measuring for each size of a batch")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--keras", default=HERE.parent / ".venv-keras/bin/python", help="Keras's interpreter")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    parser.add_argument("--measure", nargs=3, metavar=("WAY", "FOLDER", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        way, folder, threads = arguments.measure
        print(json.dumps(measure(way, Path(folder), int(threads), arguments.seconds)))
        return

    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    runs: list[dict[str, Any]] = []
    cold: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_models(folder)
        ours = [sys.executable, __file__, "--seconds", str(arguments.seconds), "--measure"]
        theirs = [str(arguments.keras), str(HERE / "keras_tutorial.py"), "predictions"]
        once = {"muslin predict": [sys.executable, "-m", "muslin", "predict", str(folder / "model.muslin")]}
        once["muslin predict"].append(str(folder / "image.png"))
        for name in IMPORTS:
            python = str(arguments.keras) if name == "keras" else sys.executable
            once[f"import {name}"] = [python, "-c", f"import {name}"]
        for number in range(arguments.rounds):
            for threads in arguments.threads:
                for way in WAYS:
                    command = [*ours, way, str(folder), str(threads)]
                    if way == "Keras":
                        command = [*theirs, "--threads", str(threads), "--seconds", str(arguments.seconds)]
                    began, printed = timed(command)
                    run = {"round": number + 1, "way": way, "threads": threads, **json.loads(printed)}
                    runs.append(run | {"first_s": round(run.pop("first_at") - began, 3)})
                    print(runs[-1], flush=True)
            for name, command in once.items():
                began, _ = timed(command)
                cold.setdefault(name, []).append(round(time.time() - began, 3))
            print({name: seconds[-1] for name, seconds in cold.items()}, flush=True)
    write_result(head, {"threads": arguments.threads, "cold_s": cold, "runs": runs})


if __name__ == "__main__":
    main()
