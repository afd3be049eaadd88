"""A bundle keeps what was sealed, and refuses everything else in one line."""

import contextlib
import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
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
from muslin.models import bundle as bundle_module
from muslin.models.bundle import Bundle, Preprocessing, check_graph, open_bundle, seal
from small_models import LABEL, brightness_model, small_bundle, with_model

COLOUR = Target("base colour", ("red", "blé", "青"))
BUNDLE = small_bundle()
PARTS_1 = [name for name in bundle_module.PARTS if name != bundle_module.DECISION_PART]
DECIDING = replace(
    BUNDLE,
    calibration_data={
        "label": CalibrationData(
            temperature=np.float32([0.5]),
            yes_from=np.float64([]),
            confidence=np.float32([0.9, 0.9, 0.4]),
            predicted=np.int32([0, 2, 1]),
            right=np.array([True, False, True]),
            of_true=np.float32([0.9, 0.05, 0.4]),
        )
    },
    ood_detector=OODDetector(np.eye(3, dtype=np.float32), np.float32([0, 0.5, 1.5])),
)
MicroBatches = dict[str, bytes]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sealed") / "m.muslin"
    seal(BUNDLE, path)
    return path.read_bytes()


def parts_of(content: bytes) -> MicroBatches:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(parts: MicroBatches, manifest: Mapping[str, Any] | None = None, **writing: Any) -> bytes:
    """A file with another content whose sums are all right: what somebody would make who knows the format."""
    described = json.loads(parts["manifest.json"])
    described["parts"] = {
        name: {"sha256": sha256(part).hexdigest(), "size": len(part)}
        for name, part in parts.items()
        if name != "manifest.json"
    }
    return zipped(
        {**parts, "manifest.json": json.dumps({**described, **(manifest or {})}).encode()}, **writing
    )


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
    with bundle_module._within("m.muslin"):
        return bundle_module._read(io.BytesIO(content))


def refusal(content: bytes) -> str:
    with pytest.raises(BundleError) as caught:
        opened(content)
    message = str(caught.value)
    assert message.startswith("m.muslin: ")
    assert "\n" not in message
    return message


def refused_or_the_same(content: bytes) -> bool:
    with contextlib.suppress(BundleError):  # any other exception is a bug
        assert opened(content) == BUNDLE
        return False
    return True


# --- what was sealed comes back


@pytest.mark.parametrize(
    "bundle",
    [
        BUNDLE,
        DECIDING,
        small_bundle(LABEL, COLOUR, channels=3, count=1),
        small_bundle(Target("tags", ("new", "sale"), "multilabel"), side=1),
        replace(BUNDLE, network={}, provenance={"größe": [1, 2.5, None, True, {"a": "\udc80"}]}),
    ],
    ids=["one target", "deciding", "two targets in colour", "tags on one pixel", "odd texts"],
)
def test_what_was_sealed_is_what_is_opened(bundle: Bundle, tmp_path: Path) -> None:
    seal(bundle, tmp_path / "runs" / "m.muslin")
    again = open_bundle(tmp_path / "runs" / "m.muslin")
    assert again == bundle
    assert again.targets == bundle.targets
    assert again.golden_probabilities[bundle.targets[0].name].dtype == np.float32
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["m.muslin"]


def test_bundles_that_differ_in_one_number_are_not_equal() -> None:
    other_pixels = BUNDLE.golden_pixels.copy()
    other_pixels[0, 0, 0, 0] += 1
    other_answers = {"label": BUNDLE.golden_probabilities["label"] * np.float32(0.999)}
    assert small_bundle() == BUNDLE
    assert replace(BUNDLE, golden_pixels=other_pixels) != BUNDLE
    assert replace(BUNDLE, golden_probabilities=other_answers) != BUNDLE
    assert replace(BUNDLE, provenance={**BUNDLE.provenance, "seed": 8}) != BUNDLE
    assert BUNDLE != "m.muslin"


