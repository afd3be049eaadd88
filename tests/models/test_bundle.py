"""A bundle opens as it was sealed; every other file is refused with a coded error."""

import contextlib
import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings, strategies
from onnx import TensorProto, helper, onnx_pb
from safetensors.numpy import save

from muslin.data.dataset import Target
from muslin.errors import BundleError
from muslin.evaluation.ood import OODDetector
from muslin.evaluation.selective import CalibrationData
from muslin.models import container, onnx_check
from muslin.models.bundle import Bundle, Preprocessing, open_bundle, read_bundle, seal, to_bytes
from muslin.models.container import locating_errors
from muslin.models.json_schema import parse_json
from muslin.models.onnx_check import check_graph
from muslin.models.seen_images import SeenImages, digest_images
from small_models import LABEL, brightness_model, small_bundle, with_model

COLOUR = Target("base colour", ("red", "blé", "青"))
BUNDLE = small_bundle()
REQUIRED_PARTS = [name for name in container.PARTS if name not in container.OPTIONAL_PARTS]
CALIBRATED = replace(
    BUNDLE,
    calibration_data={
        "label": CalibrationData(
            temperature=np.float32([0.5]),
            label_thresholds=np.float64([]),
            confidence=np.float32([0.9, 0.9, 0.4]),
            predicted=np.int32([0, 2, 1]),
            correct=np.array([True, False, True]),
            probability_of_true=np.float32([0.9, 0.05, 0.4]),
            group=np.int32([1, 0, 0]),
        )
    },
    product_calibration={
        "label": CalibrationData(
            temperature=np.float32([1.25]),
            label_thresholds=np.float64([]),
            confidence=np.float32([0.95, 0]),
            predicted=np.int32([0, 2]),
            correct=np.array([True, False]),
            probability_of_true=np.float32([0.95, 0.1]),
            group=np.int32([1, 0]),
        )
    },
    ood_detector=OODDetector(np.eye(3, dtype=np.float32), np.float32([0, 0.5, 1.5])),
)
Parts = dict[str, bytes]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sealed") / "m.muslin"
    seal(BUNDLE, path)
    return path.read_bytes()


def parts_of(content: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(parts: Parts, manifest: Mapping[str, Any] | None = None, **writing: Any) -> bytes:
    """A file with other content and correct checksums: an attack by somebody who knows the format."""
    manifest_json = json.loads(parts["manifest.json"])
    manifest_json["parts"] = {
        name: {"sha256": sha256(part).hexdigest(), "size": len(part)}
        for name, part in parts.items()
        if name != "manifest.json"
    }
    return zipped({**parts, "manifest.json": json.dumps({**manifest_json, **(manifest or {})}).encode()}, **writing)


def zipped(parts: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED, twice: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name), part, compression)
        if twice:
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(zipfile.ZipInfo(twice), parts[twice])
        archive.comment = b"sha256:" + sha256(parts["manifest.json"]).hexdigest().encode()
    return buffer.getvalue()


def opened(content: bytes) -> Bundle:
    """`open_bundle` without a disk under it, so that thousands of files can be tried."""
    with locating_errors(path="m.muslin"):
        return read_bundle(io.BytesIO(content))


def refusal(content: bytes) -> BundleError:
    with pytest.raises(BundleError) as caught:
        opened(content)
    assert caught.value.params["path"] == "m.muslin"
    assert "\n" not in str(caught.value)
    return caught.value


def reason(content: bytes) -> tuple[str, str]:
    """The code of the refusal, and the part or the name that it blames."""
    error = refusal(content)
    return error.code, error.params.get("part") or error.params.get("name", "")


def refused_or_the_same(content: bytes) -> bool:
    with contextlib.suppress(BundleError):  # any other exception is a bug
        assert opened(content) == BUNDLE
        return False
    return True


# --- sealing and opening


@pytest.mark.parametrize(
    "bundle",
    [
        BUNDLE,
        CALIBRATED,
        small_bundle(LABEL, COLOUR, channels=3, count=1),
        small_bundle(Target("tags", ("new", "sale"), "multilabel"), side=1),
        replace(BUNDLE, network={}, provenance={"größe": [1, 2.5, None, True, {"a": "帽子\n"}]}),
    ],
    ids=["one target", "calibrated", "two targets in colour", "tags on one pixel", "odd texts"],
)
def test_a_sealed_bundle_opens_unchanged(bundle: Bundle, tmp_path: Path) -> None:
    seal(bundle, tmp_path / "runs" / "m.muslin")
    again = open_bundle(tmp_path / "runs" / "m.muslin")
    assert again == bundle
    assert again.targets == bundle.targets
    assert again.golden_probabilities[bundle.targets[0].name].dtype == np.float32
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["m.muslin"]


def test_bundles_that_differ_in_one_number_are_not_equal() -> None:
    other_pixels = BUNDLE.golden_pixels.copy()
    other_pixels[0, 0, 0, 0] += 1
    other_probabilities = {"label": BUNDLE.golden_probabilities["label"] * np.float32(0.999)}
    assert small_bundle() == BUNDLE
    assert replace(BUNDLE, golden_pixels=other_pixels) != BUNDLE
    assert replace(BUNDLE, golden_probabilities=other_probabilities) != BUNDLE
    assert replace(BUNDLE, provenance={**BUNDLE.provenance, "seed": 8}) != BUNDLE
    assert BUNDLE != "m.muslin"


