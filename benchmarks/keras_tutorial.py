# /// script
# requires-python = ">=3.11"
# dependencies = ["tensorflow==2.21.0", "keras==3.15.1", "safetensors>=0.4.5", "scikit-learn>=1.6"]
# ///
"""The tutorial's network in Keras: what its loss is, step by step, and how long its 50 epochs take.

    python -m venv .venv-keras
    .venv-keras/bin/pip install tensorflow==2.21.0 keras==3.15.1 "safetensors>=0.4.5" "scikit-learn>=1.6"
    .venv-keras/bin/python benchmarks/keras_tutorial.py reference   # rewrites tests/learn/data/keras_tutorial.*
    .venv-keras/bin/python benchmarks/keras_tutorial.py article   # writes benchmarks/results/keras_*

Keras lives in an environment of its own: it is a peer to measure, never a dependency. Fashion-MNIST's IDX
files (plain or .gz) are read from `--data`: by default $MUSLIN_DATA, or where Debian puts them.

What the loss is
----------------
The article ends in ten sigmoids and compiles with `sparse_categorical_crossentropy`, from_logits=False. What
that means depends on Keras's backend. Files and lines are those of Keras 3.15.1, under keras/src/.

TensorFlow: the sigmoids play no part. `sigmoid` leaves its input on its output, as `_keras_logits`
(activations/activations.py 497-500, backend/tensorflow/nn.py 41-45), and the loss takes that instead of the
probabilities, whichever activation left it there (backend/tensorflow/nn.py 1262-1295, called in 1402). What
remains is the softmax cross-entropy of the ten logits z (1438), neither clipped nor normalised:

    loss = -log(softmax(z)[y])                                              "softmax_of_logits"

Seen from the sigmoids p these are their odds, p / (1 - p) = exp(z), normalised. It is so in `fit`,
`train_on_batch` and `evaluate`, compiled or eager, wherever the last layer's output reaches the loss itself.

TensorFlow, once anything stands between sigmoid and loss (`keras.ops.copy` is enough): probabilities are
clipped first and normalised after (1432-1441: the softmax of their logarithms is p / sum(p)):

    p = clip(sigmoid(z), 1e-7, 1 - 1e-7);  loss = -log(p[y] / sum(p))       "normalised_sigmoids"

JAX, PyTorch and NumPy have no such shortcut. They normalise first and clip after (backend/jax/nn.py
1010-1012, backend/torch/nn.py 914-917, backend/numpy/nn.py 905-907), which differs from the line above only
where a probability is beyond 1e-7. Keras 2.2 on TensorFlow 1 had none either and clipped first
(github.com/keras-team/keras/issues/11801 quotes it). So one and the same script trains on normalised sigmoids
or on a softmax, depending on what it runs on; `reference` stores both.

The mean is taken over the batch. Adam's epsilon of 1e-7 is the paper's "epsilon hat" (optimizers/adam.py
117-137): w -= lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + 1e-7). PyTorch adds its epsilon
after correcting v; the same would be 1e-7 / sqrt(1 - beta_2**t) there: 3.2e-6 in the first step. The powers of
the betas and 1 minus them are float32 (104-117): float32's 0.999 is 0.99900001, so every step is 7 to 10
millionths shorter than by the formula.

How well 20 steps can agree
---------------------------
These steps climb off a plateau, where every difference grows by about half a step: turning round the images
within each batch changes nothing but the order of sums, and yet in float32 Keras on TensorFlow was by step 20
1e-7 to 1.5e-3 away from itself, depending on the initial weights (seeds 0 to 10). What is to be compared is the
arithmetic, not its rounding, so `reference` has Keras compute in float64, where the same turn moves nothing that
matters: `max_rounding_error` in the reference. muslin in float64 then agrees to the stored digits, 5e-10; in float32
it is up to 1.8e-4 away by step 20.
"""

import argparse
import gzip
import hashlib
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notices; errors still show

import keras
import numpy as np

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "tests" / "learn" / "data" / "keras_tutorial"
RESULTS = HERE / "results"
DEBIAN = "/usr/share/datasets/fashion-mnist"
BATCH_SIZE = 512
STEPS = 20
SEED = 12345  # as in the article's split
ROUNDING = 1e-8  # see the top
SHAPES = {  # Keras's layout: kernels (height, width, in, out); Flatten goes height, width, channel
    "conv1.kernel": (3, 3, 1, 64),
    "conv1.bias": (64,),
    "conv2.kernel": (3, 3, 64, 32),
    "conv2.bias": (32,),
    "dense1.kernel": (5 * 5 * 32, 32),
    "dense1.bias": (32,),
    "dense2.kernel": (32, 10),
    "dense2.bias": (10,),
}