def test_the_same_values_give_the_same_bytes(sealed: bytes, tmp_path: Path) -> None:
    bundle = small_bundle(LABEL, COLOUR)
    backwards = dict(reversed(bundle.golden_probabilities.items()))
    seal(bundle, tmp_path / "a.muslin")
    seal(replace(bundle, golden_probabilities=backwards), tmp_path / "b.muslin")
    assert (tmp_path / "a.muslin").read_bytes() == (tmp_path / "b.muslin").read_bytes()
    seal(opened(sealed), tmp_path / "c.muslin")
    assert (tmp_path / "c.muslin").read_bytes() == sealed


def test_any_zip_program_can_read_the_parts_and_the_manifest_describes_them(sealed: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
        assert archive.testzip() is None
        assert archive.comment == b"sha256:" + sha256(archive.read("manifest.json")).hexdigest().encode()
    parts = parts_of(sealed)
    manifest = json.loads(parts["manifest.json"])
    assert (manifest["format"], manifest["format_version"]) == ("muslin", 2)
    assert manifest["targets"] == [
        {"name": "label", "classes": ["Trouser", "Shirt", "Bag"], "kind": "multiclass"}
    ]
    assert manifest["preprocessing"] == {"height": 8, "width": 8, "channels": 1, "transform": "fit"}
    for name in set(parts) - {"manifest.json"}:
        assert manifest["parts"][name] == {
            "sha256": sha256(parts[name]).hexdigest(),
            "size": len(parts[name]),
        }
    onnx.checker.check_model(parts["model.onnx"])


def test_the_documented_reader_reads_it_and_the_documentation_names_every_part(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/bundle.md").read_text()
    for name, most in bundle_module.PARTS.items():
        size = "1 GiB" if most == 2**30 else f"{most // 2**20} MiB"
        assert f"| `{name}` | {size} |" in page
    assert f"Format version: {bundle_module.FORMAT_VERSION}." in page
    reader: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], reader)
    bundle = small_bundle(LABEL, COLOUR, channels=3)
    path = tmp_path / "m.muslin"
    seal(bundle, path)
    manifest, parts, pixels, answers = reader["read_bundle"](path)
    assert [target["classes"] for target in manifest["targets"]] == [
        list(LABEL.classes),
        list(COLOUR.classes),
    ]
    assert (parts["model.onnx"], parts["weights.safetensors"]) == (bundle.model, bundle.weights)
    np.testing.assert_array_equal(pixels, bundle.golden_pixels)
    np.testing.assert_array_equal(answers["base colour"], bundle.golden_probabilities["base colour"])


