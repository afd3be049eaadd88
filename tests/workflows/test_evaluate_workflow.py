"""`muslin evaluate` on a shop's table: reliability, a weak season, leaks from training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import FinishedRun, invoke, refusal
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.data.synthetic import SyntheticDataset
from muslin.errors import DataError
from muslin.messages import Message
from muslin.models.bundle import seal
from muslin.models.predictor import Predictor
from muslin.models.seen_images import SeenImages, digest_images
from muslin.workflows.evaluate import EvaluateOptions, evaluate, evaluate_output, predict_dataset
from muslin.workflows.model_input import to_model_input
from muslin.workflows.selected_part import select_part
from noted_decoding import noted_decoding
from small_models import LABEL, SIDE, small_bundle


def shop(folder: Path) -> Path:
    """A table of 120 gray squares. The model predicts Trouser for dark ones, Bag for bright ones; winter is Shirt."""
    random, rows = np.random.default_rng(0), ["image,label,season,split"]
    (folder / "images").mkdir()
    for number in range(120):
        part, season = ("train", "test")[number % 2], ("summer", "winter", "")[number // 2 % 3]
        bright = random.random() < 0.5
        pixels = random.integers(0, 40, (SIDE, SIDE), dtype=np.uint8) + np.uint8(200 if bright else 0)
        label = ("Bag" if bright else "Trouser") if season != "winter" else "Shirt"
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        rows.append(f"images/{number}.png,{label},{season},{part}")
    for number in (1, 3):  # the training set has copies of the test set's first two summer photos
        rows.append(f"images/copy{number}.png,{rows[number + 1].split(',')[1]},summer,train")
        (folder / "images" / f"copy{number}.png").write_bytes((folder / "images" / f"{number}.png").read_bytes())
    (folder / "shop.csv").write_text("\n".join(rows) + "\n")
    seal(small_bundle(LABEL), folder / "model.muslin")
    return folder / "shop.csv"


READ_OPTIONS = {"target": "label", "split_column": "split"}
READ_WORDS = ("--target", "label", "--split-column", "split")


def test_weak_slice_comes_first_and_leaks_are_measured(tmp_path: Path, capfd: Any) -> None:
    table = shop(tmp_path)
    options = EvaluateOptions(slice_by="season", read_options=READ_OPTIONS)
    reliability = evaluate(tmp_path / "model.muslin", table, options).evaluations["label"].reliability
    assert reliability is not None
    assert [(s.value, s.n, s.weak) for s in reliability.slices] == [("winter", 20, True), ("summer", 20, False)]
    assert reliability.leaks is not None
    assert reliability.leaks.n == 2
    result = invoke(
        capfd, "evaluate", tmp_path / "model.muslin", table, *READ_WORDS,
        "--slice-by", "season", "-o", tmp_path / "e.json",
    )  # fmt: skip
    assert result.code == 0, result
    assert "winter" in result.out
    assert str(Message("no_calibration_data", target="label")) in result.out
    written = json.loads((tmp_path / "e.json").read_text())["targets"]["label"]["reliability"]
    assert written["leaks"]["n"] == 2
    assert [row["value"] for row in written["slices"]] == ["winter", "summer"]
    assert written["selective"][0]["unsupported"][0]["code"] == "no_calibration_data"


def warnings(model: Path, data: Path | Dataset, split: str) -> list[str]:
    """The codes of what is logged."""
    sentences: list[str] = []
    evaluate(model, data, EvaluateOptions(split=split), log=sentences.append)
    return [sentence.code for sentence in sentences if isinstance(sentence, Message)]


def test_evaluation_on_seen_images_on_purpose_is_warned_of(sliced_run: FinishedRun, fashion_slice: Path) -> None:
    model = sliced_run.folder / "model.muslin"
    for split in ("train", "all"):
        assert "evaluated_on_seen_images" in warnings(model, fashion_slice, split), split
    assert "evaluated_on_seen_images" not in warnings(model, fashion_slice, "test")


def test_training_images_of_a_model_that_names_none_are_refused(synthetic: SyntheticDataset) -> None:
    predictor, dataset = Predictor(small_bundle(side=28)), replace(synthetic.dataset, parts=None)
    for part in ("train", "validation"):
        with pytest.raises(DataError) as refused:
            select_part(predictor, dataset, part)
        assert (refused.value.code, refused.value.params["part"]) == ("no_parts", part)
    for part in ("test", "all"):
        assert len(select_part(predictor, dataset, part).images) == len(dataset)


def test_evaluation_on_drawn_parts_says_what_was_seen(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    settings = {"epochs": 1, "batch_size": 40}
    run = muslin.train(synthetic.dataset, settings=settings, out=tmp_path / "run")
    sizes = run.record["data"]["split_sizes"]
    for split, code in (
        ("train", "evaluated_on_seen_images"),
        ("validation", "evaluated_on_seen_images"),
        ("test", "seen_images_set_aside"),
    ):
        result = evaluate(run.model, synthetic.dataset, EvaluateOptions(split=split))
        assert code in [fix.code for fix in result.dataset.fixes if isinstance(fix, Message)]
        assert (result.part, result.evaluations["label"].n) == (split, sizes[split])
        assert result.seen_images is not None
        assert result.seen_images.set_aside == (split == "test")


@pytest.mark.parametrize(("weights", "expected"), [("/home/ann/mine.safetensors", True), ("imagenet", False)])
def test_images_behind_the_first_weights_are_warned_of(
    weights: str, expected: bool, synthetic: SyntheticDataset, tmp_path: Path
) -> None:
    images = synthetic.dataset.images
    bundle = small_bundle(synthetic.dataset.target("label"), side=images[0].shape[0])
    digests = digest_images([np.zeros_like(images[0])])
    recipe = {"name": "photo-tuned", "method": "fine_tune", "weights": weights}
    seen = SeenImages.of(digests, digests[:0], bundle.weights)
    bundle = replace(bundle, seen_images=seen, provenance={**bundle.provenance, "recipe": recipe})
    seal(bundle, tmp_path / "model.muslin")
    result = evaluate(tmp_path / "model.muslin", synthetic.dataset)
    found = [fix for fix in result.dataset.fixes if isinstance(fix, Message) and fix.code == "seen_images_before"]
    assert [fix.params["weights"] for fix in found] == (["mine.safetensors"] if expected else [])


def test_labels_that_only_the_model_or_the_data_have_are_said(tmp_path: Path) -> None:
    seal(small_bundle(Target("tags", ("lace", "silk"), "multilabel")), tmp_path / "model.muslin")
    data = Dataset(
        name="shop",
        format="table",
        images=PixelImages(np.random.default_rng(0).integers(0, 255, (4, SIDE, SIDE, 1), dtype=np.uint8)),
        targets=(Target("tags", ("Lace", "silk", "wool"), "multilabel"),),
        labels={"tags": np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], dtype=np.int8)},
        ids=np.array(list("abcd"), dtype=object),
    )
    said: list[Any] = []
    result = evaluate(tmp_path / "model.muslin", data, log=said.append)
    notes = {note.code: note.params.get("names") for note in said}
    assert (notes["labels_unknown"], notes["labels_not_in_data"]) == (["Lace"], ["lace"])
    assert result.dataset.labels["tags"].tolist() == [[UNKNOWN, 0], [UNKNOWN, 1], [UNKNOWN, 1], [UNKNOWN, 0]]


@pytest.mark.parametrize(
    ("options", "code", "params"),
    [
        ({"slice_by": "sku"}, "column_values", {"column": "sku", "found": 122, "limit": 100}),
        ({"slice_by": "words"}, "column_multilabel", {"column": "words"}),
        ({"precision": 1.0}, "precision_range", {"found": 1.0}),
        ({"guarantee": "class"}, "guarantee_unknown", {"name": "class"}),
        ({"read_options": READ_OPTIONS | {"target": ("label", "season")}}, "target_unknown", {"name": "season"}),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], code: str, params: dict[str, Any]) -> None:
    table = shop(tmp_path)
    lines = table.read_text().splitlines()
    rows = [f'{line},{i},"[""a"",""b""]"' for i, line in enumerate(lines[1:])]
    table.write_text("\n".join([f"{lines[0]},sku,words", *rows]))
    with pytest.raises(DataError) as error:
        evaluate(tmp_path / "model.muslin", table, EvaluateOptions(**{"read_options": READ_OPTIONS, **options}))
    assert error.value.code == code
    assert params.items() <= error.value.params.items()


def test_registered_dataset_has_no_column_to_slice_by(tmp_path: Path) -> None:
    shop(tmp_path)
    with pytest.raises(DataError) as error:
        evaluate(tmp_path / "model.muslin", "fashion-mnist", EvaluateOptions(slice_by="season"))
    assert error.value.code == "no_column"


def test_cli_refuses_wrong_slices_and_precision(tmp_path: Path, capfd: Any) -> None:
    table = shop(tmp_path)
    model = tmp_path / "model.muslin"
    assert "saison" in refusal(invoke(capfd, "evaluate", model, table, *READ_WORDS, "--slice-by", "saison"))
    refusal(invoke(capfd, "evaluate", model, table, *READ_WORDS, "--precision", 1))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"targets": (), "labels": {}}, "no_targets"),
        ({"labels": {"label": np.full(200, UNKNOWN)}}, "target_unlabelled"),
    ],
)
def test_unlabelled_data_are_refused(
    synthetic: SyntheticDataset, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    target = synthetic.dataset.target("label")
    seal(small_bundle(target, side=synthetic.dataset.images[0].shape[0]), tmp_path / "model.muslin")
    with pytest.raises(DataError) as error:
        evaluate(tmp_path / "model.muslin", replace(synthetic.dataset, **change))
    assert error.value.code == code


def sealed(path: Path, network: str | None, seen: Path | None) -> Path:
    """A model of this network's name, which has seen the images of a folder."""
    from muslin.data import read

    bundle = small_bundle(LABEL)
    if network:
        bundle = replace(bundle, network={**bundle.network, "name": network})
    if seen:
        digests = digest_images(to_model_input(Predictor(bundle), read(seen)).images)
        bundle = replace(bundle, seen_images=SeenImages.of(digests[::2], digests[1::2], bundle.weights))
    seal(bundle, path)
    return path


