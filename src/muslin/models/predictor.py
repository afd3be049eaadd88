"""Bundle + images → Predictions, with ONNX Runtime: no torch, and nothing that trains.

Read from `Predictor.predict` down: images are decoded and converted by `muslin.images`, stacked into
batches and given to the graph, which does the rest.
"""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.data.photos import Photo
from muslin.errors import BundleError, DataError, ImageError, RecipeError, nearest
from muslin.evaluation.selective import (
    DECISIONS,
    PRECISION,
    AcceptancePolicy,
    Triage,
    calibrated,
    rule,
    triage,
)
from muslin.evaluation.thresholds import move, usual
from muslin.machine import physical_cores
from muslin.models import runtime
from muslin.models.bundle import FEATURES, Bundle, Preprocessing, open_bundle
from muslin.models.runtime import run_session

if TYPE_CHECKING:
    import PIL.Image

GOLDEN_TOLERANCE = 1e-3
"""How far a golden image's probabilities may be from those sealed in. Absolute.

Processors add in different orders, which was seen to move float32 probabilities by less than 3e-6; a scale of
1/256 for 1/255 moves one in 16 images by 4e-3, two swapped classes by tenths (docs/reference/bundle.md).
"""

MODEL_FILE = "model.muslin"
"""The bundle's name in a run's folder."""

SUFFIXES = (
    *(
        ".avif",
        ".bmp",
        ".gif",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
    ),
    *(".ppm", ".tif", ".tiff", ".webp"),
    *(".heic", ".heif", ".svg"),  # not read, but images: each is named as a error rather than left out
)
"""What the name of an image in a folder ends with; every other file there is passed over."""

_BATCH_VALUES = 256 * 28 * 28  # pixel values a batch: keeps the cores busy, and fits their caches
CHUNK = 64
"""Images decoded ahead of the network, and given to it together."""