def test_a_bundle_that_cannot_be_sealed_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.muslin"
    seal(BUNDLE, path)
    for provenance in ({"loss": float("nan")}, {"when": object()}, {"seed": np.int64(1)}):
        with pytest.raises(BundleError, match=r"m\.muslin: provenance\.json: is not JSON"):
            seal(replace(BUNDLE, provenance=provenance), path)
    assert open_bundle(path) == BUNDLE
    assert [path.name for path in tmp_path.iterdir()] == ["m.muslin"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"targets": ()}, "one or more"),
        ({"targets": (LABEL, LABEL)}, "each named once"),
        ({"targets": (Target("label", ("a", "a", "b")),)}, "classes, each named once"),
        ({"targets": (Target("label", ()),)}, "needs classes"),
        ({"targets": (Target("label", ("a", "b")),)}, r"expected float32 \(3, 2\)"),
        ({"targets": (Target("colour", ("a", "b", "c")),)}, "for each target"),
        ({"targets": (replace(LABEL, kind="ordinal"),)}, "expected multiclass or multilabel"),
        ({"preprocessing": Preprocessing(8, 8, 3, "fit")}, r"expected uint8 \(1 or more, 8, 8, 3\)"),
        ({"golden_pixels": BUNDLE.golden_pixels.astype(np.int16)}, "pixels are int16"),
        ({"golden_pixels": BUNDLE.golden_pixels[:0]}, "1 or more"),
        ({"golden_pixels": BUNDLE.golden_pixels[:2]}, r"expected float32 \(2, 3\)"),
        ({"golden_probabilities": {"label": np.full((3, 3), np.nan, np.float32)}}, "between 0 and 1"),
        ({"golden_probabilities": {"label": np.full((3, 3), 1.5, np.float32)}}, "between 0 and 1"),
        ({"golden_probabilities": {"label": np.zeros((3, 3))}}, "are float64"),
        ({"weights": b"no tensors"}, r"weights\.safetensors: is not a safetensors file"),
        ({"model": b""}, r"model\.onnx: is empty"),
    ],
)
def test_values_that_do_not_fit_each_other_are_no_bundle(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        replace(BUNDLE, **change)


@pytest.mark.parametrize("size", [(0, 8, 1), (8, 65536, 1), (8, 8, 2), (-1, 8, 3)])
def test_images_of_impossible_sizes_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(BundleError, match="1 to 65,535 pixels a side"):
        Preprocessing(*size, "fit")


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


@pytest.mark.parametrize("name", PARTS_1)
def test_a_change_within_a_part_is_refused_even_where_the_zips_own_sum_is_mended(
    name: str, sealed: bytes
) -> None:
    parts = parts_of(sealed)
    for place in range(0, len(parts[name]), 7):
        changed = bytearray(parts[name])
        changed[place] ^= 0x02
        with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
            comment = archive.comment
        content = zipped({**parts, name: bytes(changed)})
        message = refusal(content[: -len(comment)] + comment)
        assert f"{name}: is not as it was sealed" in message or "a later muslin (format 3;" in message


def test_a_file_cut_off_anywhere_is_refused(sealed: bytes) -> None:
    for length in range(len(sealed)):
        refusal(sealed[:length])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda sealed: b"", "is empty"),
        (lambda sealed: b"\x89PNG\r\n\x1a\n" + sealed, "is not a .muslin file"),
        (lambda sealed: b"PK\x03\x04", "does not end with a seal"),
        (lambda sealed: sealed + b"\0", "does not end with a seal"),
        (lambda sealed: sealed + sealed, "between"),
        (lambda sealed: sealed[:500] + b"x" + sealed[500:], "m.muslin"),
        (lambda sealed: zipped(parts_of(sealed))[:-71] + b"\0" * 71, "does not end with a seal|sealed"),
    ],
)
def test_what_is_no_bundle_is_refused_with_the_reason(
    content: Callable[[bytes], bytes], reason: str, sealed: bytes
) -> None:
    assert any(words in refusal(content(sealed)) for words in reason.split("|"))


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
def test_a_part_mangled_by_one_who_mends_all_sums_is_refused_or_opens_whole(
    data: strategies.DataObject,
) -> None:
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


SEALED = bundle_module._zipped(bundle_module._parts_of(BUNDLE))


# --- the path


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere\.muslin: there is no such file"):
        open_bundle(tmp_path / "nowhere.muslin")
    with pytest.raises(BundleError, match="is not a file"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="there is no such file"):
        open_bundle("a\0b")
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle("x" * 5000)


# --- forgeries whose sums are right


def test_a_forgery_that_changes_nothing_opens(sealed: bytes) -> None:
    """Else the tests below would be refused for another reason than theirs."""
    assert opened(forged(parts_of(sealed))) == BUNDLE


def test_a_file_of_the_first_format_which_had_no_thresholds_is_read(sealed: bytes) -> None:
    parts = parts_of(sealed)
    manifest = json.loads(parts["manifest.json"])
    del manifest["thresholds"]
    manifest["format_version"] = 1
    first = forged({**parts, "manifest.json": json.dumps(manifest, indent=1).encode()}, {})
    assert bundle_module._read(io.BytesIO(first)).thresholds == {}


def test_thresholds_that_do_not_fit_the_targets_are_refused(sealed: bytes) -> None:
    for odd in ({"label": [0.5]}, {"hat": [0.5]}, {"label": "0.5"}, {"label": [True]}):
        assert "threshold" in refusal(forged(parts_of(sealed), {"thresholds": odd}))


def test_a_later_format_says_upgrade(sealed: bytes) -> None:
    later = "made by a later muslin (format 7; this one reads up to 3). Upgrade muslin."
    parts = parts_of(sealed)
    assert later in refusal(forged(parts, {"format_version": 7}))
    assert later in refusal(forged({**parts, "thresholds.json": b"{}"}, {"format_version": 7, "more": 1}))
    later_file = forged(parts, {"format_version": 7})
    assert later in refusal(later_file[:-71])  # without its seal, as another program would pack it
    for version in (0, -1, True, "1", 1.0, None, 10**40):
        refusal(forged(parts, {"format_version": version}))