def read_idx(folder: Path, name: str) -> np.ndarray:
    """Fashion-MNIST's `name` as uint8 (count, 28, 28) or (count,): the magic's last byte is the rank."""
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    rank = content[3]
    shape = np.frombuffer(content, ">i4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Pixels uint8 (count, 28, 28) as the network takes them: Keras's floats (count, 28, 28, 1) in [0, 1]."""
    return pixels[..., None].astype(keras.config.floatx()) / 255


def tutorial_network(dropout: float) -> keras.Model:
    """The article's network, 45,066 parameters; `dropout` 0 leaves the layer out."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="sigmoid"),
        ]
    )


def compiled(network: keras.Model, loss: str | Callable = "sparse_categorical_crossentropy") -> keras.Model:
    network.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
    return network


def initial_weights() -> dict[str, np.ndarray]:
    """Kernels uniform within sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010), biases zero."""
    generator = np.random.default_rng(SEED)
    weights = {}
    for name, shape in SHAPES.items():
        if name.endswith("bias"):
            weights[name] = np.zeros(shape, np.float32)
        else:
            field = int(np.prod(shape[:-2]))
            limit = np.sqrt(6 / (field * (shape[-2] + shape[-1])))
            weights[name] = generator.uniform(-limit, limit, shape).astype(np.float32)
    return weights


# ------------------------------------------------------------------------------------------------ figures


def loss_on_copied_sigmoids(labels: object, sigmoids: object) -> object:
    """Keras's own loss, on probabilities that no longer carry their logits."""
    return keras.losses.sparse_categorical_crossentropy(labels, keras.ops.copy(sigmoids))


def softmax_of_logits(labels: np.ndarray, sigmoids: np.ndarray) -> float:
    """The loss in plain numpy, float64: softmax(z) is the odds p / (1 - p), normalised."""
    odds = sigmoids / (1 - sigmoids)
    return float(-np.log(odds[np.arange(len(labels)), labels] / odds.sum(axis=1)).mean())


def normalised_sigmoids(labels: np.ndarray, sigmoids: np.ndarray) -> float:
    """The loss in plain numpy, float64: clipped, then divided by their sum."""
    clipped = np.clip(sigmoids, 1e-7, 1 - 1e-7)
    return float(-np.log(clipped[np.arange(len(labels)), labels] / clipped.sum(axis=1)).mean())


LOSSES = {
    "softmax_of_logits": ("sparse_categorical_crossentropy", softmax_of_logits),
    "normalised_sigmoids": (loss_on_copied_sigmoids, normalised_sigmoids),
}
"""Per name in the reference: what Keras on TensorFlow is given, and the formula that must agree."""


