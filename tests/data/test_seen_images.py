"""A model recognises each image that it was trained or validated on, in whatever form the image comes back."""

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from photo_files import write_folders, write_real
from PIL import Image

import muslin
from muslin.data import read
from muslin.data.convert import convert
from muslin.data.dataset import Dataset, Split
from muslin.data.photos import resize_photos
from muslin.errors import DataError
from muslin.learn.recipes import recipe_from_dict
from muslin.models.predictor import Predictor
from muslin.models.seen_images import ImageDigests, digest_dataset
from muslin.workflows.compare import CompareOptions, compare
from muslin.workflows.evaluate import EvaluateOptions, evaluate
from muslin.workflows.model_input import to_model_input
from muslin.workflows.run_folder import Run, split_for_recipe
from small_models import small_bundle

FEW = {"epochs": 1, "batch_size": 20}


def split_of(run: Run, dataset: Dataset) -> Split:
    """The parts that the training drew."""
    return split_for_recipe(dataset, recipe_from_dict(run.record["recipe"]), run.record["seed"])


def zipped(path: Path) -> Path:
    archive = path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for each in sorted(path.rglob("*")):
            file.write(each, each.relative_to(path))
    return archive


def check_mixture(run: Run, data: Path, mixture: Mapping[str, ImageDigests], **read_options: Any) -> None:
    """Evaluate and compare judge exactly the new images of `data`, which holds the images of `mixture`, by role."""
    counts = {name: len(digests) for name, digests in mixture.items()}
    result = evaluate(run.model, data, EvaluateOptions(read_options=read_options))
    assert result.seen_images is not None
    expected = {"n": sum(counts.values()), "train": counts["train"], "validation": counts["validation"]}
    assert result.seen_images.to_dict() == expected | {"set_aside": True}
    new = sorted(map(bytes, mixture["new"]))
    assert sorted(map(bytes, digest_dataset(result.dataset))) == new
    assert result.evaluations["label"].n == len(new)
    compared = compare(run.model, run.model, data, CompareOptions(require_unseen=True, read_options=read_options))
    as_input = to_model_input(muslin.open(run.model), compared.dataset)
    assert sorted(map(bytes, digest_dataset(as_input))) == new


@pytest.fixture(scope="module")
def garments_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Dataset, dict[str, NDArray[np.int64]]]:
    """A run on 600 images of Fashion-MNIST, 1,000 images with these among them, and their indices by role."""
    some = read("fashion-mnist").part("train")
    some = replace(
        some.take(np.arange(1000)), parts=None, name="garments", ids=np.arange(1000).astype(str).astype(object)
    )
    trained = some.take(np.flatnonzero(np.arange(1000) % 5 < 3))
    run = muslin.train(trained, out=tmp_path_factory.mktemp("garments") / "run", recipe="quick", settings=FEW)
    parts, place = split_of(run, trained), {name: index for index, name in enumerate(some.ids)}
    roles = {part: np.array([place[trained.ids[i]] for i in getattr(parts, part)]) for part in ("train", "validation")}
    return run, some, roles | {"new": np.setdiff1d(np.arange(1000), np.concatenate(list(roles.values())))}