@pytest.mark.parametrize("name", [name for name in PARTS_1 if name != "manifest.json"])
def test_a_part_left_out_is_named(name: str, sealed: bytes) -> None:
    parts = parts_of(sealed)
    del parts[name]
    assert f"{name}: is missing" in refusal(forged(parts))


def test_what_a_model_decides_by_must_be_there_and_make_sense() -> None:
    calibration_data, ood_detector = DECIDING.calibration_data["label"], DECIDING.ood_detector
    assert ood_detector is not None
    for wrong in (
        replace(calibration_data, confidence=calibration_data.confidence[::-1].copy()),
        replace(calibration_data, confidence=np.float32([np.nan, 0.9, 0.4])),
        replace(calibration_data, predicted=np.int32([0, 3, 1])),
        replace(calibration_data, temperature=np.float32([0])),
        replace(calibration_data, yes_from=np.float64([0.5])),
        replace(calibration_data, right=calibration_data.right[:2]),
        replace(calibration_data, of_true=calibration_data.of_true.astype(np.float64)),
    ):
        with pytest.raises(BundleError, match=r"deciding\.safetensors"):
            replace(DECIDING, calibration_data={"label": wrong})
    with pytest.raises(BundleError, match="'size', which is no target"):
        replace(DECIDING, calibration_data={"size": calibration_data})
    with pytest.raises(BundleError, match=r"deciding\.safetensors"):
        replace(DECIDING, ood_detector=replace(ood_detector, known=np.full((2, 3), np.inf, np.float32)))


@pytest.mark.parametrize(
    "name", ["notes.txt", "weights.pkl", "../model.onnx", "/etc/cron.d/x", "..\\x", "C:x", "a/"]
)
def test_a_part_that_does_not_belong_is_named(name: str, sealed: bytes) -> None:
    message = refusal(forged({**parts_of(sealed), name: b"x"}))
    assert repr(name) in message
    assert ("leads out" if name[:1] in "./C" else "is not a part") in message


def test_a_part_that_is_there_twice_is_refused(sealed: bytes) -> None:
    assert "model.onnx: is there twice" in refusal(forged(parts_of(sealed), twice="model.onnx"))


