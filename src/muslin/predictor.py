"""Bundle + pictures → Predictions, with ONNX Runtime: no torch, and nothing that trains.

Read from `Predictor.predict` down: pictures are decoded and converted by `muslin.images`, stacked into
batches and given to the graph, which does the rest.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.bundle import Bundle, Preprocessing, open_bundle
from muslin.data.dataset import Target
from muslin.errors import BundleError, DataError, ImageError

GOLDEN_TOLERANCE = 1e-3
"""How far a golden image's probabilities may be from those sealed in. Absolute.

Processors add in another order, which moves float32 probabilities by some 1e-6 (measured: see the reference
of the format). A swapped class, another scale or swapped colours move some of them by tenths.
"""

MODEL_FILE = "model.muslin"
"""The bundle's name in a run's folder."""

_BATCH_VALUES = (
    256 * 28 * 28
)  # pixel values a batch: enough to keep the cores busy, little enough for their caches
_CHUNK = 64  # pictures decoded ahead of the network


@dataclass(frozen=True)
class Answer:
    """What the network says to one target: the most probable class, the next one, and all of them in order.

    Probabilities are between 0 and 1. A target of one class has no runner-up (None).
    """

    label: str
    probability: float
    runner_up: str | None
    runner_up_probability: float | None
    probabilities: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class Prediction:
    """The answers about one picture, or the problem that kept it from being read.

    Attributes:
        image: the picture's name as given, or its place (`image 3`) where it has none.
        predictions: per target's name; empty where there is a problem.
        notes: what was done to the picture on its way to the network, one sentence each.
        problem: None, or one sentence.
    """

    image: str
    predictions: Mapping[str, Answer]
    notes: tuple[str, ...] = ()
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values, in the shape that `muslin predict --json` prints a line of."""
        return {
            "image": self.image,
            "predictions": {
                name: {
                    "label": answer.label,
                    "probability": answer.probability,
                    "runner_up": answer.runner_up,
                    "runner_up_probability": answer.runner_up_probability,
                    "probabilities": dict(answer.probabilities),
                }
                for name, answer in self.predictions.items()
            },
            "notes": list(self.notes),
            "problem": self.problem,
        }