def mixture_of(dataset: Dataset, roles: Mapping[str, NDArray[np.int64]], seed: int) -> tuple[Dataset, dict[str, Any]]:
    """Some images of every role in random order, and their digests by role."""
    random = np.random.default_rng(seed)
    chosen = {name: random.permutation(indices)[: len(indices) * 2 // 3] for name, indices in roles.items()}
    digests = {name: digest_dataset(dataset.take(indices)) for name, indices in chosen.items()}
    return dataset.take(random.permutation(np.concatenate(list(chosen.values())))), digests


@pytest.mark.parametrize("to", ["csv", "idx", "folders", "parquet", "zipped folders"])
def test_exactly_the_new_garments_are_judged(garments_run: Any, tmp_path: Path, to: str) -> None:
    run, dataset, roles = garments_run
    mixture, digests = mixture_of(dataset, roles, seed=len(to))
    path = convert(mixture, to.removeprefix("zipped "), tmp_path / "mixture").path
    check_mixture(run, zipped(path) if to.startswith("zipped") else path, digests)


def test_data_of_seen_images_only_are_refused(garments_run: Any) -> None:
    run, dataset, roles = garments_run
    seen = dataset.take(np.concatenate([roles["train"][:70], roles["validation"][:30]]))
    with pytest.raises(DataError) as error:
        evaluate(run.model, seen)
    assert error.value.code == "all_images_seen"
    assert {"n": 100, "train": 70, "validation": 30}.items() <= error.value.params.items()
    on_purpose = evaluate(run.model, seen, EvaluateOptions(split="all"))
    assert on_purpose.evaluations["label"].n == 100
    assert "evaluated_on_seen_images" in [fix.code for fix in on_purpose.dataset.fixes]
    assert evaluate(run.model, seen, EvaluateOptions(split="validation")).evaluations["label"].n == 30
    with pytest.raises(DataError) as error:
        evaluate(run.model, dataset.take(roles["new"]), EvaluateOptions(split="train"))
    assert error.value.code == "no_parts"


def test_gate_fails_on_a_model_that_memorised_its_images(garments_run: Any, tmp_path: Path) -> None:
    run, dataset, roles = garments_run
    learned, new = roles["new"][:300], roles["new"][300:]
    settings = FEW | {"epochs": 8, "validation_fraction": 0.0}
    data = replace(dataset.take(roles["new"]), parts=np.array(["train"] * 300 + ["test"] * len(new), dtype=object))
    memorised = muslin.train(data, out=tmp_path / "run", recipe="quick", settings=settings)
    judged = compare(run.model, memorised.model, dataset.take(roles["new"]), CompareOptions(require_unseen=True))
    assert set(judged.dataset.ids) == set(dataset.ids[new])
    with pytest.raises(DataError) as error:
        compare(run.model, memorised.model, dataset.take(learned), CompareOptions(require_unseen=True))
    assert error.value.code == "all_images_seen"


@pytest.fixture(scope="module")
def photos_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, dict[str, list[Path]]]:
    """A run on real photos without parts, their folder, and the files by role; "new" are those of its test set."""
    root = tmp_path_factory.mktemp("photos")
    if not write_real(root / "real", each=6):
        pytest.skip("needs clothing-dataset-small.tar")
    for file in (root / "real").glob("*/*/*.jpg"):
        (root / "all" / file.parent.name).mkdir(parents=True, exist_ok=True)
        file.rename(root / "all" / file.parent.name / file.name)
    dataset = read(root / "all")
    run = muslin.train(dataset, out=root / "run", recipe="quick", settings=FEW | {"image_size": 48})
    parts = split_of(run, dataset)
    indices = {"train": parts.train, "validation": parts.validation, "new": parts.test}
    return run, root / "all", {name: [root / "all" / dataset.ids[i] for i in found] for name, found in indices.items()}


def write_mixture(files: Mapping[str, list[Path]], folder: Path, change: str) -> None:
    """Two thirds of the files of every role, in folders by class, under other names."""
    for role, paths in files.items():
        for number, path in enumerate(paths[: len(paths) * 2 // 3]):
            place = folder / path.parent.name / f"{role[::-1]}-{number}"
            place.parent.mkdir(parents=True, exist_ok=True)
            if change == "png":
                with Image.open(path) as image:
                    image.save(place.with_suffix(".png"), compress_level=1)
            else:
                place.with_suffix(".jpg").write_bytes(path.read_bytes())


@pytest.mark.parametrize("form", ["folders", "zip", "parquet", "table", "png"])
def test_exactly_the_new_photos_are_judged(photos_run: Any, tmp_path: Path, form: str) -> None:
    run, folder, files = photos_run
    write_mixture(files, tmp_path / "mixture", form)
    data, predictor = tmp_path / "mixture", muslin.open(run.model)
    digests = {}
    for role, paths in files.items():
        chosen = read(folder)
        wanted = {str(path.relative_to(folder)) for path in paths[: len(paths) * 2 // 3]}
        chosen = chosen.take(np.flatnonzero([name in wanted for name in chosen.ids]))
        digests[role] = digest_dataset(to_model_input(predictor, chosen))
    if form == "zip":
        data = zipped(data)
    elif form == "parquet":
        data = convert(data, "parquet", tmp_path / "mixture.parquet").path
    elif form == "table":
        rows = [f"mixture/{path.parent.name}/{path.name},{path.parent.name}" for path in data.glob("*/*")]
        data = tmp_path / "shop.csv"
        data.write_text("\n".join(["photo,label", *sorted(rows, reverse=True)]))
    check_mixture(run, data, digests)


def test_linear_probe_from_cached_features_recognises_its_photos(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = write_folders(tmp_path / "photos", {"": 30})
    settings = {"network": "efficientnet-lite0", "weights": "random", "image_size": 48, "epochs": 3}
    runs = [muslin.train(photos, recipe="photo", out=tmp_path / name, settings=settings) for name in ("one", "two")]
    first, second = (muslin.open(run.model).bundle.seen_images for run in runs)
    assert first is not None
    assert first == second
    sizes = runs[0].record["data"]["split_sizes"]
    assert first.counts() == {"train": sizes["train"] + sizes["validation"], "validation": 0}
    assert evaluate(runs[1].model, photos).evaluations["label"].n == sizes["test"]


def test_photos_resized_for_another_model_are_resized_again(tmp_path: Path) -> None:
    photos, predictor = read(write_folders(tmp_path / "photos", {"": 2})), Predictor(small_bundle())
    for size, transform in (((12, 12, 3), "fit"), (predictor.bundle.preprocessing.shape, "fashion-mnist")):
        resized = to_model_input(predictor, resize_photos(photos, size, transform))
        assert np.array_equal(digest_dataset(resized), digest_dataset(to_model_input(predictor, photos)))