def test_equal_bundles_give_equal_bytes(sealed: bytes, tmp_path: Path) -> None:
    bundle = small_bundle(LABEL, COLOUR)
    backwards = dict(reversed(bundle.golden_probabilities.items()))
    seal(bundle, tmp_path / "a.muslin")
    seal(replace(bundle, golden_probabilities=backwards), tmp_path / "b.muslin")
    assert (tmp_path / "a.muslin").read_bytes() == (tmp_path / "b.muslin").read_bytes()
    seal(opened(sealed), tmp_path / "c.muslin")
    assert (tmp_path / "c.muslin").read_bytes() == sealed


def test_any_zip_program_reads_the_parts_of_the_manifest(sealed: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
        assert archive.testzip() is None
        assert archive.comment == b"sha256:" + sha256(archive.read("manifest.json")).hexdigest().encode()
    parts = parts_of(sealed)
    manifest = json.loads(parts["manifest.json"])
    assert (manifest["format"], manifest["format_version"]) == ("muslin", 1)
    assert manifest["targets"] == [{"name": "label", "classes": ["Trouser", "Shirt", "Bag"], "kind": "multiclass"}]
    assert manifest["preprocessing"] == {"height": 8, "width": 8, "channels": 1, "transform": "fit"}
    for name in set(parts) - {"manifest.json"}:
        assert manifest["parts"][name] == {"sha256": sha256(parts[name]).hexdigest(), "size": len(parts[name])}
    onnx.checker.check_model(parts["model.onnx"])


def test_the_documented_reader_and_table_of_parts_are_true(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/bundle.md").read_text()
    for name, most in container.PARTS.items():
        size = "1 GiB" if most == 2**30 else f"{most // 2**20} MiB"
        assert f"| `{name}` | {size} |" in page
    assert f"Format version: {container.FORMAT_VERSION}." in page
    reader: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], reader)
    bundle = small_bundle(LABEL, COLOUR, channels=3)
    path = tmp_path / "m.muslin"
    seal(bundle, path)
    manifest, parts, pixels, probabilities = reader["read_bundle"](path)
    assert [target["classes"] for target in manifest["targets"]] == [list(LABEL.classes), list(COLOUR.classes)]
    assert (parts["model.onnx"], parts["weights.safetensors"]) == (bundle.model, bundle.weights)
    np.testing.assert_array_equal(pixels, bundle.golden_pixels)
    np.testing.assert_array_equal(probabilities["base colour"], bundle.golden_probabilities["base colour"])


def test_a_failed_seal_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.muslin"
    seal(BUNDLE, path)
    for provenance in ({"loss": float("nan")}, {"when": object()}, {"seed": np.int64(1)}):
        with pytest.raises(BundleError) as error:
            seal(replace(BUNDLE, provenance=provenance), path)
        assert error.value.code == "not_json"
        assert error.value.params | {"part": "provenance.json", "path": str(path)} == error.value.params
    assert open_bundle(path) == BUNDLE
    assert [path.name for path in tmp_path.iterdir()] == ["m.muslin"]


def probabilities_of(value: float, dtype: type = np.float32) -> dict[str, Any]:
    return {"golden_probabilities": {"label": np.full((3, 3), value, dtype)}}


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ({"targets": ()}, "target_names", "manifest.json"),
        ({"targets": (LABEL, LABEL)}, "target_names", "manifest.json"),
        ({"targets": (Target("label", ("a", "a", "b")),)}, "target_classes", "manifest.json"),
        ({"targets": (Target("label", ()),)}, "target_classes", "manifest.json"),
        ({"targets": (Target("label", ("a", "b")),)}, "tensor_shape", "golden.safetensors"),
        ({"targets": (Target("colour", ("a", "b", "c")),)}, "tensor_names", "golden.safetensors"),
        ({"targets": (replace(LABEL, kind="ordinal"),)}, "target_kind", "manifest.json"),
        ({"thresholds": {"label": (0.5,)}}, "thresholds_range", "manifest.json"),
        ({"preprocessing": Preprocessing(8, 8, 3, "fit")}, "tensor_shape", "golden.safetensors"),
        ({"golden_pixels": BUNDLE.golden_pixels.astype(np.int16)}, "tensor_shape", "golden.safetensors"),
        ({"golden_pixels": BUNDLE.golden_pixels[:0]}, "tensor_shape", "golden.safetensors"),
        ({"golden_pixels": BUNDLE.golden_pixels[:2]}, "tensor_shape", "golden.safetensors"),
        (
            {"golden_probabilities": {"label": np.full((3, 3), np.nan, np.float32)}},
            "tensor_range",
            "golden.safetensors",
        ),
        ({"golden_probabilities": {"label": np.full((3, 3), 1.5, np.float32)}}, "tensor_range", "golden.safetensors"),
        ({"golden_probabilities": {"label": np.zeros((3, 3))}}, "tensor_shape", "golden.safetensors"),
        ({"weights": b"no tensors"}, "not_safetensors", "weights.safetensors"),
        ({"model": b""}, "part_empty", "model.onnx"),
    ],
)
def test_values_that_do_not_fit_are_refused(change: dict[str, Any], code: str, part: str) -> None:
    with pytest.raises(BundleError) as error:
        replace(BUNDLE, **change)
    assert (error.value.code, error.value.params["part"]) == (code, part)


@pytest.mark.parametrize("size", [(0, 8, 1), (8, 65536, 1), (8, 8, 2), (-1, 8, 3)])
def test_images_of_impossible_sizes_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(BundleError) as error:
        Preprocessing(*size, "fit")
    assert error.value.code == "preprocessing_size"


# --- damage


