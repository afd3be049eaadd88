"""One trained classifier as one file, `NAME.muslin`: sealing it, and opening it without trusting it.

The file is a zip of parts without compression. Its manifest carries the SHA-256 of every part, and the
zip's comment carries that of the manifest. Nothing in it is executed or unpickled: numbers are safetensors,
tables are JSON, and the network is an ONNX graph that is looked through here before any runtime sees it.
The format, part by part: docs/reference/bundle.md.

The seal finds damage and careless edits. It is no signature: who rewrites the whole file can seal it anew.
"""

import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import BundleError
from muslin.evaluation.ood import OODDetector
from muslin.evaluation.selective import CalibrationData
from muslin.evaluation.thresholds import count_of
from muslin.storage.atomic import write_atomically

FORMAT = "muslin"
FORMAT_VERSION = 3
"""Rises with every change that an older reader would get wrong; see docs/reference/bundle.md.

A bundle that carries nothing to decide by is sealed as version 2, which differs in nothing else.
"""

FEATURES = "features seen"
"""The graph's output, float32 (count, features), from which `Bundle.likeness` tells what is unlike."""

MIB = 2**20
PARTS = {  # in the file's order, with the most bytes each may have
    "manifest.json": 16 * MIB,
    "network.json": 16 * MIB,
    "provenance.json": 16 * MIB,
    "golden.safetensors": 256 * MIB,
    "model.onnx": 1024 * MIB,
    "weights.safetensors": 1024 * MIB,
    "deciding.safetensors": 256 * MIB,
}
DECISION_PART = "deciding.safetensors"
"""The part that came with version 3; bundles of older versions lack it, all others have it."""