def first_steps(
    images: np.ndarray, labels: np.ndarray, loss: str | Callable, formula: Callable
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Train from `initial_weights` on STEPS batches: the loss before each step, and the weights after the last."""
    network = compiled(tutorial_network(dropout=0), loss)
    network.set_weights(list(initial_weights().values()))
    losses = []
    for start in range(0, STEPS * BATCH_SIZE, BATCH_SIZE):
        batch, targets = images[start : start + BATCH_SIZE], labels[start : start + BATCH_SIZE]
        expected = formula(targets, np.asarray(network.predict_on_batch(batch), np.float64))
        losses.append(float(network.train_on_batch(batch, targets)[0]))
        if abs(losses[-1] - expected) > 1e-6:
            raise SystemExit(f"{formula.__name__} is {expected}, but Keras computes {losses[-1]} here.")
    return losses, dict(zip(SHAPES, network.get_weights(), strict=True))


def steps_to_compare(images: np.ndarray, labels: np.ndarray, loss: str | Callable, formula: Callable) -> dict:
    """What `first_steps` gives, and how far it moves when the images within each batch are turned round."""
    losses, trained = first_steps(images, labels, loss, formula)
    turned = np.arange(STEPS * BATCH_SIZE).reshape(STEPS, BATCH_SIZE)[:, ::-1].ravel()
    again, _ = first_steps(images[turned], labels[turned], loss, formula)
    difference = float(np.abs(np.subtract(losses, again)).max())
    if difference > ROUNDING:
        raise SystemExit(
            f"{formula.__name__}: rounding alone moves the losses by {difference:.1e}, so they cannot be compared."
        )
    return {
        "losses": [round(value, 9) for value in losses],
        "max_rounding_error": float(f"{difference:.1e}"),
        "final_norms": {name: round(float(np.linalg.norm(w)), 6) for name, w in trained.items()},
        "final_sums": {name: round(float(w.sum(dtype=np.float64)), 6) for name, w in trained.items()},
    }


def reference(options: argparse.Namespace) -> None:
    """Write the initial weights and what Keras makes of them in STEPS steps, for muslin's tests."""
    from safetensors.numpy import save_file

    keras.config.set_floatx("float64")
    pixels = read_idx(options.data, "train-images-idx3-ubyte")[: STEPS * BATCH_SIZE]
    labels = read_idx(options.data, "train-labels-idx1-ubyte")[: STEPS * BATCH_SIZE]
    content = {
        "made_by": "benchmarks/keras_tutorial.py reference",
        "versions": versions(),
        "network": "the tutorial's, without its dropout; float64 on the CPU",
        "initial_weights": f"the .safetensors beside: Glorot uniform, numpy's default_rng({SEED})",
        "optimizer": "Adam: learning_rate 1e-3, beta_1 0.9, beta_2 0.999, epsilon 1e-7 (Keras's epsilon hat)",
        "data": f"the first {STEPS * BATCH_SIZE} training images in file order, pixels / 255",
        "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "labels_sha256": hashlib.sha256(labels.tobytes()).hexdigest(),
        "batch_size": BATCH_SIZE,
        "losses_are": "the batch's mean before each step",
    }
    for name, (loss, formula) in LOSSES.items():
        content[name] = steps_to_compare(scaled(pixels), labels, loss, formula)
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    save_file(initial_weights(), REFERENCE.with_suffix(".safetensors"))
    REFERENCE.with_suffix(".safetensors").chmod(0o644)  # safetensors makes files for their owner alone
    REFERENCE.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps({name: content[name]["losses"] for name in LOSSES}))


# ------------------------------------------------------------------------------------------------ article


class EpochClock(keras.callbacks.Callback):
    """Each epoch's seconds on the clock, and of work on all cores: far fewer where others compute too."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.started = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.seconds.append(time.perf_counter() - self.started[0])
        self.cpu_seconds.append(time.process_time() - self.started[1])


class EpochEvaluation(keras.callbacks.Callback):
    """Each epoch's loss and accuracy while learning, and the accuracy on each of `parts` after it."""

    def __init__(self, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        self.parts = parts
        self.epochs: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        metrics = {"train_loss": logs["loss"], "train_accuracy": logs["accuracy"]}
        for part, (images, labels) in self.parts.items():
            predicted = self.model.predict(images, batch_size=BATCH_SIZE, verbose=0).argmax(1)
            metrics[f"{part}_accuracy"] = (predicted == labels).mean()
        rounded = {name: round(float(value), 4) for name, value in metrics.items()}
        self.epochs.append({"epoch": epoch + 1, **rounded})
        print(json.dumps(self.epochs[-1]), flush=True)


def trained(
    images: np.ndarray,
    labels: np.ndarray,
    options: argparse.Namespace,
    others: tuple[keras.callbacks.Callback, ...] = (),
) -> tuple[keras.Model, EpochClock]:
    keras.utils.set_random_seed(options.seed)
    network, clock = compiled(tutorial_network(dropout=0.25)), EpochClock()
    # the clock first: what others do at an epoch's end is not its time
    callbacks = [clock, *others]
    network.fit(images, labels, batch_size=BATCH_SIZE, epochs=options.epochs, verbose=0, callbacks=callbacks)
    return network, clock


def epochs(options: argparse.Namespace) -> None:
    """Time epochs over the first images and print them as one line of JSON, for `training_step_keras.py`."""
    images = scaled(read_idx(options.data, "train-images-idx3-ubyte")[: options.images])
    labels = read_idx(options.data, "train-labels-idx1-ubyte")[: options.images]
    _, clock = trained(images, labels, options)
    print(json.dumps({"epoch_s": clock.seconds, "epoch_cpu_s": clock.cpu_seconds, "versions": versions()}))


def predictions(options: argparse.Namespace) -> None:
    """How many images a second the network predicts; printed as one line of JSON, for `serving.py`."""
    import tensorflow as tf
    from serving import rates

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = compiled(tutorial_network(dropout=0.25))
    print(json.dumps(rates(lambda batch: network.predict_on_batch(batch / np.float32(255)), options.seconds)))


def article(options: argparse.Namespace) -> None:
    """Time the article's training, print it as one line of JSON and keep it under benchmarks/results/.

    Validation is left out of the epochs: the unit is training alone.
    """
    from sklearn.model_selection import train_test_split

    images = scaled(read_idx(options.data, "train-images-idx3-ubyte"))
    labels = read_idx(options.data, "train-labels-idx1-ubyte")
    train_x, validation_x, train_y, validation_y = train_test_split(images, labels, test_size=0.2, random_state=12345)
    test_x = scaled(read_idx(options.data, "t10k-images-idx3-ubyte"))
    test_y = read_idx(options.data, "t10k-labels-idx1-ubyte")
    parts = {"validation": (validation_x, validation_y), "test": (test_x, test_y)}
    evaluation = EpochEvaluation(parts)
    load_before = os.getloadavg()[0]
    network, clock = trained(train_x, train_y, options, (evaluation,) if options.accuracy else ())
    warm = clock.seconds[1:]
    median_s = statistics.median(warm)
    result = {
        "benchmark": "keras_tutorial.py article",
        "command": f"article --epochs {options.epochs} --seed {options.seed}"
        + (" --accuracy" if options.accuracy else ""),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "note": options.note,
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "images": len(train_x),
        "batch_size": BATCH_SIZE,
        "parameters": network.count_params(),
        "epoch_s": [round(s, 3) for s in clock.seconds],
        "epoch_cpu_s": [round(s, 3) for s in clock.cpu_seconds],
        "median_epoch_s": round(median_s, 3),
        "least_epoch_s": round(min(warm), 3),
        "max_epoch_s": round(max(warm), 3),
        "article_s": round(50 * median_s, 1),
    }
    if options.accuracy:
        result["accuracy"] = {
            part: round(float(network.evaluate(x, y, batch_size=BATCH_SIZE, verbose=0)[1]), 4)
            for part, (x, y) in {"train": (train_x, train_y), **parts}.items()
        }
        result["epochs"] = evaluation.epochs
    RESULTS.mkdir(exist_ok=True)
    kind = "accuracy" if options.accuracy else "article"  # the unit is taken from runs for their time
    path = RESULTS / f"keras_{kind}_{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def versions() -> dict[str, str]:
    from importlib.metadata import version

    backend = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch", "numpy": "numpy"}[keras.backend.backend()]
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": backend,
        backend: version(backend),
        "numpy": np.__version__,
    }