def test_a_change_of_any_byte_is_refused_or_changes_nothing(sealed: bytes) -> None:
    draw = random.Random(20)
    assert len(sealed) > 2000
    accepted = 0
    for place in range(len(sealed)):
        for change in (0x01, 0x80, draw.randrange(1, 256)):
            damaged = bytearray(sealed)
            damaged[place] ^= change
            accepted += not refused_or_the_same(bytes(damaged))
    # Times, attributes and second copies of sizes in the zip's headers: some 230 of the bytes.
    assert accepted < 0.15 * 3 * len(sealed)


@pytest.mark.parametrize("name", REQUIRED_PARTS)
def test_a_changed_part_with_a_correct_crc_is_refused(name: str, sealed: bytes) -> None:
    parts = parts_of(sealed)
    for place in range(0, len(parts[name]), 7):
        changed = bytearray(parts[name])
        changed[place] ^= 0x02
        with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
            comment = archive.comment
        content = zipped({**parts, name: bytes(changed)})
        error = refusal(content[: -len(comment)] + comment)
        assert (error.code, error.params.get("part")) == ("seal_broken", name) or (
            # the changed byte is the version's digit
            (error.code, error.params.get("found")) == ("bundle_newer", 3)
        )


def test_a_file_cut_off_anywhere_is_refused(sealed: bytes) -> None:
    for length in range(len(sealed)):
        refusal(sealed[:length])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lambda sealed: b"", "part_empty"),
        (lambda sealed: b"\x89PNG\r\n\x1a\n" + sealed, "bundle_not_zip"),
        (lambda sealed: b"PK\x03\x04", "seal_missing"),
        (lambda sealed: sealed + b"\0", "seal_missing"),
        (lambda sealed: sealed + sealed, "bundle_gaps"),
        (lambda sealed: sealed[:500] + b"x" + sealed[500:], "bundle_gaps"),
        (lambda sealed: zipped(parts_of(sealed))[:-71] + b"\0" * 71, "seal_broken"),
    ],
)
def test_other_files_are_refused_with_the_reason(content: Callable[[bytes], bytes], code: str, sealed: bytes) -> None:
    assert refusal(content(sealed)).code == code


@settings(max_examples=300, deadline=None)
@given(strategies.binary(max_size=400))
def test_garbage_is_refused(content: bytes) -> None:
    refusal(content)
    refusal(b"PK\x03\x04" + content)


@settings(max_examples=400, deadline=None)
@given(strategies.data())
def test_a_mangled_file_is_refused_or_the_same(data: strategies.DataObject) -> None:
    content = bytearray(SEALED)
    places = strategies.integers(0, len(content))
    for _ in range(data.draw(strategies.integers(1, 4))):
        start, length = data.draw(places), data.draw(strategies.integers(0, 40))
        content[start : start + length] = data.draw(strategies.binary(max_size=40))
    refused_or_the_same(bytes(content))


@settings(max_examples=400, deadline=None)
@given(strategies.data())
def test_a_mangled_part_with_correct_checksums_is_safe(data: strategies.DataObject) -> None:
    parts = parts_of(SEALED)
    name = data.draw(strategies.sampled_from(sorted(parts)))
    part = bytearray(parts[name])
    start, length = data.draw(strategies.integers(0, len(part))), data.draw(strategies.integers(0, 20))
    part[start : start + length] = data.draw(strategies.binary(max_size=20))
    parts[name] = bytes(part)
    content = zipped(parts) if name == "manifest.json" else forged(parts)
    with contextlib.suppress(BundleError):
        bundle = opened(content)
        assert bundle.golden_pixels.shape[1:] == bundle.preprocessing.shape


SEALED = to_bytes(BUNDLE)