RETRY_HINT = "Get the file again from where it came."
_SEAL = b"sha256:%s"
_SEAL_BYTES = len(_SEAL % hashlib.sha256().hexdigest().encode())
_END = struct.Struct("<4s4H2LH")  # the end of a zip's directory: APPNOTE.TXT 4.3.16
_LOCAL = struct.Struct("<4s5H3L2H")  # the header before each part: 4.3.7
_CENTRAL_BYTES = 46  # a part's header in the directory, without its name: 4.3.12
_LOCATOR_BYTES = 20  # zip64's, before the end: 4.3.15
_MOST_DIRECTORY_BYTES = 2**16
_FOREIGN = (  # what zipfile, json, struct and safetensors may raise about bytes they cannot read
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Preprocessing:
    """What an image must have become before the graph takes it: uint8 (height, width, channels).

    Attributes:
        height, width: in pixels, 1 to 65,535.
        channels: 1 (gray) or 3 (red, green, blue).
        transform: how a photo of another size becomes such an image: a row of `muslin.images.TRANSFORMS`.
    """

    height: int
    width: int
    channels: int
    transform: str

    def __post_init__(self) -> None:
        if not (0 < self.height < 2**16 and 0 < self.width < 2**16 and self.channels in (1, 3)):
            raise BundleError(
                f"images of {self.height}×{self.width} pixels with {self.channels} channels: "
                "expected 1 to 65,535 pixels a side and 1 or 3 channels."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything that is needed to answer as the trained network does, and to know where it came from.

    Attributes:
        targets: the questions it answers, in order; class i of a target is column i of its probabilities.
        preprocessing: what the graph expects.
        model: an ONNX graph from `pixels`, uint8 (count, height, width, channels), to one output per target,
            under the target's name: float32 (count, classes) probabilities.
        weights: the trained numbers as safetensors, for going on with training and for looking inside.
        golden_pixels: uint8 (k, height, width, channels), k ≥ 1: images whose answers are known.
        golden_probabilities: per target's name, float32 (k, classes), 0 to 1: what the network answered.
        network: the table of layers, as JSON.
        provenance: recipe, seed, data fingerprint, versions, machine, figures, as JSON.
        thresholds: per target's name from which probability on an answer is a yes, 0 to 1: a number per class where a
            image may have several labels, or one, of the second class, of two; one half for targets that are absent.
        held_out: per target's name, what the network said of images it was not trained on; targets of which
            nothing is known are left out. Answers are calibrated and accepted by it.
        likeness: what is needed to tell images unlike the training ones; the graph then has an output FEATURES.

    Two bundles are equal when all of this is.

    Raises:
        BundleError: the values do not fit each other, or the graph reaches outside the file.
    """

    targets: tuple[Target, ...]
    preprocessing: Preprocessing
    model: bytes = field(repr=False)
    weights: bytes = field(repr=False)
    golden_pixels: NDArray[np.uint8] = field(repr=False)
    golden_probabilities: Mapping[str, NDArray[np.float32]] = field(repr=False)
    network: Mapping[str, Any] = field(repr=False)
    provenance: Mapping[str, Any] = field(repr=False)
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    calibration_data: Mapping[str, CalibrationData] = field(default_factory=dict, repr=False)
    ood_detector: OODDetector | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_targets(self.targets)
        _check_thresholds(self.targets, self.thresholds)
        with _within("golden.safetensors"):
            _check_golden(self)
        with _within("model.onnx"):
            check_graph(self.model)
        with _within("weights.safetensors"):
            _tensors(self.weights)
        with _within(DECISION_PART):
            _check_deciding(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and (
            (
                self.targets,
                self.preprocessing,
                self.model,
                self.weights,
                self.network,
                self.provenance,
                self.thresholds,
            )
            == (
                other.targets,
                other.preprocessing,
                other.model,
                other.weights,
                other.network,
                other.provenance,
                other.thresholds,
            )
            and dict(self.calibration_data) == dict(other.calibration_data)
            and self.ood_detector == other.ood_detector
            and np.array_equal(self.golden_pixels, other.golden_pixels)
            and all(
                np.array_equal(self.golden_probabilities[t.name], other.golden_probabilities[t.name])
                for t in self.targets
            )
        )


def seal(bundle: Bundle, path: str | Path) -> None:
    """Write `bundle` to `path` as one file that is whole or not there. The same values give the same bytes.

    Raises:
        BundleError: `network` or `provenance` is not JSON, or a part is larger than PARTS allows.
        StorageError: the disk is full or the place cannot be written; what was at `path` is untouched.
    """
    with _within(str(path)):
        content = _zipped(_parts_of(bundle))
        _read(io.BytesIO(content))  # nothing leaves that would be refused where it arrives
    write_atomically(path, content)


def open_bundle(path: str | Path) -> Bundle:
    """Read a .muslin file, every byte of its parts checked against the seal.

    Nothing is run here, the graph neither: `muslin.models.predictor.Predictor` does that, and compares its answers
    to the golden images with those sealed in.

    Raises:
        BundleError: the file is absent, damaged, tampered with, from a later muslin, or none. The message
            names the file, the part and the reason.
    """
    path = Path(path)
    with _within(str(path)):
        if not path.exists():
            raise BundleError("there is no such file. Check the path.")
        if not path.is_file():
            raise BundleError("is not a file. Give the path of a .muslin file.")
        with open(path, "rb") as file:
            return _read(file)


@contextmanager
def _within(where: str) -> Iterator[None]:
    """Turn whatever is raised about unreadable bytes into a BundleError that begins with `where`."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{where}: {error}") from error
    except OSError as error:
        raise BundleError(f"{where}: cannot be read ({error.strerror or error}). Check the file.") from error
    except _FOREIGN as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BundleError(f"{where}: cannot be read ({reason}). {RETRY_HINT}") from error


# --- values → parts → bytes


def _parts_of(bundle: Bundle) -> dict[str, bytes]:
    from safetensors.numpy import save

    golden: dict[str, NDArray[Any]] = {"pixels": np.ascontiguousarray(bundle.golden_pixels)}
    for target in bundle.targets:
        golden[_golden_key(target)] = np.ascontiguousarray(bundle.golden_probabilities[target.name])
    parts = {
        "network.json": _json("network.json", bundle.network),
        "provenance.json": _json("provenance.json", bundle.provenance),
        "golden.safetensors": save(golden),
        "model.onnx": bundle.model,
        "weights.safetensors": bundle.weights,
    }
    if deciding := _deciding_tensors(bundle):
        parts[DECISION_PART] = save(deciding)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION if deciding else 2,
        "muslin_version": _muslin_version(),
        "targets": [asdict(target) for target in bundle.targets],
        "preprocessing": asdict(bundle.preprocessing),
        "thresholds": {name: list(values) for name, values in bundle.thresholds.items()},
        "parts": {name: {"sha256": _sha256(part), "size": len(part)} for name, part in parts.items()},
    }
    return {"manifest.json": _json("manifest.json", manifest), **parts}