def photo_data(folder: Path) -> dict[str, Path]:
    """A folder of 60 photos in two classes, with a copy, a large JPEG and an unreadable one; as a table, as a zip."""
    random, rows = np.random.default_rng(3), ["image,label,split"]
    for number in range(60):
        label = ("Bag", "Trouser")[number % 2]
        path = folder / "photos" / label / (f"{number}.png" if number else "0.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (SIDE + number, SIDE) if number else (20 * SIDE, 30 * SIDE)
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)
        rows.append(f"photos/{label}/{path.name},{label},{('train', 'test')[number % 3 > 0]}")
    (folder / "photos/Bag/copy.png").write_bytes((folder / "photos/Bag/2.png").read_bytes())
    (folder / "photos/Bag/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows += ["photos/Bag/copy.png,Bag,test", "photos/Bag/broken.png,Bag,test"]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    shutil.make_archive(str(folder / "photos"), "zip", folder / "photos")
    shutil.copytree(folder / "photos", folder / "seen", ignore=lambda _, names: names[::3])
    return {"folder": folder / "photos", "table": folder / "table.csv", "zip": folder / "photos.zip"}


@pytest.mark.parametrize(
    ("network", "kind", "split", "is_seen"),
    [
        (None, "folder", "test", True),
        (None, "zip", "all", False),
        (None, "table", "test", False),
        ("efficientnet-lite0", "folder", "test", True),
        ("efficientnet-lite0", "table", "test", True),
        ("efficientnet-lite0", "zip", "test", False),
    ],
)
def test_second_evaluation_decodes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str | None, kind: str, split: str, is_seen: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = photo_data(tmp_path)[kind]
    model = sealed(tmp_path / "model.muslin", network, tmp_path / "seen" if is_seen else None)
    read_options = {"target": "label", "split_column": "split"} if kind == "table" else {}
    options = EvaluateOptions(split=split, read_options=read_options)
    plain = Predictor.open(model)
    part = select_part(plain, muslin.read(data, **read_options), split)
    aligned, output = predict_dataset(plain, part.images)
    expected = evaluate_output(plain, aligned, output, options, leaked=part.leaked())
    first = evaluate(model, data, options)
    names = noted_decoding(monkeypatch)
    again = evaluate(model, data, replace(options, precision=0.7))
    assert set(names) <= {"broken.png"}
    again = evaluate(model, data, options)
    assert set(names) <= {"broken.png"}
    assert first.to_dict() == again.to_dict()
    assert {name: each.to_dict() for name, each in expected.items()} == first.to_dict()["targets"]
    assert first.seen_images == part.seen
    assert part.seen is None or part.seen.train


def test_changed_and_mended_photos_are_evaluated_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = photo_data(tmp_path)["folder"]
    model = sealed(tmp_path / "model.muslin", "efficientnet-lite0", None)
    options = EvaluateOptions(split="all")
    before = evaluate(model, data, options)
    Image.fromarray(np.full((SIDE, SIDE), 255, np.uint8)).save(data / "Trouser/1.png")
    Image.fromarray(np.full((SIDE, SIDE), 9, np.uint8)).save(data / "Bag/broken.png")
    names = noted_decoding(monkeypatch)
    after = evaluate(model, data, options)
    assert set(names) == {"1.png", "broken.png"}
    assert len(after.dataset) == len(before.dataset) + 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    assert after.to_dict() == evaluate(model, data, options).to_dict()