# --- the path


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nowhere.muslin", "bundle_missing"),
        (".", "bundle_not_file"),
        ("a\0b", "bundle_missing"),
        ("x" * 5000, "bundle_unreadable"),
    ],
)
def test_a_path_without_a_file_is_refused(path: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as error:
        open_bundle(tmp_path / path)
    assert (error.value.code, error.value.params["path"]) == (code, str(tmp_path / path))


# --- forgeries with correct checksums


def test_a_forgery_that_changes_nothing_opens(sealed: bytes) -> None:
    """Else the tests below would be refused for another reason than theirs."""
    assert opened(forged(parts_of(sealed))) == BUNDLE


def test_thresholds_that_do_not_fit_the_targets_are_refused(sealed: bytes) -> None:
    for odd in ({"label": [0.5]}, {"hat": [0.5]}, {"label": "0.5"}, {"label": [True]}):
        error = refusal(forged(parts_of(sealed), {"thresholds": odd}))
        assert (error.code, error.params.get("target")) == ("thresholds_range", next(iter(odd))) or (
            error.code == "manifest_type" and error.params["where"] in ("thresholds.label", "thresholds.label[0]")
        )


def test_a_later_format_says_upgrade(sealed: bytes) -> None:
    parts = parts_of(sealed)
    later_file = forged(parts, {"format_version": 7})
    for later in (
        later_file,
        forged({**parts, "thresholds.json": b"{}"}, {"format_version": 7, "more": 1}),
        later_file[:-71],  # without its seal, as another program would pack it
    ):
        error = refusal(later)
        assert (error.code, error.params["found"], error.params["expected"]) == ("bundle_newer", 7, 1)
    for version in (0, -1, True, "1", 1.0, None, 10**40):
        refusal(forged(parts, {"format_version": version}))


@pytest.mark.parametrize("name", [name for name in REQUIRED_PARTS if name != "manifest.json"])
def test_a_missing_part_is_named(name: str, sealed: bytes) -> None:
    parts = parts_of(sealed)
    del parts[name]
    assert reason(forged(parts)) == ("part_missing", name)


def test_calibration_data_can_have_rows_without_a_class(tmp_path: Path) -> None:
    data = CALIBRATED.calibration_data["label"]
    data = replace(data, probability_of_true=np.float32([0.9, np.nan, 0.4]))
    bundle = replace(CALIBRATED, calibration_data={"label": data}, product_calibration={"label": data})
    seal(bundle, tmp_path / "m.muslin")
    assert open_bundle(tmp_path / "m.muslin") == bundle


def test_invalid_calibration_data_are_refused() -> None:
    calibration_data, ood_detector = CALIBRATED.calibration_data["label"], CALIBRATED.ood_detector
    assert ood_detector is not None
    for wrong in (
        replace(calibration_data, confidence=calibration_data.confidence[::-1].copy()),
        replace(calibration_data, confidence=np.float32([np.nan, 0.9, 0.4])),
        replace(calibration_data, predicted=np.int32([0, 3, 1])),
        replace(calibration_data, temperature=np.float32([0])),
        replace(calibration_data, label_thresholds=np.float64([0.5])),
        replace(calibration_data, correct=calibration_data.correct[:2]),
        replace(calibration_data, probability_of_true=calibration_data.probability_of_true.astype(np.float64)),
        replace(calibration_data, probability_of_true=np.float32([np.nan, 0.05, 0.4])),  # a correct prediction
    ):
        with pytest.raises(BundleError) as error:
            replace(CALIBRATED, calibration_data={"label": wrong})
        assert error.value.code in ("tensor_shape", "tensor_range")
        assert error.value.params["part"] == "calibration.safetensors"
    with pytest.raises(BundleError) as error:
        replace(CALIBRATED, calibration_data={"size": calibration_data})
    assert (error.value.code, error.value.params["names"]) == ("tensor_unknown", ["size"])
    with pytest.raises(BundleError) as error:  # products need the calibration of their photos
        replace(CALIBRATED, calibration_data={})
    assert (error.value.code, error.value.params["names"]) == ("tensor_unknown", ["label"])
    with pytest.raises(BundleError) as error:
        replace(CALIBRATED, product_calibration={"label": replace(calibration_data, predicted=np.int32([0, 3, 1]))})
    assert error.value.params["name"] == "products/label/predicted"
    with pytest.raises(BundleError) as error:
        replace(CALIBRATED, ood_detector=replace(ood_detector, reference_features=np.full((2, 3), np.inf, np.float32)))
    assert (error.value.code, error.value.params["name"]) == ("tensor_range", "ood_detector/reference_features")


@pytest.mark.parametrize("name", ["notes.txt", "weights.pkl", "../model.onnx", "/etc/cron.d/x", "..\\x", "C:x", "a/"])
def test_an_unknown_part_is_named(name: str, sealed: bytes) -> None:
    assert reason(forged({**parts_of(sealed), name: b"x"})) == ("part_unknown", name)


def test_a_duplicate_part_is_refused(sealed: bytes) -> None:
    assert reason(forged(parts_of(sealed), twice="model.onnx")) == ("part_duplicate", "model.onnx")


def test_compressed_parts_and_zip_bombs_are_refused_unread(sealed: bytes) -> None:
    parts = {**parts_of(sealed), "weights.safetensors": bytes(50_000_000)}
    bomb = forged(parts, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    assert refused_within(bomb, 1_000_000) == "part_compressed"
    assert refusal(forged(parts_of(sealed), compression=zipfile.ZIP_BZIP2)).code == "part_compressed"


def refused_within(content: bytes, most_bytes: int) -> str:
    tracemalloc.start()
    try:
        code = refusal(content).code
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()
    return code


def test_false_sizes_allocate_nothing(sealed: bytes) -> None:
    directory = sealed.index(b"PK\x01\x02")
    for size in (10_000, 1_000_000_000, 0xFFFFFFFE, 0xFFFFFFFF):
        claimed = bytearray(sealed)
        place = sealed.index(b"weights.safetensors", directory) - 46
        for field in (20, 24):
            claimed[place + field : place + field + 4] = size.to_bytes(4, "little")
        refused_within(bytes(claimed), 1_000_000)
        claimed = bytearray(sealed)
        claimed[22:26] = size.to_bytes(4, "little")  # the manifest's, in its own header
        refused_or_the_same(bytes(claimed))


def test_a_directory_of_many_parts_is_refused_unread(sealed: bytes) -> None:
    start, end = sealed.index(b"PK\x01\x02"), sealed.rindex(b"PK\x05\x06")
    directory = sealed[start:end] * 10_000
    plain = bytearray(sealed[end:])
    plain[12:16] = len(directory).to_bytes(4, "little")
    assert refused_within(sealed[:start] + directory + plain, 1_000_000) == "too_many_parts"
    # The same in the words of zip64, which Python would believe rather than the end itself.
    count = (60_000).to_bytes(8, "little")
    large = b"PK\x06\x06" + (44).to_bytes(8, "little") + b"\x2d\x00\x2d\x00" + bytes(8) + count + count
    large += len(directory).to_bytes(8, "little") + start.to_bytes(8, "little")
    locator = b"PK\x06\x07" + bytes(4) + (start + len(directory)).to_bytes(8, "little") + b"\1\0\0\0"
    content = sealed[:start] + directory + large + locator + sealed[end:]
    assert len(zipfile.ZipFile(io.BytesIO(content)).infolist()) == 60_000
    assert refused_within(content, 1_000_000) == "too_many_parts"


def test_an_encrypted_part_is_refused(sealed: bytes) -> None:
    locked = bytearray(sealed)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[sealed.rindex(signature) + flags] |= 1
    assert reason(bytes(locked)) == ("part_encrypted", "weights.safetensors")


def test_a_too_large_file_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "huge.muslin"
    with open(path, "wb") as file:
        file.truncate(10 * 2**30)  # a sparse file: takes no room
    with pytest.raises(BundleError) as error:
        open_bundle(path)
    assert (error.value.code, error.value.params["found"]) == ("bundle_size", 10 * 2**30)


TARGET = {"name": "label", "classes": ["Trouser", "Shirt", "Bag"], "kind": "multiclass"}
SIZE = {"height": 8, "width": 8, "channels": 1, "transform": "fit"}


@pytest.mark.parametrize(
    "manifest",
    [
        {"format": "zip"},
        {"muslin_version": 1},
        {"calibration": {}},
        {"targets": {}},
        {"targets": []},
        {"targets": [None]},
        {"targets": [{**TARGET, "classes": "abc"}]},
        {"targets": [{**TARGET, "classes": ["a", "b", 3]}]},
        {"targets": [{**TARGET, "classes": ["a", "b", ["c"]]}]},
        {"targets": [{**TARGET, "kind": "regression"}]},
        {"targets": [{**TARGET, "name": ""}]},
        {"targets": [{**TARGET, "threshold": 0.5}]},
        {"targets": [TARGET, TARGET]},
        {"preprocessing": []},
        {"preprocessing": {**SIZE, "height": 8.0}},
        {"preprocessing": {**SIZE, "height": True}},
        {"preprocessing": {**SIZE, "height": 10**30}},
        {"preprocessing": {**SIZE, "height": 9}},
        {"preprocessing": {**SIZE, "channels": 4}},
        {"preprocessing": {**SIZE, "transform": None}},
        {"parts": {}},
        {"parts": {"model.onnx": "0"}},
    ],
)
def test_a_manifest_of_another_shape_is_refused(manifest: dict[str, Any], sealed: bytes) -> None:
    refusal(forged(parts_of(sealed), manifest))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1' + b"0" * 5000 + b"}",
        b"\xff\xfe{}",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_parts_that_are_not_json_objects_are_refused(content: bytes, sealed: bytes) -> None:
    parts = parts_of(sealed)
    for name in ("network.json", "provenance.json"):
        assert refusal(forged({**parts, name: content})).params["part"] == name
    refusal(zipped({**parts, "manifest.json": content}))


PIXELS, PROBABILITIES = BUNDLE.golden_pixels, BUNDLE.golden_probabilities["label"]


def header(text: str, data: bytes = b"") -> bytes:
    return len(text).to_bytes(8, "little") + text.encode() + data


@pytest.mark.parametrize(
    "golden",
    [
        b"",
        b"\xff" * 8,
        b"\xff" * 100,
        header("{}"),
        header("[" * 1000),
        header('{"pixels":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}'),
        header(
            '{"pixels":{"dtype":"U8","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,1]}}', b"x"
        ),
        header('{"pixels":{"dtype":"O","shape":[1],"data_offsets":[0,1]}}', b"x"),
        header('{"pixels":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', b"x"),
        header('{"pixels":{"dtype":"U8","shape":[0,8,8,1],"data_offsets":[0,0]}}'),
        save({"pixels": PIXELS}),
        save({"pixels": PIXELS, "probabilities/label": PROBABILITIES, "more": PROBABILITIES}),
        save({"pixels": PIXELS, "probabilities/label": PROBABILITIES.astype(np.float64)}),
        save({"pixels": PIXELS.astype(np.float32), "probabilities/label": PROBABILITIES}),
        save({"pixels": PIXELS[..., 0], "probabilities/label": PROBABILITIES}),
        save({"pixels": PIXELS, "probabilities/label": PROBABILITIES[:, :2].copy()}),
        save({"pixels": PIXELS, "probabilities/label": PROBABILITIES * np.float32(np.inf)}),
    ],
)
def test_golden_images_of_another_shape_are_refused(golden: bytes, sealed: bytes) -> None:
    assert refusal(forged({**parts_of(sealed), "golden.safetensors": golden})).params["part"] == "golden.safetensors"


# --- graphs that reach outside the file


def external(model: onnx.ModelProto, tensor: TensorProto, location: str) -> onnx.ModelProto:
    """`model` with the data of one of its tensors in another file."""
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(size)}.items():
        tensor.external_data.add(key=key, value=value)
    return model


def initializer(model: onnx.ModelProto, name: str = "label.weight") -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def reaching_out(location: str) -> onnx.ModelProto:
    model = brightness_model()
    return external(model, initializer(model), location)


def subgraph(location: str) -> onnx.GraphProto:
    """Gives three numbers that are kept in another file."""
    tensor = helper.make_tensor("outside", TensorProto.FLOAT, [3], np.zeros(3, np.float32).tobytes(), raw=True)
    model = onnx.ModelProto()
    external(model, tensor, location)
    node = helper.make_node("Identity", ["outside"], ["inside"])
    return helper.make_graph([node], "body", [], [helper.make_tensor_value_info("inside", 1, [3])], [tensor])


def in_an_if() -> onnx.ModelProto:
    model = brightness_model()
    node = helper.make_node("If", ["truth"], ["x"], then_branch=subgraph("w.bin"), else_branch=subgraph("w.bin"))
    model.graph.initializer.append(helper.make_tensor("truth", TensorProto.BOOL, [], [True]))
    model.graph.node.append(node)
    return model


def in_a_loop_in_an_if() -> onnx.ModelProto:
    model = in_an_if()
    loop = helper.make_node("Loop", ["", ""], ["y"], body=subgraph("w.bin"))
    branch = next(a for a in model.graph.node[-1].attribute if a.name == "then_branch")
    branch.g.node.append(loop)
    del branch.g.initializer[:]
    return model


def in_a_list_of_graphs() -> onnx.ModelProto:
    model = brightness_model()
    model.graph.node[0].attribute.append(helper.make_attribute("branches", [subgraph("w.bin")]))
    return model


def in_a_constant() -> onnx.ModelProto:
    model = brightness_model()
    tensor = helper.make_tensor("c", TensorProto.FLOAT, [3], np.zeros(3, np.float32).tobytes(), raw=True)
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    external(model, node.attribute[0].t, "w.bin")
    model.graph.node.append(node)
    return model


def in_a_list_of_tensors() -> onnx.ModelProto:
    model = brightness_model()
    tensor = helper.make_tensor("c", TensorProto.FLOAT, [3], np.zeros(3, np.float32).tobytes(), raw=True)
    external(model, tensor, "w.bin")
    model.graph.node[0].attribute.append(helper.make_attribute("values", [tensor]))
    return model


def in_a_sparse_tensor(where: str) -> onnx.ModelProto:
    model = brightness_model()
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], np.zeros(1, np.float32).tobytes(), raw=True)
    indices = helper.make_tensor("i", TensorProto.INT64, [1], np.zeros(1, np.int64).tobytes(), raw=True)
    external(model, values if where == "values" else indices, "w.bin")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))
    return model