def _zipped(parts: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Not compressed: trained numbers hardly shrink, nothing can expand, and the bytes depend on no zlib.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, part in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # else it would be the writer's own system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, part)
        archive.comment = _SEAL % _sha256(parts["manifest.json"]).encode()
    return buffer.getvalue()


def _json(part: str, value: Any) -> bytes:
    try:
        return json.dumps(value, indent=1, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"{part}: is not JSON ({error}). Use texts, numbers, lists and dicts.") from error


def _muslin_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("muslin")
    except PackageNotFoundError:
        return "unknown"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _deciding_tensors(bundle: Bundle) -> dict[str, NDArray[Any]]:
    tensors = {
        f"targets/{name}/{part}": np.ascontiguousarray(values)
        for name, calibration_data in bundle.calibration_data.items()
        for part, values in calibration_data.arrays().items()
    }
    if bundle.ood_detector is not None:
        tensors |= {
            "likeness/known": bundle.ood_detector.known,
            "likeness/held_out": bundle.ood_detector.calibration_data,
        }
    return tensors


def _golden_key(target: Target) -> str:
    return f"probabilities/{target.name}"


# --- bytes → parts → values


def _read(file: BinaryIO) -> Bundle:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise BundleError(f"is empty. {RETRY_HINT}")
    if size > sum(PARTS.values()) + MIB:
        raise BundleError(
            f"has {size:,} bytes; a .muslin file has at most {sum(PARTS.values()):,}. {RETRY_HINT}"
        )
    _check_start(file)
    sealed = _check_end(file, size)
    with zipfile.ZipFile(file) as archive:
        _check_directory(archive.infolist(), size)
        parts = {}
        for entry in archive.infolist():
            with _within(entry.filename):
                parts[entry.filename] = archive.read(entry)
    with _within("manifest.json"):
        if sealed != _SEAL % _sha256(parts["manifest.json"]).encode():
            raise BundleError(f"is not as it was sealed (its SHA-256 differs). {RETRY_HINT}")
        manifest = _parsed(parts["manifest.json"])
        _check_manifest(manifest)
        if set(manifest["parts"]) != set(parts) - {"manifest.json"}:
            raise BundleError(f"names other parts than there are. {RETRY_HINT}")
    for name, entry in manifest["parts"].items():
        if (len(parts[name]), _sha256(parts[name])) != (entry["size"], entry["sha256"]):
            raise BundleError(f"{name}: is not as it was sealed (its SHA-256 differs). {RETRY_HINT}")
    return _bundle_from(manifest, parts)


def _check_start(file: BinaryIO) -> None:
    """Refuse what is no bundle, and what a later muslin made, which may be unlike ours in all but its start.

    Every version of the format begins with an uncompressed manifest.json that gives its `format_version`.
    """
    file.seek(0)
    header = file.read(_LOCAL.size)
    if not header.startswith(b"PK\x03\x04"):
        raise BundleError("is not a .muslin file (no zip). Give a file that muslin train has made.")
    try:
        *_, size, name_bytes, extra_bytes = _LOCAL.unpack(header)
        name = file.read(name_bytes)
        file.seek(extra_bytes, os.SEEK_CUR)
        manifest = _parsed(file.read(min(size, PARTS["manifest.json"])))
        version = manifest["format_version"] if name == b"manifest.json" else None
    except (BundleError, *_FOREIGN):
        return  # what is wrong with it is said when it is read in earnest
    if type(version) is int and version > FORMAT_VERSION:
        raise BundleError(
            f"made by a later muslin (format {version}; this one reads up to {FORMAT_VERSION}). "
            "Upgrade muslin."
        )


def _check_end(file: BinaryIO, size: int) -> bytes:
    """The seal at the file's end, before anything is parsed or allocated by what the file says of itself."""
    file.seek(max(0, size - _LOCATOR_BYTES - _END.size - _SEAL_BYTES))
    locator, end, sealed = file.read(_LOCATOR_BYTES), file.read(_END.size), file.read()
    if len(sealed) == _SEAL_BYTES:
        signature, *_, directory_bytes, _, seal_bytes = _END.unpack(end)
        if (signature, seal_bytes) == (b"PK\x05\x06", _SEAL_BYTES):
            if directory_bytes > _MOST_DIRECTORY_BYTES or locator.startswith(b"PK\x06\x07"):
                raise BundleError(
                    f"lists far more than the {len(PARTS)} parts of a .muslin file. {RETRY_HINT}"
                )
            return sealed
    raise BundleError(
        f"does not end with a seal: it was cut off, added to, or packed by another program. {RETRY_HINT}"
    )


def _check_directory(entries: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuse parts by what the zip's directory says of them, before a byte of them is read."""
    names = [entry.filename for entry in entries]
    for name in names:
        if ".." in name or name.startswith(("/", "\\")) or ":" in name:
            raise BundleError(f"{name!r}: is a name that leads out of the file. {RETRY_HINT}")
        if name not in PARTS:
            raise BundleError(f"{name!r}: is not a part of a .muslin file. {RETRY_HINT}")
        if names.count(name) > 1:
            raise BundleError(f"{name}: is there twice. {RETRY_HINT}")
    for name in PARTS:
        if name not in names and name != DECISION_PART:
            raise BundleError(f"{name}: is missing. {RETRY_HINT}")
    for entry in entries:
        with _within(entry.filename):
            if entry.flag_bits & 0x1:
                raise BundleError(f"is encrypted. {RETRY_HINT}")
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits:
                raise BundleError(f"is packed in a way that muslin does not use. {RETRY_HINT}")
            if entry.file_size > PARTS[entry.filename]:
                raise BundleError(
                    f"has {entry.file_size:,} bytes, {PARTS[entry.filename]:,} at most. {RETRY_HINT}"
                )
            if entry.compress_size != entry.file_size:
                raise BundleError(f"has two different sizes. {RETRY_HINT}")
    headers = sum(_LOCAL.size + _CENTRAL_BYTES + 2 * len(name) for name in names)
    if size != headers + sum(entry.file_size for entry in entries) + _END.size + _SEAL_BYTES:
        raise BundleError(f"has bytes missing from its parts or between them. {RETRY_HINT}")


def _check_manifest(manifest: Mapping[str, Any]) -> None:
    kinds = {
        "format": str,
        "format_version": int,
        "muslin_version": str,
        "targets": list,
        "preprocessing": dict,
        "parts": dict,
    }
    if manifest.get("format_version") != 1:  # the first had none
        kinds["thresholds"] = dict
    _check_shape("it", manifest, kinds)
    if manifest["format"] != FORMAT or manifest["format_version"] not in range(1, FORMAT_VERSION + 1):
        raise BundleError(f"is of format {manifest['format']!r} {manifest['format_version']}. {RETRY_HINT}")
    for name, values in manifest.get("thresholds", {}).items():
        if type(values) is not list or not all(type(value) in (int, float) for value in values):
            raise BundleError(f"the thresholds of {name!r} are not a list of numbers. {RETRY_HINT}")
    for target in manifest["targets"]:
        _check_shape("a target", target, {"name": str, "classes": list, "kind": str})
        if not all(type(name) is str for name in target["classes"]):
            raise BundleError(f"target {target['name']!r} has a class that is not a text. {RETRY_HINT}")
    _check_shape(
        "preprocessing",
        manifest["preprocessing"],
        {"height": int, "width": int, "channels": int, "transform": str},
    )
    named = [name for name in PARTS if name != "manifest.json"]
    if manifest["format_version"] < 3:
        named.remove(DECISION_PART)
    _check_shape("parts", manifest["parts"], dict.fromkeys(named, dict))
    for name, part in manifest["parts"].items():
        _check_shape(name, part, {"sha256": str, "size": int})


def _bundle_from(manifest: Mapping[str, Any], parts: Mapping[str, bytes]) -> Bundle:
    with _within("manifest.json"):
        targets = tuple(Target(t["name"], tuple(t["classes"]), t["kind"]) for t in manifest["targets"])
        preprocessing = Preprocessing(**manifest["preprocessing"])
    tables = {}
    for name in ("network.json", "provenance.json"):
        with _within(name):
            tables[name] = _parsed(parts[name])
    with _within("golden.safetensors"):
        golden = _tensors(parts["golden.safetensors"])
        wanted = {"pixels", *map(_golden_key, targets)}
        if set(golden) != wanted:
            raise BundleError(f"holds {sorted(golden)} instead of {sorted(wanted)}. {RETRY_HINT}")
    calibration_data: dict[str, CalibrationData] = {}
    ood_detector = None
    if DECISION_PART in parts:
        with _within(DECISION_PART):
            calibration_data, ood_detector = _deciding_from(_tensors(parts[DECISION_PART]), targets)
    return Bundle(
        targets=targets,
        preprocessing=preprocessing,
        calibration_data=calibration_data,
        ood_detector=ood_detector,
        model=parts["model.onnx"],
        weights=parts["weights.safetensors"],
        golden_pixels=golden["pixels"],
        golden_probabilities={target.name: golden[_golden_key(target)] for target in targets},
        network=tables["network.json"],
        provenance=tables["provenance.json"],
        thresholds={
            name: tuple(map(float, values)) for name, values in manifest.get("thresholds", {}).items()
        },
    )


def _deciding_from(
    tensors: Mapping[str, NDArray[Any]], targets: Sequence[Target]
) -> tuple[dict[str, CalibrationData], OODDetector | None]:
    left, calibration_data, ood_detector = dict(tensors), {}, None
    names = [field.name for field in fields(CalibrationData)]
    for target in targets:
        if f"targets/{target.name}/temperature" in left:
            calibration_data[target.name] = CalibrationData(
                *(left.pop(f"targets/{target.name}/{name}") for name in names)
            )
    if "likeness/known" in left:
        ood_detector = OODDetector(left.pop("likeness/known"), left.pop("likeness/held_out"))
    if left:
        raise BundleError(f"holds {sorted(left)[:5]}, which belongs to nothing. {RETRY_HINT}")
    return calibration_data, ood_detector


def _parsed(content: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise BundleError(f"holds {constant}, which is not JSON. {RETRY_HINT}")

    value = json.loads(content.decode(), parse_constant=refuse)
    if not isinstance(value, dict):
        raise BundleError(f"is not a JSON object. {RETRY_HINT}")
    return value


def _check_shape(what: str, value: Any, kinds: Mapping[str, type]) -> None:
    """Exactly these keys with exactly these kinds of JSON values: true is no number, nothing is ignored."""
    if type(value) is not dict or set(value) != set(kinds):
        raise BundleError(f"{what} must be an object with {', '.join(kinds)} and nothing else. {RETRY_HINT}")
    for key, kind in kinds.items():
        if type(value[key]) is not kind:
            raise BundleError(
                f"{what}: {key} is a {type(value[key]).__name__}; expected {kind.__name__}. {RETRY_HINT}"
            )


def _tensors(content: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except SafetensorError as error:
        raise BundleError(f"is not a safetensors file ({error}). {RETRY_HINT}") from error


def _check_targets(targets: tuple[Target, ...]) -> None:
    names = [target.name for target in targets]
    if not names or not all(names) or len(set(names)) != len(names):
        raise BundleError(f"manifest.json: targets are named {names}; expected one or more, each named once.")
    for target in targets:
        if not target.classes or len(set(target.classes)) != len(target.classes):
            raise BundleError(f"manifest.json: target {target.name!r} needs classes, each named once.")
        if target.kind not in ("multiclass", "multilabel"):
            raise BundleError(
                f"manifest.json: target {target.name!r} is {target.kind!r}; "
                "expected multiclass or multilabel."
            )


def _check_thresholds(targets: Sequence[Target], thresholds: Mapping[str, tuple[float, ...]]) -> None:
    counts = {target.name: count_of(target) for target in targets}
    for name, values in thresholds.items():
        if len(values) != counts.get(name, 0) or not all(0 <= value <= 1 for value in values):
            raise BundleError(
                f"manifest.json: {len(values)} thresholds of {name!r}, {min(values, default=0)} to "
                f"{max(values, default=0)}; expected {counts.get(name, 0)} from 0 to 1."
            )


def _check_golden(bundle: Bundle) -> None:
    pixels = bundle.golden_pixels
    if pixels.dtype != np.uint8 or pixels.shape[1:] != bundle.preprocessing.shape or not len(pixels):
        raise BundleError(
            f"pixels are {pixels.dtype} {pixels.shape}; expected uint8 (1 or more, "
            f"{', '.join(map(str, bundle.preprocessing.shape))})."
        )
    if set(bundle.golden_probabilities) != {target.name for target in bundle.targets}:
        raise BundleError("there must be probabilities for each target and for nothing else.")
    for target in bundle.targets:
        probabilities = bundle.golden_probabilities[target.name]
        wanted = (len(pixels), len(target.classes))
        if probabilities.dtype != np.float32 or probabilities.shape != wanted:
            raise BundleError(
                f"probabilities of {target.name!r} are {probabilities.dtype} {probabilities.shape}; "
                f"expected float32 {wanted}."
            )
        # A softmax in float32 may end a rounding above 1; NaN is not between any two numbers.
        if not ((probabilities >= -1e-6) & (probabilities <= 1 + 1e-6)).all():
            raise BundleError(f"probabilities of {target.name!r} are not all between 0 and 1.")


def _check_deciding(bundle: Bundle) -> None:
    """Everything by its type, length and range, so that nothing that is computed of it can fail or mean else."""
    targets = {target.name: target for target in bundle.targets}
    if strangers := set(bundle.calibration_data) - set(targets):
        raise BundleError(f"holds {sorted(strangers)[0]!r}, which is no target. {RETRY_HINT}")
    for name, calibration_data in bundle.calibration_data.items():
        target, n = targets[name], len(calibration_data)
        several = target.kind == "multilabel"
        wanted = {
            "temperature": (np.float32, len(target.classes) if several else 1),
            "yes_from": (np.float64, count_of(target)),
            "confidence": (np.float32, n),
            "predicted": (np.int32, n),
            "right": (np.bool_, n),
            "of_true": (np.float32, n),
        }
        for part, values in calibration_data.arrays().items():
            kind, length = wanted[part]
            if values.dtype != kind or values.shape != (length,):
                raise BundleError(
                    f"{part} of {name!r} is {values.dtype} {values.shape}; expected {np.dtype(kind)} ({length},)."
                )
        between = [
            calibration_data.confidence,
            calibration_data.of_true[~np.isnan(calibration_data.of_true)]
            if several
            else calibration_data.of_true,
        ]
        if not (
            all(((v >= 0) & (v <= 1)).all() for v in between)
            and (np.diff(calibration_data.confidence) <= 0).all()
            and ((calibration_data.temperature > 0) & np.isfinite(calibration_data.temperature)).all()
            and ((calibration_data.yes_from >= 0) & (calibration_data.yes_from <= 1)).all()
            and (
                (calibration_data.predicted >= (-1 if several else 0))
                & (calibration_data.predicted < len(target.classes))
            ).all()
        ):
            raise BundleError(f"what was held out for {name!r} is out of its range or order. {RETRY_HINT}")
    if bundle.ood_detector is not None:
        known, strange = bundle.ood_detector.known, bundle.ood_detector.calibration_data
        if (
            known.dtype != np.float32
            or strange.dtype != np.float32
            or (known.ndim, strange.ndim) != (2, 1)
            or not len(known)
            or not len(strange)
            or not (np.isfinite(known).all() and np.isfinite(strange).all() and (np.diff(strange) >= 0).all())
        ):
            raise BundleError(f"what training images look like is not as muslin writes it. {RETRY_HINT}")


# --- the graph, looked through and not run

# What may stand in an ONNX file: per message its fields by number, and for each field one of
#   its name and the fields of the message in it, which is looked into; without fields, a name from DOMAINS;
#   "", which is passed over: a number, a text, or a message that names no file and no operation;
#   another text, which is the reason why a file that has it is refused.
# Numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (IR version 14). What is not listed is
# refused too, so that a later runtime cannot read a meaning into something that was passed over here.
_Fields = Mapping[int, "str | tuple[str, _Fields]"]
_DOMAIN: tuple[str, _Fields] = ("domain", {})
_NESTED = "has a graph within the graph (If, Loop, Scan)"
_TENSOR: _Fields = {
    **dict.fromkeys((1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16), ""),
    3: "has a tensor in segments",
    13: "keeps data outside the file",
    14: "",  # where the data are; `outside` means nothing without field 13
}
_SPARSE: _Fields = {1: ("values", _TENSOR), 2: ("indices", _TENSOR), 3: ""}
_ATTRIBUTE: _Fields = {
    **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 14, 15, 20), ""),
    5: ("t", _TENSOR),
    6: _NESTED,
    10: ("tensors", _TENSOR),
    11: _NESTED,
    21: "has functions of its own",  # ref_attr_name is for those only
    22: ("sparse_tensor", _SPARSE),
    23: ("sparse_tensors", _SPARSE),
}
_NODE: _Fields = {
    **dict.fromkeys((1, 2, 3, 4, 6, 9), ""),
    5: ("attribute", _ATTRIBUTE),
    7: _DOMAIN,
}
_GRAPH: _Fields = {
    **dict.fromkeys((2, 10, 11, 12, 13, 14, 16), ""),
    1: ("node", _NODE),
    5: ("initializer", _TENSOR),
    15: ("sparse_initializer", _SPARSE),
}
_OPSET: _Fields = {1: _DOMAIN, 2: ""}
_MODEL: _Fields = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 14), ""),
    7: ("graph", _GRAPH),
    8: ("opset_import", _OPSET),
    20: "has training steps",
    25: "has functions of its own",
}
DOMAINS = (b"", b"ai.onnx")
"""The sets of operations a model may use: ONNX's own, under its two names."""