def machine() -> dict[str, object]:
    """The processor as Linux names it; the name alone often hides the generation, so family and model too."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    first = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    flags = first.get("flags", "").split()
    return {
        "cpu": first.get("model name", platform.processor() or platform.machine()),
        "family": first.get("cpu family"),
        "model": first.get("model"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "avx512": "avx512f" in flags,
        "avx512_bf16": "avx512_bf16" in flags,
        "amx_bf16": "amx_bf16" in flags,
    }


def commit() -> str | None:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return asked.stdout.strip() or None


def main() -> None:
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("MUSLIN_DATA", DEBIAN)),
        help="folder with Fashion-MNIST's four IDX files (default: $MUSLIN_DATA or Debian's)",
    )
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(required=True)
    storing = modes.add_parser("reference", parents=[everywhere], help="store the first steps for muslin's tests")
    storing.set_defaults(do=reference)
    trained_so = argparse.ArgumentParser(add_help=False, parents=[everywhere])
    trained_so.add_argument("--epochs", type=int, default=4, help="how many to train; the first is not counted")
    trained_so.add_argument("--seed", type=int, default=0)
    printing = modes.add_parser("epochs", parents=[trained_so], help="print the seconds of a few epochs")
    printing.add_argument("--images", type=int, default=48_000, help="how many an epoch has")
    printing.set_defaults(do=epochs)
    answering = modes.add_parser("predictions", parents=[everywhere], help="print the images predicted in a second")
    answering.add_argument("--threads", type=int, default=1)
    answering.add_argument("--seconds", type=float, default=2.0, help="of measuring for each size of a batch")
    answering.set_defaults(do=predictions)
    timing = modes.add_parser("article", parents=[trained_so], help="time the article's training")
    timing.add_argument("--accuracy", action="store_true", help="also evaluate every epoch on validation and test")
    timing.add_argument("--note", default="", help="what a reader of the result should know, e.g. who else ran")
    timing.set_defaults(do=article)
    options = parser.parse_args()
    if getattr(options, "epochs", 2) < 2:
        parser.error("--epochs must be at least 2: the first is not counted")
    if not any(options.data.glob("train-images-idx3-ubyte*")):
        parser.error(f"{options.data}: no Fashion-MNIST here. Name its folder with --data.")
    options.do(options)


if __name__ == "__main__":
    main()