def in_a_function() -> onnx.ModelProto:
    model = brightness_model()
    tensor = helper.make_tensor("c", TensorProto.FLOAT, [3], np.zeros(3, np.float32).tobytes(), raw=True)
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    external(model, node.attribute[0].t, "w.bin")
    function = helper.make_function("", "Mine", [], ["y"], [node], [helper.make_opsetid("", 18)])
    model.functions.append(function)
    return model


def in_training() -> onnx.ModelProto:
    model = brightness_model()
    model.training_info.add().algorithm.CopyFrom(subgraph("w.bin"))
    return model


def of_another_domain(domain: str) -> onnx.ModelProto:
    model = brightness_model()
    model.graph.node[1].domain = domain
    return model


def importing(domain: str) -> onnx.ModelProto:
    return brightness_model(**{domain: 1})


def in_pieces() -> onnx.ModelProto:
    model = brightness_model()
    initializer(model).segment.begin = 0
    return model


OUTSIDE: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "an absolute path": (lambda: reaching_out("/etc/passwd"), "external_data"),
    "the working directory": (lambda: reaching_out("w.bin"), "external_data"),
    "a path upwards": (lambda: reaching_out("../../../../etc/passwd"), "external_data"),
    "memory": (lambda: reaching_out("*/_ORT_MEM_ADDR_/*"), "external_data"),
    "an If": (in_an_if, "g"),
    "a Loop in an If": (in_a_loop_in_an_if, "g"),
    "a list of graphs": (in_a_list_of_graphs, "graphs"),
    "a constant": (in_a_constant, "external_data"),
    "a list of tensors": (in_a_list_of_tensors, "external_data"),
    "a sparse tensor's values": (lambda: in_a_sparse_tensor("values"), "sparse_initializer"),
    "a sparse tensor's indices": (lambda: in_a_sparse_tensor("indices"), "sparse_initializer"),
    "a function": (in_a_function, "functions"),
    "training": (in_training, "training_info"),
    "segments": (in_pieces, "segment"),
    "a custom domain": (lambda: of_another_domain("evil.ops"), "evil.ops"),
    "the runtime's own domain": (lambda: of_another_domain("com.microsoft"), "com.microsoft"),
    "an imported domain": (lambda: importing("evil"), "evil"),
}
"""Per attack the graph, and the field or the domain that is refused."""


