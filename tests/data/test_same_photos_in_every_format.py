"""The same photos in every format are the same data set, also after a conversion to another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from every_format import TAGS, WRITERS, Sample, WrittenDataset, imaterialist_number, samples
from PIL import Image, ImageOps

from muslin.data import read
from muslin.data.convert import convert
from muslin.data.dataset import PARTS, UNKNOWN, Dataset, pixel_array
from muslin.errors import DataError


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module", params=WRITERS)
def written(
    request: pytest.FixtureRequest, some: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> WrittenDataset:
    return WRITERS[request.param](some, tmp_path_factory.mktemp(request.param) / "set")


def opened(written: WrittenDataset) -> Dataset:
    return read(written.path, **written.read_options)


def test_every_format_has_the_same_photos_labels_and_parts(written: WrittenDataset, some: list[Sample]) -> None:
    data = opened(written)
    assert len(data) == len(some)
    for i, sample in enumerate(some):
        assert np.array_equal(
            data.images[i], np.asarray(ImageOps.exif_transpose(Image.open(sample.file)).convert("RGB"))
        )
    assert [(t.name, t.kind) for t in data.targets] == [
        (name, kind) for name, kind in ((written.target, "multiclass"), (written.tags, "multilabel")) if name
    ]
    if written.target:
        classes = tuple(sorted({s.label for s in some}))
        assert data.target(written.target).classes == classes
        assert data.labels[written.target].tolist() == [classes.index(s.label) for s in some]
    if written.tags:
        names = data.target(written.tags).classes
        yes = [{names[j] for j in np.flatnonzero(row == 1)} for row in data.labels[written.tags]]
        if written.target:
            assert names == TAGS
            assert yes == [set(s.tag_names) for s in some]
        else:
            number = {name: str(place) for place, name in enumerate(TAGS, 1)}
            assert yes == [{number[n] for n in s.tag_names} | {str(imaterialist_number(some, s))} for s in some]
    assert (data.parts is not None) == written.parts
    if data.parts is not None:
        assert data.parts.tolist() == [s.part for s in some]
    assert (data.groups is not None) == written.groups


def differences(one: Dataset, other: Dataset) -> set[str]:
    """What differs, by the code of the warning that explains it."""
    aspects = set()
    order = np.arange(len(one))
    if one.ids.tolist() != other.ids.tolist():
        aspects.add("ids_lost")
    if len(one) == len(other):
        digests = list(other.images.digests())  # type: ignore[attr-defined]
        place = {digest: i for i, digest in enumerate(digests)}
        order = np.array([place.get(digest, -1) for digest in one.images.digests()])  # type: ignore[attr-defined]
    if sorted(order) != list(range(len(one))) or len(one) != len(other):
        return {"the photos"}
    if (order != np.arange(len(one))).any():
        aspects.add("order_lost")
        other = other.take(order)
    if (one.groups is None) != (other.groups is None):
        aspects.add("groups_lost")
    elif one.groups is not None and one.groups.tolist() != other.groups.tolist():
        aspects.add("groups")
    parts = [None if d.parts is None else d.parts.tolist() for d in (one, other)]
    if parts[0] != parts[1]:
        aspects.add("the parts")
    if len(one.targets) != len(other.targets):
        aspects.add("targets_lost")
    if [t.name for t in one.targets[: len(other.targets)]] != [t.name for t in other.targets]:
        aspects.add("target_name_lost")
    for mine, theirs in zip(one.targets, other.targets, strict=False):
        same = (mine.classes, mine.kind) == (theirs.classes, theirs.kind)
        if not same or not np.array_equal(one.labels[mine.name], other.labels[theirs.name]):
            aspects.add(f"labels of {mine.name}")
    return aspects


@pytest.mark.parametrize("to", ["folders", "parquet"])
def test_conversion_lists_all_it_does_not_keep(written: WrittenDataset, to: str, tmp_path: Path) -> None:
    source = opened(written)
    if to == "folders" and not written.target:
        with pytest.raises(DataError) as error:
            convert(source, to, tmp_path / "there")
        assert error.value.code == "multilabel_conversion"
        return
    made = convert(source, to, tmp_path / "there")
    there = read(tmp_path / "there")
    assert made.excluded == ()
    assert sorted(warning.code for warning in made.warnings) == sorted(differences(source, there))


def test_unknown_tags_stay_unknown_after_pandas_rewrites_parquet(some: list[Sample], tmp_path: Path) -> None:
    uncertain = [
        replace(sample, tags=((UNKNOWN,) * 3, (UNKNOWN, 0, 1), (0, 0, 0), (1, UNKNOWN, 0))[i % 4])
        for i, sample in enumerate(some)
    ]
    written = WRITERS["deepfashion"](uncertain, tmp_path / "set")
    source = opened(written)
    assert source.labels["attributes"].tolist() == [list(sample.tags) for sample in uncertain]
    assert convert(source, "parquet", tmp_path / "p.parquet").warnings == ()
    assert differences(source, read(tmp_path / "p.parquet")) == set()
    pandas.read_parquet(tmp_path / "p.parquet").to_parquet(tmp_path / "again.parquet")
    again = read(tmp_path / "again.parquet", target=["category", "attributes"])
    assert again.labels["attributes"].tolist() == source.labels["attributes"].tolist()


def test_pixels_in_every_format_are_the_same_data_set(some: list[Sample], tmp_path: Path) -> None:
    small = [
        replace(sample, file=tmp_path / f"small/{sample.part}/{sample.label}/{sample.file.stem}.png") for sample in some
    ]
    for big, sample in zip(some, small, strict=True):
        sample.file.parent.mkdir(parents=True, exist_ok=True)
        Image.open(big.file).convert("L").resize((28, 28)).save(sample.file)
    source = read(tmp_path / "small")
    datasets = {"folders": source}
    for to in ("csv", "idx", "parquet", "folders"):
        made = convert(source, to, tmp_path / to)
        assert (made.count, made.excluded) == (len(some), ())
        datasets[to] = read(tmp_path / to)
    for part in ("train", "validation", "test"):  # as Kaggle has them, in one file a part
        datasets[part] = read(tmp_path / f"csv/{part}.csv")
    whole = pixel_array(source)
    for name, data in datasets.items():
        chosen = source.part(name) if name in PARTS else source
        assert data.targets == source.targets
        assert data.labels["label"].tolist() == chosen.labels["label"].tolist()
        assert np.array_equal(pixel_array(data), pixel_array(chosen))
    for name in ("csv", "idx", "parquet"):
        for to in ("csv", "idx", "parquet"):
            convert(datasets[name], to, tmp_path / f"{name}-{to}")
            again = read(tmp_path / f"{name}-{to}")
            assert np.array_equal(pixel_array(again), whole)
            assert (again.targets, again.parts.tolist()) == (source.targets, source.parts.tolist())
