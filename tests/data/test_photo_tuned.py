"""Photos with a network whose upper blocks are trained. Random weights: ImageNet's are not the point."""

from pathlib import Path

import numpy as np
import pytest
import torch
from photo_files import make_photos, write_folders

import muslin
from muslin.data import photos as photos_module
from muslin.data import read
from muslin.data.dataset import Target
from muslin.data.photos import resize_photos
from muslin.errors import StoppedError
from muslin.images import DecodedImage
from muslin.learn.frozen_prefix import frozen_prefix
from muslin.learn.modules import Net, weights_of
from muslin.learn.networks import build_network, frozen_layer_count
from muslin.models.predictor import Predictor
from refusals import refuses

TUNED = {
    "network": "efficientnet-lite0", "weights": "random", "image_size": 48, "frozen_blocks": 11, "epochs": 2,
    "batch_size": 10,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "photos", {"train": 10, "test": 3})


def _weights(run: muslin.Run) -> bytes:
    return Predictor.open(run.model).bundle.weights


def test_resumed_fine_tuning_has_the_same_weights(photos: Path, tmp_path: Path) -> None:
    (photos / "train/hat/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    whole = muslin.train(photos, recipe="photo-tuned", out=tmp_path / "whole", settings=TUNED)
    assert [photo["name"] for photo in whole.record["data"]["unreadable"]] == ["train/hat/broken.jpg"]
    assert whole.record["test"]["label"]["n"] == 9
    assert whole.report.exists()

    steps: list[object] = []
    with pytest.raises(StoppedError) as stopped:
        muslin.train(
            photos,
            recipe="photo-tuned",
            out=tmp_path / "run",
            settings=TUNED,
            on_progress=steps.append,
            should_stop=lambda: len(steps) == 2,
        )
    assert stopped.value.params["command"] == f"muslin train --resume {tmp_path / 'run'}"
    with pytest.raises(StoppedError):
        muslin.resume(tmp_path / "run", on_progress=steps.append, should_stop=lambda: len(steps) == 4)
    resumed = muslin.resume(tmp_path / "run")
    assert _weights(resumed) == _weights(whole)


def test_frozen_blocks_keep_their_weights(photos: Path, tmp_path: Path) -> None:
    run = muslin.train(photos, recipe="photo-tuned", out=tmp_path / "run", settings=TUNED)
    table = build_network("efficientnet-lite0", (48, 48, 3), (), widths=())
    bundle = Predictor.open(run.model).bundle
    from safetensors.numpy import load

    before, after = weights_of(Net(table, 0)), load(bundle.weights)
    boundary = frozen_layer_count(table, 11)
    for place, layer in enumerate(table.layers):
        if f"{layer.name}.weight" in before:
            same = np.array_equal(before[f"{layer.name}.weight"], after[f"{layer.name}.weight"])
            assert same == (place < boundary), layer.name
        if f"{layer.name}.running_mean" in before:
            assert np.array_equal(before[f"{layer.name}.running_mean"], after[f"{layer.name}.running_mean"])


def test_photos_are_decoded_once_for_all_epochs(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    of_a_file = photos_module.PhotoImages.decoded

    def counted(images: photos_module.PhotoImages, index: int, *more: int | None) -> DecodedImage:
        decoded.append(images.photos[index].name)
        return of_a_file(images, index, *more)

    monkeypatch.setattr(photos_module.PhotoImages, "decoded", counted)
    data = resize_photos(read(photos), (48, 48, 3))
    for images in (data.images.cached(), data.images.cached(max_bytes=5 * 48 * 48 * 3)):
        decoded.clear()
        first = [images[place] for place in range(len(images))]
        again = [images.take(np.array([place]))[0] for place in range(len(images))]
        assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
        kept = images.cache._images.count
        assert len(decoded) == 2 * len(images) - kept


def test_frozen_prefix_equals_torch_at_every_size() -> None:
    table = build_network("efficientnet-lite0", (64, 64, 3), (Target("label", ("a", "b")),), widths=())
    net = Net(table, 0).eval()
    with torch.no_grad():
        for side in (48, 64, 50):
            pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(side)) * 255
            net.frozen_prefix = None
            expected = net.features(pixels)
            net.freeze_prefix(frozen_prefix(net, 11, threads=1))
            assert (net.features(pixels) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_frozen_blocks_out_of_range_are_refused(photos: Path, tmp_path: Path) -> None:
    with refuses("frozen_blocks_range"):
        muslin.train(photos, recipe="photo-tuned", out=tmp_path / "run", settings=TUNED | {"frozen_blocks": 30})
    with refuses("setting_not_read", name="frozen_blocks", recipe="small-photo"):
        muslin.train(
            photos,
            recipe="small-photo",
            out=tmp_path / "run",
            settings={"frozen_blocks": 2, "image_size": 32, "batch_size": 8},
        )
    assert not (tmp_path / "run").exists()


def test_targets_with_unknown_labels_are_tuned_together(tmp_path: Path) -> None:
    lines = ["image,kind,tags"]
    (tmp_path / "photos").mkdir()
    for number, (kind, _, image) in enumerate(make_photos(12)):
        image.save(tmp_path / f"photos/{number}.jpg")
        label = "" if number % 4 == 0 else kind
        lines.append(f"{number}.jpg,{label},{kind}{'|light' if number % 3 else ''}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    reading = {"target": ["kind", "tags"], "images": str(tmp_path / "photos"), "label_separator": ["|"]}
    run = muslin.train(
        tmp_path / "table.csv", recipe="photo-tuned", out=tmp_path / "run", settings=TUNED, read_options=reading
    )
    answers = Predictor.open(run.model).predict([tmp_path / "photos/0.jpg"])[0].predictions
    assert set(dict(answers["kind"].probabilities)) == {"dress", "hat", "shirt"}
    assert set(dict(answers["tags"].probabilities)) == {"dress", "hat", "light", "shirt"}
    assert set(run.record["test"]) == {"kind", "tags"}