@pytest.mark.parametrize("model", OUTSIDE)
def test_a_graph_that_reaches_out_of_the_file_is_refused(model: str, sealed: bytes) -> None:
    make, refused = OUTSIDE[model]
    with pytest.raises(BundleError) as error:
        with_model(BUNDLE, make())
    forgery = refusal(forged({**parts_of(sealed), "model.onnx": make().SerializeToString()}))
    for found in (error.value, forgery):
        assert found.code in ("graph_field", "graph_domain")
        assert refused in (found.params.get("field"), found.params.get("domain"))
        assert found.params["part"] == "model.onnx"


def test_onnxruntime_alone_would_read_the_external_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the graph is checked at all."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(np.array([9, 0, 0], np.float32).tobytes())
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = reaching_out("w.bin").SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"pixels": np.full((1, 8, 8, 1), 255, np.uint8)})
    assert probabilities[0, 0] > 0.99


def test_onnxruntimes_own_format_is_refused() -> None:
    # A field whose text puts ONNX Runtime's mark where it looks for it; as ONNX it is read without complaint.
    disguised = b"\x12\x07ab" + b"ORTM" + b"c" + brightness_model().SerializeToString()
    assert onnx.load_from_string(disguised).producer_name == "abORTMc"
    with pytest.raises(BundleError) as error:
        check_graph(disguised)
    assert error.value.code == "graph_format"


def test_graphs_that_onnx_writes_are_accepted() -> None:
    model = brightness_model(LABEL, COLOUR, channels=3)
    model.producer_name, model.doc_string, model.graph.doc_string = "muslin", "text", "text"
    model.metadata_props.add(key="a", value="b")
    model.opset_import.add(domain="ai.onnx", version=18)
    model.graph.node[0].domain = "ai.onnx"
    model.graph.node[0].metadata_props.add(key="a", value="b")
    initializer(model).data_location = TensorProto.DEFAULT
    model.graph.node.append(
        helper.make_node("Constant", [], ["c"], value=helper.make_tensor("t", TensorProto.FLOAT, [2], [1.0, 2.0]))
    )
    model = onnx.shape_inference.infer_shapes(model)
    assert model.graph.value_info
    check_graph(model.SerializeToString())