class Predictor:
    """A bundle that answers. Safe to use from several threads at once.

    Attributes:
        bundle: what it was made from.
        threads: how many threads the network uses.

    Raises:
        BundleError: the graph cannot be run, does not take or give what the bundle says, or answers its
            golden images otherwise than when it was sealed.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, name: str = "bundle") -> None:
        self.bundle = bundle
        self.threads = threads or physical_cores()
        self._name = name
        self._session = _session(bundle, self.threads, name)
        self._check_golden_images()

    @classmethod
    def open(cls, path: str | Path, threads: int | None = None) -> "Predictor":
        """Open a .muslin file, or the one in a run's folder.

        Raises:
            BundleError: see `muslin.bundle.open_bundle`; or the folder holds no model.
        """
        path = Path(path)
        if path.is_dir():
            if not (path / MODEL_FILE).exists():
                raise BundleError(
                    f"{path}: there is no {MODEL_FILE} in this folder. "
                    "Give a run's folder whose training has ended."
                )
            path = path / MODEL_FILE
        return cls(open_bundle(path), threads, name=str(path))

    @property
    def targets(self) -> tuple[Target, ...]:
        """The questions it answers, in order."""
        return self.bundle.targets

    def predict_pixels(
        self, pixels: NDArray[np.uint8], batch_size: int | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Probabilities for pictures that are already as the network takes them.

        Args:
            pixels: uint8 (count, height, width, channels) of the bundle's preprocessing.
            batch_size: pictures at a time; by default so many that their pixels fit the processor's caches.

        Returns:
            Per target's name float32 (count, classes), 0 to 1, columns in the target's order of classes.

        Raises:
            DataError: `pixels` has another type or shape.
        """
        shape = self.bundle.preprocessing.shape
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != shape:
            raise DataError(
                f"pixels are {pixels.dtype} {pixels.shape}; this model takes uint8 (count, "
                f"{', '.join(map(str, shape))}). Give pictures of other kinds to predict()."
            )
        size = batch_size or max(1, _BATCH_VALUES // int(np.prod(shape)))
        answers = {t.name: np.empty((len(pixels), len(t.classes)), np.float32) for t in self.targets}
        for start in range(0, len(pixels), size):
            for name, probabilities in self._run(pixels[start : start + size]).items():
                answers[name][start : start + size] = probabilities
        return answers

    def predict(self, images: Any) -> list[Prediction]:
        """One Prediction per picture, in order, none left out.

        Args:
            images: a picture or several: paths, a file's bytes, arrays uint8 (height, width) or (height,
                width, channels), PIL images. A folder stands for the pictures in it, in order of their names.

        Raises:
            DataError: a folder that holds no picture.
        """
        return list(self.predict_iter(images))

    def predict_iter(self, images: Any) -> Iterator[Prediction]:
        """`predict`, one after the other, for any number of pictures: memory holds a few dozen at a time."""
        pictures = _each_picture(images)
        while chunk := list(islice(pictures, _CHUNK)):
            yield from self._predict_chunk(chunk)

    def _predict_chunk(self, chunk: Sequence[tuple[str, Any]]) -> Iterator[Prediction]:
        read = [_read(picture, self.bundle.preprocessing) for _, picture in chunk]
        readable = [pixels for pixels, _, _ in read if pixels is not None]
        answers = self.predict_pixels(np.stack(readable)) if readable else {}
        row = 0
        for (name, _), (pixels, notes, problem) in zip(chunk, read, strict=True):
            if pixels is None:
                yield Prediction(name, {}, notes, problem)
            else:
                yield Prediction(
                    name, {t.name: _answer(t, answers[t.name][row]) for t in self.targets}, notes
                )
                row += 1

    def _run(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        with _runtime_errors(self._name):
            outputs = self._session.run([target.name for target in self.targets], {"pixels": pixels})
        for target, output in zip(self.targets, outputs, strict=True):
            wanted = (len(pixels), len(target.classes))
            if output.dtype != np.float32 or output.shape != wanted:
                raise BundleError(
                    f"{self._name}: model.onnx gives {output.dtype} {output.shape} for {target.name!r}; "
                    f"expected float32 {wanted}."
                )
        return {target.name: output for target, output in zip(self.targets, outputs, strict=True)}

    def _check_golden_images(self) -> None:
        answers = self.predict_pixels(self.bundle.golden_pixels)
        for target in self.targets:
            expected = self.bundle.golden_probabilities[target.name]
            difference = np.abs(answers[target.name] - expected)
            if not (difference <= GOLDEN_TOLERANCE).all():  # NaN is not either
                worst = np.argmax(np.nan_to_num(difference, nan=np.inf))
                image, column = np.unravel_index(worst, expected.shape)
                raise BundleError(
                    f"{self._name}: model.onnx does not answer as when it was sealed: golden image {image}, "
                    f"class {target.classes[column]!r}: {answers[target.name].flat[worst]:.4f} instead of "
                    f"{expected.flat[worst]:.4f}. Train it again, or try another version of onnxruntime."
                )


def physical_cores() -> int:
    """How many cores this process may use, two threads of one core counted once."""
    try:
        allowed = os.sched_getaffinity(0)
        siblings = {
            Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
            for cpu in allowed
        }
        return len(siblings)
    except (AttributeError, OSError):  # not Linux, or a system that does not tell
        return os.cpu_count() or 1


def _session(bundle: Bundle, threads: int, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # only what ends the process; everything else arrives as an exception
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # idle threads take no core from others
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the format that check_graph reads
    with _runtime_errors(name):
        session = onnxruntime.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
        inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
        outputs = [o.name for o in session.get_outputs()]
    kind, shape = inputs.get("pixels", ("nothing", [None]))
    if list(inputs) != ["pixels"] or kind != "tensor(uint8)" or isinstance(shape[0], int):
        raise BundleError(
            f"{name}: model.onnx takes {inputs}; expected `pixels`, uint8 (any count, "
            f"{', '.join(map(str, bundle.preprocessing.shape))})."
        )
    missing = [target.name for target in bundle.targets if target.name not in outputs]
    if missing:
        raise BundleError(f"{name}: model.onnx has no output {missing[0]!r}; it has {', '.join(outputs)}.")
    return session


@contextmanager
def _runtime_errors(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # onnxruntime's own exceptions have no base but this
        reason = " ".join(str(error).split())[:300]
        raise BundleError(f"{name}: model.onnx cannot be run ({reason}). Try another onnxruntime.") from error


def _each_picture(images: Any) -> Iterator[tuple[str, Any]]:
    """Every picture with its name: as given, a file's path for those of a folder, or its place."""
    for place, image in enumerate([images] if _is_one(images) else images):
        if not isinstance(image, str | os.PathLike):
            yield f"images[{place}]", image
        elif not os.path.isdir(image):
            yield os.fspath(image), Path(image)
        else:
            for path in _pictures_in(Path(image)):
                yield str(path), path


def _is_one(images: Any) -> bool:
    if isinstance(images, np.ndarray):
        return images.ndim < 3 or (images.ndim == 3 and images.shape[2] in (1, 3, 4))
    return isinstance(images, str | bytes | bytearray | os.PathLike) or not isinstance(images, Iterable)


def _pictures_in(folder: Path) -> list[Path]:
    from muslin.images import SUFFIXES

    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not found:
        raise DataError(
            f"{folder}: there is no picture in this folder. Known: {', '.join(sorted(SUFFIXES))}."
        )
    return found


def _read(
    picture: Any, wanted: Preprocessing
) -> tuple[NDArray[np.uint8] | None, tuple[str, ...], str | None]:
    """The picture as the network takes it, what was done to it, and the problem where there is one."""
    from muslin.images import convert, decode

    try:
        decoded = decode(picture)
        pixels, sentence = convert(decoded.pixels, wanted.conversion, wanted.shape)
    except ImageError as error:
        return None, (), str(error)
    return pixels, (*decoded.notes, *([sentence] if sentence else [])), None


def _answer(target: Target, probabilities: NDArray[np.float32]) -> Answer:
    order = np.argsort(-probabilities, kind="stable")
    named = {name: float(str(p)) for name, p in zip(target.classes, probabilities, strict=True)}
    first = target.classes[order[0]]
    second = target.classes[order[1]] if len(order) > 1 else None
    return Answer(first, named[first], second, None if second is None else named[second], named)