def test_compressed_parts_and_so_zip_bombs_are_refused_unread(sealed: bytes) -> None:
    parts = {**parts_of(sealed), "weights.safetensors": bytes(50_000_000)}
    bomb = forged(parts, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    assert refused_within(bomb, 1_000_000).endswith(
        "way that muslin does not use. Get the file again from where it came."
    )
    assert "way that muslin does not use" in refusal(forged(parts_of(sealed), compression=zipfile.ZIP_BZIP2))


def refused_within(content: bytes, most_bytes: int) -> str:
    tracemalloc.start()
    try:
        message = refusal(content)
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()
    return message


def test_sizes_that_are_claimed_and_not_there_allocate_nothing(sealed: bytes) -> None:
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


def test_a_directory_of_a_million_parts_is_not_even_listed(sealed: bytes) -> None:
    start, end = sealed.index(b"PK\x01\x02"), sealed.rindex(b"PK\x05\x06")
    directory = sealed[start:end] * 10_000
    plain = bytearray(sealed[end:])
    plain[12:16] = len(directory).to_bytes(4, "little")
    assert "lists far more than the 7 parts" in refused_within(sealed[:start] + directory + plain, 1_000_000)
    # The same in the words of zip64, which Python would believe rather than the end itself.
    count = (60_000).to_bytes(8, "little")
    large = b"PK\x06\x06" + (44).to_bytes(8, "little") + b"\x2d\x00\x2d\x00" + bytes(8) + count + count
    large += len(directory).to_bytes(8, "little") + start.to_bytes(8, "little")
    locator = b"PK\x06\x07" + bytes(4) + (start + len(directory)).to_bytes(8, "little") + b"\1\0\0\0"
    content = sealed[:start] + directory + large + locator + sealed[end:]
    assert len(zipfile.ZipFile(io.BytesIO(content)).infolist()) == 60_000
    assert "lists far more than the 7 parts" in refused_within(content, 1_000_000)


def test_an_encrypted_part_is_refused(sealed: bytes) -> None:
    locked = bytearray(sealed)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[sealed.rindex(signature) + flags] |= 1
    assert "weights.safetensors: is encrypted" in refusal(bytes(locked))


def test_a_file_larger_than_any_bundle_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "huge.muslin"
    with open(path, "wb") as file:
        file.truncate(10 * 2**30)  # a sparse file: takes no room
    with pytest.raises(BundleError, match=r"has 10,737,418,240 bytes"):
        open_bundle(path)


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
def test_tables_that_are_not_json_objects_are_refused(content: bytes, sealed: bytes) -> None:
    parts = parts_of(sealed)
    for name in ("network.json", "provenance.json"):
        assert f"m.muslin: {name}: " in refusal(forged({**parts, name: content}))
    refusal(zipped({**parts, "manifest.json": content}))


PIXELS, ANSWERS = BUNDLE.golden_pixels, BUNDLE.golden_probabilities["label"]


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
            '{"pixels":{"dtype":"U8","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,1]}}',
            b"x",
        ),
        header('{"pixels":{"dtype":"O","shape":[1],"data_offsets":[0,1]}}', b"x"),
        header('{"pixels":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', b"x"),
        header('{"pixels":{"dtype":"U8","shape":[0,8,8,1],"data_offsets":[0,0]}}'),
        save({"pixels": PIXELS}),
        save({"pixels": PIXELS, "probabilities/label": ANSWERS, "more": ANSWERS}),
        save({"pixels": PIXELS, "probabilities/label": ANSWERS.astype(np.float64)}),
        save({"pixels": PIXELS.astype(np.float32), "probabilities/label": ANSWERS}),
        save({"pixels": PIXELS[..., 0], "probabilities/label": ANSWERS}),
        save({"pixels": PIXELS, "probabilities/label": ANSWERS[:, :2].copy()}),
        save({"pixels": PIXELS, "probabilities/label": ANSWERS * np.float32(np.inf)}),
    ],
)
def test_golden_images_of_another_shape_are_refused(golden: bytes, sealed: bytes) -> None:
    message = refusal(forged({**parts_of(sealed), "golden.safetensors": golden}))
    assert "golden.safetensors: " in message


# --- graphs that reach out


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
    tensor = helper.make_tensor(
        "outside", TensorProto.FLOAT, [3], np.zeros(3, np.float32).tobytes(), raw=True
    )
    model = onnx.ModelProto()
    external(model, tensor, location)
    node = helper.make_node("Identity", ["outside"], ["inside"])
    return helper.make_graph([node], "body", [], [helper.make_tensor_value_info("inside", 1, [3])], [tensor])


def in_an_if() -> onnx.ModelProto:
    model = brightness_model()
    node = helper.make_node(
        "If", ["truth"], ["x"], then_branch=subgraph("w.bin"), else_branch=subgraph("w.bin")
    )
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


OUTSIDE = {
    "an absolute path": (lambda: reaching_out("/etc/passwd"), "outside the file"),
    "the working directory": (lambda: reaching_out("w.bin"), "outside the file"),
    "a path upwards": (lambda: reaching_out("../../../../etc/passwd"), "outside the file"),
    "memory": (lambda: reaching_out("*/_ORT_MEM_ADDR_/*"), "outside the file"),
    "an If": (in_an_if, "graph within the graph"),
    "a Loop in an If": (in_a_loop_in_an_if, "graph within the graph"),
    "a list of graphs": (in_a_list_of_graphs, "graph within the graph"),
    "a constant": (in_a_constant, "outside the file"),
    "a list of tensors": (in_a_list_of_tensors, "outside the file"),
    "a sparse tensor's values": (lambda: in_a_sparse_tensor("values"), "outside the file"),
    "a sparse tensor's indices": (lambda: in_a_sparse_tensor("indices"), "outside the file"),
    "a function": (in_a_function, "functions of its own"),
    "training": (in_training, "training steps"),
    "segments": (in_pieces, "segments"),
    "a custom domain": (lambda: of_another_domain("evil.ops"), "domain 'evil.ops'"),
    "the runtime's own domain": (lambda: of_another_domain("com.microsoft"), "domain 'com.microsoft'"),
    "an imported domain": (lambda: importing("evil"), "domain 'evil'"),
}