def test_allowed_fields_lead_only_to_checked_messages() -> None:
    def messages(descriptor: Any, found: dict[str, Any]) -> dict[str, Any]:
        found[descriptor.name] = descriptor
        for field in descriptor.fields:
            if field.name in onnx_check._FIELDS[descriptor.name] and field.message_type is not None:
                assert field.message_type.name in onnx_check._FIELDS, field.full_name
                if field.message_type.name not in found:
                    messages(field.message_type, found)
        return found

    found = messages(onnx_pb.ModelProto.DESCRIPTOR, {})
    assert set(found) == set(onnx_check._FIELDS)
    for name, allowed in onnx_check._FIELDS.items():
        assert allowed <= {field.name for field in found[name].fields}, name


def test_a_field_of_a_later_onnx_is_refused() -> None:
    model = brightness_model().SerializeToString()
    with pytest.raises(BundleError) as error:
        check_graph(model + b"\xfa\x3f\x01x")  # field 1023, a text of one byte
    assert (error.value.code, error.value.params["field"]) == ("graph_field", "1023")


def test_a_graph_of_too_many_nodes_is_refused() -> None:
    model = brightness_model()
    model.graph.MergeFromString(b"\x0a\x00" * 200_000)
    with pytest.raises(BundleError) as error:
        check_graph(model.SerializeToString())
    assert error.value.code == "graph_too_large"


def reaches_out(model: onnx.ModelProto) -> bool:
    """The same question to a full protobuf parser: is there anything in `model` that must be refused?"""

    def tensor(value: TensorProto) -> bool:
        return bool(value.external_data) or value.HasField("segment")

    def node(value: onnx.NodeProto) -> bool:
        return value.domain not in ("", "ai.onnx") or any(
            a.HasField("g")
            or a.graphs
            or tensor(a.t)
            or any(map(tensor, a.tensors))
            or any(tensor(s.values) or tensor(s.indices) for s in (a.sparse_tensor, *a.sparse_tensors))
            for a in value.attribute
        )

    return bool(
        model.functions
        or model.training_info
        or any(o.domain not in ("", "ai.onnx") for o in model.opset_import)
        or any(map(node, model.graph.node))
        or any(map(tensor, model.graph.initializer))
        or any(tensor(s.values) or tensor(s.indices) for s in model.graph.sparse_initializer)
    )


@pytest.mark.parametrize("field", ["op_type", "name", "input", "output"])
@pytest.mark.parametrize("name", ["\x1b[2J", "a\x9b", "\u202egnp", "x" * 501])
def test_a_graph_with_a_name_that_steers_a_terminal_is_refused(field: str, name: str) -> None:
    model = brightness_model()
    if field in ("input", "output"):
        getattr(model.graph.node[1], field)[0] = name
    else:
        setattr(model.graph.node[1], field, name)
    with pytest.raises(BundleError) as error:
        check_graph(model.SerializeToString())
    assert error.value.code == "graph_name_unsafe"
    assert str(error.value).isprintable()


def test_no_mangled_graph_passes_the_check_and_reaches_out() -> None:
    draw = random.Random(8)
    originals = [make().SerializeToString() for make, _ in OUTSIDE.values()]
    originals.append(brightness_model().SerializeToString())
    hidden = parsed = let_through = 0
    for _ in range(12_000):
        content = bytearray(draw.choice(originals))
        for _ in range(draw.choice((1, 1, 2))):
            place, other = draw.randrange(len(content)), draw.randrange(len(content))
            match draw.randrange(5):
                case 0:
                    content[place] = draw.randrange(256)
                case 1:
                    content[place : place + 1] = b""
                case 2:
                    content[place:place] = bytes([draw.randrange(256)])
                case 3:
                    content[place:place] = content[other : other + draw.randrange(20)]
                case _:
                    content[place] ^= 1 << draw.randrange(8)
        try:
            check_graph(bytes(content))
            passed = True
        except BundleError:
            passed = False
        try:
            model = onnx.load_from_string(bytes(content))
        except Exception:
            continue
        parsed += 1
        let_through += passed
        hidden += passed and reaches_out(model)
    assert hidden == 0
    assert parsed > 1000
    assert let_through > 20


@settings(max_examples=300, deadline=None)
@given(strategies.binary(max_size=200))
def test_garbage_as_a_graph_is_at_most_refused(content: bytes) -> None:
    with contextlib.suppress(BundleError):
        check_graph(content)


# --- names, numbers and counts that nothing downstream could hold


def test_unsafe_characters_in_provenance_are_replaced_when_sealing(tmp_path: Path) -> None:
    seal(replace(BUNDLE, provenance={"origin": "caf\udce9\x1b[2J"}), tmp_path / "m.muslin")
    assert open_bundle(tmp_path / "m.muslin").provenance == {"origin": "caf\ufffd\ufffd[2J"}


@pytest.mark.parametrize("name", ["\x1b[2J", "a\x9b", "caf\udce9", "\u202egnp.exe", "x" * 501])
def test_class_and_target_names_of_unsafe_characters_are_refused(name: str) -> None:
    for target in (Target("label", ("Trouser", "Shirt", name)), Target(name, LABEL.classes)):
        with pytest.raises(BundleError) as error:
            replace(BUNDLE, targets=(target,))
        assert error.value.code == "name_unsafe"
        assert str(error.value).isprintable()