def check_graph(model: bytes) -> None:
    """Refuse an ONNX file that reaches outside itself or could do more than arithmetic.

    Reads protobuf's wire format (https://protobuf.dev/programming-guides/encoding) rather than trusting a
    runtime, which would open the files named in it first and complain afterwards.

    Raises:
        BundleError: data kept in other files, operations outside ONNX's own domain, graphs within the graph,
            functions, training steps, anything that is not in the tables above, or no ONNX file at all.
    """
    if not model:
        raise BundleError(f"is empty. {RETRY_HINT}")
    # By this mark ONNX Runtime knows its own format, which nobody has looked through.
    if model[4:8] == b"ORTM":
        raise BundleError("is in ONNX Runtime's own format; expected ONNX.")
    _check_message(memoryview(model), 0, len(model), _MODEL, "model")


def _check_message(wire: memoryview, at: int, end: int, fields: _Fields, where: str) -> None:
    while at < end:
        tag, at = read_varint(wire, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            _, after = read_varint(wire, at, end)
            start = at
        elif kind in (1, 5):
            start, after = at, at + (8 if kind == 1 else 4)
        elif kind == 2:
            length, start = read_varint(wire, at, end)
            after = start + length
        else:
            raise BundleError(f"is not an ONNX file (byte {at} of it). {RETRY_HINT}")
        if after > end:
            raise BundleError(f"is not an ONNX file, or was cut off (byte {at} of it). {RETRY_HINT}")
        rule = fields.get(number, f"has an unknown field {number}")
        if isinstance(rule, str):
            if rule:
                raise BundleError(f"{rule} (in {where}), which no model of muslin's does.")
        elif kind != 2:
            raise BundleError(f"is not an ONNX file (byte {at} of it). {RETRY_HINT}")
        elif rule is _DOMAIN:
            if bytes(wire[start:after]) not in DOMAINS:
                name = bytes(wire[start:after]).decode(errors="replace")[:60]
                raise BundleError(f"uses operations that are not ONNX's own (domain {name!r} in {where}).")
        else:
            _check_message(wire, start, after, rule[1], f"{where}.{rule[0]}")
        at = after


def read_varint(wire: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = wire[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise BundleError(f"is not an ONNX file, or was cut off (byte {at} of it). {RETRY_HINT}")