@pytest.mark.parametrize("model", OUTSIDE)
def test_a_graph_that_reaches_out_of_the_file_is_refused(model: str, sealed: bytes) -> None:
    make, reason = OUTSIDE[model]
    with pytest.raises(BundleError, match=reason):
        with_model(BUNDLE, make())
    content = forged({**parts_of(sealed), "model.onnx": make().SerializeToString()})
    message = refusal(content)
    assert message.startswith("m.muslin: model.onnx: ")
    assert reason in message


def test_the_runtime_alone_would_have_read_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the graph is looked through at all."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(np.array([9, 0, 0], np.float32).tobytes())
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = reaching_out("w.bin").SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"pixels": np.full((1, 8, 8, 1), 255, np.uint8)})
    assert answer[0, 0] > 0.99


def test_the_runtimes_own_format_is_refused() -> None:
    # A field whose text puts ONNX Runtime's mark where it looks for it; as ONNX it is read without complaint.
    disguised = b"\x12\x07ab" + b"ORTM" + b"c" + brightness_model().SerializeToString()
    assert onnx.load_from_string(disguised).producer_name == "abORTMc"
    with pytest.raises(BundleError, match="ONNX Runtime's own format"):
        check_graph(disguised)


def test_what_onnx_itself_writes_is_let_through() -> None:
    model = brightness_model(LABEL, COLOUR, channels=3)
    model.producer_name, model.doc_string, model.graph.doc_string = "muslin", "text", "text"
    model.metadata_props.add(key="a", value="b")
    model.opset_import.add(domain="ai.onnx", version=18)
    model.graph.node[0].domain = "ai.onnx"
    model.graph.node[0].metadata_props.add(key="a", value="b")
    initializer(model).data_location = TensorProto.DEFAULT
    model.graph.node.append(
        helper.make_node(
            "Constant", [], ["c"], value=helper.make_tensor("t", TensorProto.FLOAT, [2], [1.0, 2.0])
        )
    )
    model = onnx.shape_inference.infer_shapes(model)
    assert model.graph.value_info
    check_graph(model.SerializeToString())


def test_the_table_of_fields_agrees_with_onnx() -> None:
    """No message that is passed over may hold a tensor, a node or a graph, however deep."""
    dangerous = {"TensorProto", "NodeProto", "GraphProto", "FunctionProto", "AttributeProto", "ModelProto"}
    messages = {
        "ModelProto": bundle_module._MODEL,
        "GraphProto": bundle_module._GRAPH,
        "NodeProto": bundle_module._NODE,
        "AttributeProto": bundle_module._ATTRIBUTE,
        "TensorProto": bundle_module._TENSOR,
        "SparseTensorProto": bundle_module._SPARSE,
        "OperatorSetIdProto": bundle_module._OPSET,
    }

    def within(descriptor: Any, seen: set[str]) -> set[str]:
        if descriptor.name not in seen:
            seen.add(descriptor.name)
            for field in descriptor.fields:
                if field.message_type is not None:
                    within(field.message_type, seen)
        return seen

    for name, table in messages.items():
        fields = {field.number: field for field in getattr(onnx_pb, name).DESCRIPTOR.fields}
        for number, rule in table.items():
            field = fields[number]
            if rule == "" and field.message_type is not None:
                assert not within(field.message_type, set()) & dangerous, field.full_name
            if isinstance(rule, tuple):
                assert field.name == rule[0]
                if rule is not bundle_module._DOMAIN:
                    assert messages[field.message_type.name] is rule[1]


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


def test_no_mangling_hides_from_the_check_what_a_parser_would_find() -> None:
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
def test_garbage_is_no_graph_and_never_a_traceback(content: bytes) -> None:
    with contextlib.suppress(BundleError):
        check_graph(content)