def test_more_classes_than_supported_are_refused() -> None:
    with pytest.raises(BundleError) as error:
        replace(BUNDLE, targets=(Target("label", tuple(map(str, range(200_000)))),))
    assert error.value.code == "too_many_classes"


# --- one schema for all of the JSON

UNFIT = {
    "300,000 layers": ("network.json", {"layers": [{"name": "a"}] * 300_000}, "json_items", "layers"),
    "layers that are no list": ("network.json", {"layers": {"a": 1}}, "manifest_type", "layers"),
    "a layer that is no object": ("network.json", {"layers": ["a"]}, "manifest_type", "layers[0]"),
    "a name that is a list": ("network.json", {"layers": [{}, {"name": ["a"]}]}, "manifest_type", "layers[1].name"),
    "a layer without a shape": ("network.json", {"layers": [{"output": []}]}, "json_items", "layers[0].output"),
    "a negative size": ("network.json", {"layers": [{"output": [-1]}]}, "json_range", "layers[0].output[0]"),
    "true in place of a number": ("network.json", {"parameters": True}, "manifest_type", "parameters"),
    "a seed that is a text": ("provenance.json", {"seed": "7"}, "manifest_type", "seed"),
    "a metric above 1": ("provenance.json", {"test": {"a": {"accuracy": 1.5}}}, "json_range", "test.a.accuracy"),
    "half an interval": ("provenance.json", {"test": {"a": {"interval": [0.5]}}}, "json_items", "test.a.interval"),
    "metrics of no target": ("provenance.json", {"test": {"accuracy": 0.5}}, "manifest_type", "test.accuracy"),
    "a recipe that is a list": ("provenance.json", {"recipe": ["quick"]}, "manifest_type", "recipe"),
    "a version that is a number": ("provenance.json", {"versions": {"onnx": 1.2}}, "manifest_type", "versions.onnx"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_json_of_another_schema_is_refused_by_its_key(name: str, sealed: bytes) -> None:
    part, content, code, where = UNFIT[name]
    error = refusal(forged({**parts_of(sealed), part: json.dumps(content).encode()}))
    assert (error.code, error.params["part"], error.params["where"]) == (code, part, where)


def test_json_may_hold_what_the_schema_does_not_name(sealed: bytes) -> None:
    content = {"layers": [{"kind": "mine", "taps": [1, None]}], "author": {"name": ["a"]}}
    network = opened(forged({**parts_of(sealed), "network.json": json.dumps(content).encode()})).network
    assert network == content


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json_size"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "json_size"),
        (b'{"a": [' + b"{}," * 600_000 + b"{}]}", "json_size"),
        (b'{"a": "' + b"x" * 100_000 + b'"}', "json_long_text"),
        (b'{"' + b"x" * 100_000 + b'": 1}', "json_long_text"),
    ],
)
def test_json_too_large_to_show_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(BundleError) as error:
        parse_json(content)
    assert error.value.code == code


@pytest.mark.parametrize(
    "content", [b'{"a": 1e999}', b'{"a": -Infinity}', b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 9223372036854775808}']
)
def test_numbers_that_64_bits_cannot_hold_are_refused(content: bytes) -> None:
    with pytest.raises(BundleError) as error:
        parse_json(content)
    assert error.value.code == "json_number"


@pytest.mark.parametrize("content", [rb'{"a": "\ud800"}', rb'{"\u001b[2J": 1}', rb'{"a": [{"b": "\u009b"}]}'])
def test_texts_that_steer_a_terminal_are_refused(content: bytes) -> None:
    with pytest.raises(BundleError) as error:
        parse_json(content)
    assert error.value.code == "json_text"


def test_digests_of_seen_images_are_sealed_and_checked(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    digests = digest_images(images)
    seen = SeenImages.of(digests[[0, 1, 1]], digests[[1, 2]], BUNDLE.weights)
    bundle = replace(BUNDLE, seen_images=seen)
    assert bundle != BUNDLE
    seal(bundle, tmp_path / "m.muslin")
    again = open_bundle(tmp_path / "m.muslin")
    assert again == bundle
    assert again.seen_images is not None
    assert again.seen_images.roles(digests).tolist() == [1, 1, 2, 0, 0]
    assert again.seen_images.counts() == {"train": 2, "validation": 1}
    for wrong, code in (
        (replace(seen, train=seen.train[::-1].copy()), "tensor_range"),
        (replace(seen, train=seen.train[[0, 0]]), "tensor_range"),
        (replace(seen, train=seen.train[:0]), "tensor_shape"),
        (replace(seen, validation=seen.validation.astype(np.int64)), "tensor_shape"),
        (replace(seen, validation=seen.validation[None]), "tensor_shape"),
        (replace(seen, salt=seen.salt[:8]), "tensor_shape"),
    ):
        with pytest.raises(BundleError) as error:
            replace(BUNDLE, seen_images=wrong)
        assert (error.value.code, error.value.params["part"]) == (code, "images.safetensors")


def test_other_tensors_beside_the_digests_are_refused() -> None:
    parts = parts_of(to_bytes(BUNDLE))
    assert reason(forged({**parts, "images.safetensors": save({"train": np.arange(3, dtype=np.uint64)})})) == (
        "tensor_names",
        "images.safetensors",
    )


def test_digest_of_an_image_is_as_documented() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    salt = blake2b(BUNDLE.weights, digest_size=16, person=b"muslin salt").digest()
    digest = blake2b(blake2b(image.tobytes(), digest_size=16).digest(), digest_size=8, key=salt).digest()
    seen = SeenImages.of(digest_images([image]), digest_images([]), BUNDLE.weights)
    assert (seen.salt.tobytes(), seen.train.tolist()) == (salt, [int.from_bytes(digest, "little")])