@dataclass(frozen=True)
class TargetPrediction:
    """The prediction of one target for one image.

    Of two classes whose threshold was changed, `label` is the class that the threshold decides for. Probabilities are
    between 0 and 1, and calibrated where the bundle has calibration data. With one class there is no runner-up (None).

    Attributes:
        labels: for a multilabel target, the labels whose probability reaches their threshold, in the target's order;
            otherwise None.
        decision: one of `muslin.evaluation.selective.DECISIONS`.
        prediction_set: the classes to choose from in a review, the most probable first; for an accepted prediction
            its label or labels only.
    """

    label: str
    probability: float
    runner_up: str | None
    runner_up_probability: float | None
    probabilities: Mapping[str, float] = field(repr=False)
    labels: tuple[str, ...] | None = None
    decision: str = "review"
    prediction_set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """The answers about one image, or the error that kept it from being read.

    Attributes:
        image: the image's name as given, or its place (`images[3]`) where it has none.
        predictions: per target's name; empty where there is a error.
        notes: what was done to the image on its way to the network, one sentence each.
        error: None, or one sentence.
    """

    image: str
    predictions: Mapping[str, TargetPrediction]
    notes: tuple[str, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values: one line of `muslin predict --json`."""
        return {
            "image": self.image,
            "predictions": {
                name: ({} if answer.labels is None else {"labels": list(answer.labels)})
                | {
                    "label": answer.label,
                    "probability": answer.probability,
                    "runner_up": answer.runner_up,
                    "runner_up_probability": answer.runner_up_probability,
                    "probabilities": dict(answer.probabilities),
                    "decision": answer.decision,
                    "prediction_set": list(answer.prediction_set),
                }
                for name, answer in self.predictions.items()
            },
            "notes": list(self.notes),
            "error": self.error,
        }


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """What a model makes of `n` images before anything is decided.

    Attributes:
        stated: per target's name float32 (n, classes): the network's own probabilities.
        probabilities: the same calibrated, where the model carries how.
        unlike: bool (n,): whether an image is unlike those that the model knows; None where it cannot tell.
    """

    raw_probabilities: Mapping[str, NDArray[np.float32]]
    probabilities: dict[str, NDArray[np.float32]]
    is_ood: NDArray[np.bool_] | None


def concat_outputs(blocks: Sequence[ModelOutput]) -> ModelOutput:
    """What was seen in several blocks of images, one or more, as if it were one."""
    if len(blocks) == 1:
        return blocks[0]
    is_ood = [block.is_ood for block in blocks if block.is_ood is not None]
    return ModelOutput(
        {
            name: np.concatenate([block.raw_probabilities[name] for block in blocks])
            for name in blocks[0].raw_probabilities
        },
        {name: np.concatenate([b.probabilities[name] for b in blocks]) for name in blocks[0].probabilities},
        np.concatenate(is_ood) if is_ood else None,
    )


class Predictor:
    """A bundle that answers. Safe to use from several threads at once.

    Attributes:
        bundle: what it was made from.
        threads: how many threads the network and the decoding use; by default the physical cores.

    `name` is what messages call the bundle: its path, where it has one. `check` is whether the golden images are
    asked; only for a bundle edited on purpose, which would answer otherwise, they are not.

    Raises:
        BundleError: the graph cannot be run, does not take or give what the bundle says, or does not answer
            to its golden images as it did when it was sealed.
        RecipeError: fewer threads than one.
    """

    def __init__(
        self, bundle: Bundle, threads: int | None = None, name: str = "bundle", *, check: bool = True
    ) -> None:
        self.bundle = bundle
        self.threads = physical_cores() if threads is None else threads
        if self.threads < 1:
            raise RecipeError(f"{threads} threads: at least 1 is needed.")
        self._name = name
        self._session = _session(bundle, self.threads, name)
        if check:
            self._check_golden_images()

    def __repr__(self) -> str:
        return f"<Predictor of {self._name}: {', '.join(target.name for target in self.bundle.targets)}>"

    @classmethod
    def open(cls, path: str | Path, threads: int | None = None) -> "Predictor":
        """Open a .muslin file, or the one in a run's folder.

        Raises:
            BundleError: see `muslin.models.bundle.open_bundle`; or the folder holds no model.
        """
        path = Path(path)
        if os.path.isdir(path):
            path = path / MODEL_FILE
            if not path.exists():
                raise BundleError(
                    f"{path}: there is no such file. Give a run's folder whose training has ended."
                )
        return cls(open_bundle(path), threads, name=str(path))

    @property
    def targets(self) -> tuple[Target, ...]:
        """The questions it answers, in order."""
        return self.bundle.targets

    @property
    def thresholds(self) -> dict[str, tuple[float, ...]]:
        """From which probability on an answer is a yes, of every target that has thresholds (`Bundle.thresholds`)."""
        return usual(self.targets) | dict(self.bundle.thresholds)

    def with_thresholds(self, changes: Mapping[str, float]) -> "Predictor":
        """The same with other thresholds.

        Args:
            changes: numbers from 0 to 1 by the name of a target or a class; under "" for all. Of two classes, from
                which probability on the named one is the answer (the second, where a target is named or nothing).

        Raises:
            DataError: there is no such threshold, or a number is out of range.
        """
        twin = copy(self)
        twin.bundle = replace(self.bundle, thresholds=move(self.targets, self.bundle.thresholds, changes))
        return twin

    def predict(self, images: Any, *, precision: float = PRECISION, per: str = "all") -> list[Prediction]:
        """One Prediction per image, in order, none left out.

        Args:
            images: an image or several: paths, a file's bytes, arrays uint8 (height, width) or (height,
                width, channels), PIL images. A folder stands for the images in it and below, in order of
                their names; hidden ones are passed over.
            precision: wanted of the accepted answers, from 0.5 to below 1.
            per: `all` or `class`: see `muslin.evaluation.selective.Rule`.

        Raises:
            DataError: a folder that holds no image; or `precision` or `per` is out of range.
        """
        return list(self.predict_iter(images, precision=precision, per=per))

    def predict_iter(
        self, images: Any, *, precision: float = PRECISION, per: str = "all"
    ) -> Iterator[Prediction]:
        """`predict`, one after the other, for any number of images: memory holds a few dozen at a time."""
        yield from self.predict_named(_each_image(images), precision=precision, per=per)

    def predict_named(
        self, pictures: Iterable[tuple[str, Any]], *, precision: float = PRECISION, per: str = "all"
    ) -> Iterator[Prediction]:
        """`predict_iter` for images that come with the name to call them by, each one image and no folder.

        Besides what `predict` takes an image may be a `Photo`, or an ImageError: the reason why there is none.
        """
        pictures, wanted = iter(pictures), self.bundle.preprocessing
        rules = self.policies(precision, per)
        with ThreadPoolExecutor(self.threads) as pool:
            while chunk := list(islice(pictures, CHUNK)):
                yield from self._answered(
                    list(pool.map(lambda named: _read(named[0], named[1], wanted), chunk)), rules
                )

    def predict_pixels(
        self, pixels: NDArray[np.uint8], batch_size: int | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Calibrated probabilities for images that are already as the network takes them.

        Args:
            pixels: uint8 (count, height, width, channels) of the bundle's preprocessing.
            batch_size: images at a time; by default so many that their pixels fit the processor's caches.

        Returns:
            Per target's name float32 (count, classes), 0 to 1, columns in the target's order of classes.

        Raises:
            DataError: `pixels` has another type or shape.
        """
        return self.infer(pixels, batch_size).probabilities

    def infer(self, pixels: NDArray[np.uint8], batch_size: int | None = None) -> ModelOutput:
        """All that is to be known of images before anything is decided; arguments and errors as `predict_pixels`."""
        names = [target.name for target in self.targets]
        if self.bundle.ood_detector is not None:
            names.append(FEATURES)
        return concat_outputs(
            [self.to_output(found, found.get(FEATURES)) for found in self._run(pixels, names, batch_size)]
        )

    def to_output(
        self, raw_probabilities: Mapping[str, NDArray[np.float32]], features: NDArray[np.float32] | None
    ) -> ModelOutput:
        """What `infer` says of images of which it is known what `raw` says."""
        ood_detector = self.bundle.ood_detector
        is_ood = None
        if ood_detector is not None and features is not None:
            is_ood = ood_detector.ood_score(features) > ood_detector.limit
        ours = {t.name: raw_probabilities[t.name] for t in self.targets}
        known = self.bundle.calibration_data
        return ModelOutput(
            ours, {t.name: calibrated(t, ours[t.name], known.get(t.name)) for t in self.targets}, is_ood
        )

    def infer_raw(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32] | None]:
        """The network's own probabilities, and what its last layer sees of the images: float32 (count, features).

        The second is None where the graph does not give it, as in models of older versions.
        """
        names = [target.name for target in self.targets]
        if FEATURES in {entry.name for entry in self._session.get_outputs()}:
            names.append(FEATURES)
        batches = list(self._run(pixels, names))
        found = {name: np.concatenate([batch[name] for batch in batches]) for name in names}
        features = found.pop(FEATURES, None)
        return found, features

    def policies(self, precision: float = PRECISION, per: str = "all") -> dict[str, AcceptancePolicy]:
        """Per target's name the thresholds that keep `precision`; see `muslin.evaluation.selective.rule`."""
        calibration_data, yes_from = self.bundle.calibration_data, self.thresholds
        return {
            t.name: rule(t, calibration_data.get(t.name), precision, per, yes_from.get(t.name, ()))
            for t in self.targets
        }

    def _answered(
        self, pictures: list["_Image"], rules: Mapping[str, AcceptancePolicy]
    ) -> Iterator[Prediction]:
        readable = [picture.pixels for picture in pictures if picture.pixels is not None]
        seen = self.infer(np.stack(readable)) if readable else None
        decided = {
            t.name: triage(t, seen.probabilities[t.name], rules[t.name], seen.is_ood)
            for t in self.targets
            if seen is not None
        }
        rows = iter(range(len(readable)))
        for picture in pictures:
            if picture.pixels is None:
                yield Prediction(picture.name, {}, error=picture.error)
            else:
                row = next(rows)
                assert seen is not None
                found = {
                    t.name: _answer(t, seen.probabilities[t.name][row], decided[t.name], row)
                    for t in self.targets
                }
                yield Prediction(picture.name, found, picture.notes)

    def _run(
        self, pixels: NDArray[np.uint8], names: list[str], batch_size: int | None = None
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """The graph's outputs of these names, a batch of images at a time; of no image, one empty batch."""
        shape = self.bundle.preprocessing.shape
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != shape:
            raise DataError(
                f"pixels are {pixels.dtype} {pixels.shape}; this model takes uint8 (count, "
                f"{', '.join(map(str, shape))}). Give images of other kinds to predict()."
            )
        widths: dict[str, int | None] = {target.name: len(target.classes) for target in self.targets}
        ood_detector = self.bundle.ood_detector
        widths[FEATURES] = None if ood_detector is None else ood_detector.known.shape[1]
        if not len(pixels):
            yield {name: np.empty((0, widths[name] or 0), np.float32) for name in names}
        size = max(1, batch_size or _BATCH_VALUES // int(np.prod(shape)))
        for start in range(0, len(pixels), size):
            batch = pixels[start : start + size]
            outputs = dict(zip(names, run_session(self._session, names, {"pixels": batch}), strict=True))
            for name, output in outputs.items():
                wanted = (len(batch), widths[name] or getattr(output, "shape", (0, 0))[-1])
                if not isinstance(output, np.ndarray) or output.dtype != np.float32 or output.shape != wanted:
                    raise BundleError(
                        f"{self._name}: model.onnx gives {getattr(output, 'dtype', type(output))} "
                        f"{getattr(output, 'shape', '')} for {name!r}; expected float32 {wanted}."
                    )
            yield outputs

    def _check_golden_images(self) -> None:
        answers, _ = self.infer_raw(self.bundle.golden_pixels)
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


# --- the graph and its runtime


def _session(bundle: Bundle, threads: int, name: str) -> Any:
    from muslin.images import TRANSFORMS

    transform, shape = bundle.preprocessing.transform, bundle.preprocessing.shape
    if transform not in TRANSFORMS:
        raise BundleError(
            f"{name}: no transform {transform!r}. {nearest(transform, TRANSFORMS)} Upgrade muslin."
        )
    session = runtime.session(bundle.model, threads=threads)
    takes = {entry.name: (entry.type, list(entry.shape)) for entry in session.get_inputs()}
    gives = [entry.name for entry in session.get_outputs()]
    kind, sizes = takes.get("pixels", ("", []))
    any_count = bool(sizes) and not isinstance(sizes[0], int)
    if len(takes) != 1 or kind != "tensor(uint8)" or not any_count or tuple(sizes[1:]) != shape:
        raise BundleError(
            f"{name}: model.onnx takes {takes}; expected only `pixels`: uint8 (any count, "
            f"{', '.join(map(str, shape))})."
        )
    for wanted in (
        *(t.name for t in bundle.targets),
        *([FEATURES] if bundle.ood_detector is not None else []),
    ):
        if wanted not in gives:
            raise BundleError(f"{name}: model.onnx gives {', '.join(gives)}, but not {wanted!r}.")
    return session


def _answer(
    target: Target, probabilities: NDArray[np.float32], decided: Triage, row: int
) -> TargetPrediction:
    # By way of the shortest decimal that is the same float32: 0.91 and not 0.9100000262260437
    named = {name: float(str(p)) for name, p in zip(target.classes, probabilities, strict=True)}
    downwards = sorted(named.items(), key=lambda item: -item[1])
    if target.kind == "multilabel":
        labels = tuple(name for name, yes in zip(target.classes, decided.tags[row], strict=True) if yes)
    else:
        labels = None
        answer = target.classes[decided.predicted[row]]
        downwards.sort(key=lambda item: item[0] != answer)  # the answer first, the others as they are
    first, *others = downwards[:2]
    second, probability = others[0] if others else (None, None)
    listed = [target.classes[i] for i in np.flatnonzero(decided.candidates[row])]
    listed.sort(key=lambda name: -named[name])
    return TargetPrediction(
        *first, second, probability, named, labels, DECISIONS[decided.decisions[row]], tuple(listed)
    )


# --- from what a user gives to pixels


@dataclass(frozen=True)
class _Image:
    """One image as the network takes it (None where there is a error), and what was done to it."""

    name: str
    pixels: NDArray[np.uint8] | None
    notes: tuple[str, ...] = ()
    error: str | None = None


def _each_image(images: Any) -> Iterator[tuple[str, Any]]:
    """Every image with its name: as given, a file's path for those of a folder, or its place."""
    for place, image in enumerate([images] if _is_one(images) else images):
        if not isinstance(image, str | os.PathLike):
            yield f"images[{place}]", image
        elif not os.path.isdir(image):
            yield os.fspath(image), Path(image)
        else:
            for path in _images_in(Path(image)):
                yield str(path), path


def _is_one(images: Any) -> bool:
    if isinstance(images, np.ndarray):  # (count, height, width) is several, (height, width, channels) is one
        return images.ndim < 3 or (images.ndim == 3 and images.shape[2] in (1, 3, 4))
    return isinstance(images, str | bytes | os.PathLike) or not isinstance(images, Iterable)


def _images_in(folder: Path) -> list[Path]:
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not found:
        raise DataError(
            f"{folder}: there is no image in this folder (no file ending in {', '.join(SUFFIXES)})."
        )
    return found


def _read(name: str, source: Any, wanted: Preprocessing) -> _Image:
    from muslin.images import apply_transform

    try:
        pixels, notes = _pixels_of(name, source)
        pixels, sentence = apply_transform(pixels, wanted.transform, wanted.shape)
    except ImageError as error:
        return _Image(name, None, error=str(error))
    return _Image(name, pixels, (*notes, sentence) if sentence else notes)


def _pixels_of(name: str, source: Any) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Pixels as `muslin.images.convert` takes them (and checks them), and notes on how they were got."""
    from PIL.Image import Image

    from muslin.images import decode

    if isinstance(source, ImageError):
        raise source
    if isinstance(source, np.ndarray):
        return (source[:, :, np.newaxis] if source.ndim == 2 else source), ()
    if isinstance(source, Image):
        decoded = decode(_as_png(name, source), name=name, max_bytes=2**31)
    elif isinstance(source, Photo):
        decoded = decode(source.content(), name=name)
    elif isinstance(source, bytes | Path):
        decoded = decode(source, name=name)
    else:
        kind = type(source).__name__
        raise ImageError(f"{name}: is a {kind}; expected a path, a file's bytes, an array or a PIL image.")
    return decoded.pixels, decoded.notes


def _as_png(name: str, image: "PIL.Image.Image") -> bytes:
    """So that transparency, 16 bits and EXIF orientation are treated as they are in files, in one place."""
    file = io.BytesIO()
    try:
        as_it_is = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
        (image if as_it_is else image.convert("RGB")).save(
            file, "PNG", compress_level=0, exif=image.getexif()
        )
    except Exception as error:  # its file may be read only now, and decoders raise whatever they do
        raise ImageError(f"{name}: cannot be read ({error}). Check the image.") from error
    return file.getvalue()
