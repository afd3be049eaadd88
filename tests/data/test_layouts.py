"""The same photos in every layout give the same data set, audit, training, evaluation and tags."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
from every_format import Sample
from layouts import LAYOUTS, Written
from PIL import Image
from safetensors.numpy import load

from command_line import invoke
from muslin.data import read
from muslin.data.dataset import UNKNOWN, Dataset
from muslin.data.tables import Cell, open_table
from muslin.models.predictor import Predictor
from muslin.workflows.audit import audit
from muslin.workflows.evaluate import EvaluateOptions, evaluate
from muslin.workflows.tag import TagOptions, tag
from muslin.workflows.train import train

DOCS = Path(__file__).parents[2] / "docs/reference/layouts.md"
REFERENCES = {
    "photos": "folders of parts and classes",
    "undivided": "folders of classes",
    "tags": "several labels separated by bars",
    "pixels": "IDX",
}
"""Per group the layout with which the others are compared."""

OWN_SUFFIXES = {".xlsx": ".xlsx", ".parquet": ".parquet", ".jsonl": ".jsonl", ".manifest": ".jsonl"}
"""By the suffix of a table that of its tags, in the same format; `.csv` for all else."""

SETTINGS = {"epochs": 1, "min_steps": 1, "batch_size": 4, "max_steps": 2}


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return layouts.make_samples(tmp_path_factory.mktemp("samples"))


class Shelf:
    """Each layout written once, the data set read from it, and per group what the reference gives."""

    def __init__(self, samples: Sequence[Sample], root: Path) -> None:
        self.samples, self.root = samples, root
        self._written: dict[str, Written] = {}
        self._results: dict[tuple[str, str], Any] = {}

    def written(self, name: str) -> Written:
        if name not in self._written:
            self._written[name] = LAYOUTS[name].write(self.samples, self.root / f"set-{len(self._written)}")
        return self._written[name]

    def read(self, name: str) -> Dataset:
        return self.once(name, "read", lambda w: read(w.path, **w.options))

    def once(self, name: str, what: str, make: Any) -> Any:
        if (name, what) not in self._results:
            self._results[name, what] = make(self.written(name))
        return self._results[name, what]

    def train(self, name: str) -> Any:
        out = self.root / f"run-{len(self._results)}"
        settings = SETTINGS if LAYOUTS[name].group == "pixels" else SETTINGS | {"image_size": 28}
        return self.once(
            name, "train",
            lambda w: train(w.path, recipe="quick", out=out, settings=settings, read_options=w.options),
        )  # fmt: skip

    def predictor(self, name: str) -> Predictor:
        """A model trained on the layout with which this one is compared."""
        run = self.train(reference(name))
        return self.once(reference(name), "predictor", lambda w: Predictor.open(run.folder))


@pytest.fixture(scope="session")
def shelf(samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(samples, tmp_path_factory.mktemp("layouts"))


def labels_of(dataset: Dataset) -> list[Any]:
    """Per image its part, the digest of its pixels, and its labels as names."""
    [target] = dataset.targets
    parts = [""] * len(dataset) if dataset.parts is None else dataset.parts
    names = []
    for label in dataset.labels[target.name]:
        if target.kind == "multilabel":
            names.append(tuple(sorted(target.classes[i] for i in np.flatnonzero(label == 1))))
        else:
            names.append("" if label == UNKNOWN else target.classes[label])
    return list(zip(parts, digests(dataset), names, strict=True))


def digests(dataset: Dataset) -> list[str]:
    return [digest(dataset.images[i]) for i in range(len(dataset))]


def digest(image: Any) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()[:12]


def reference(name: str) -> str:
    return REFERENCES.get(LAYOUTS[name].group, name)


@pytest.mark.parametrize("name", LAYOUTS)
def test_look_describes_the_same_data_set(name: str, shelf: Shelf, capfd: pytest.CaptureFixture[str]) -> None:
    found, expected = shelf.read(name), shelf.read(reference(name))
    assert Counter(labels_of(found)) == Counter(labels_of(expected))
    assert found.targets[0].classes == expected.targets[0].classes
    written = shelf.written(name)
    words = [word for option, value in written.options.items() for word in (f"--{option.replace('_', '-')}", value)]
    if name == REFERENCES["photos"]:
        truth = [(s.part, np.asarray(Image.open(s.file)), s.label) for s in shelf.samples]
        assert Counter(labels_of(found)) == Counter((part, digest(image), label) for part, image, label in truth)
    looked, expected_look = (
        invoke(capfd, "look", path, *more, "--json").json
        for path, more in ((written.path, words), (shelf.written(reference(name)).path, []))
    )
    assert looked["images"] == expected_look["images"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_audit_finds_the_same_faults(name: str, shelf: Shelf) -> None:
    def findings(of: str) -> Any:
        def find(written: Written) -> Any:
            dataset = shelf.read(of)
            digest_of = dict(zip(map(str, dataset.ids), digests(dataset), strict=True))
            return Counter(
                (finding.kind, finding.leak, tuple(sorted(digest_of[sample.id] for sample in finding.samples)))
                for finding in audit(written.path, read_options=written.options).findings
                if finding.kind != "group_in_two_parts"
            )

        return shelf.once(of, "audit", find)

    assert findings(name) == findings(reference(name))
    assert {"identical"} <= {kind for kind, _, _ in findings(name)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_evaluate_measures_the_same(name: str, shelf: Shelf) -> None:
    group = LAYOUTS[name].group
    split = "all" if group == "undivided" else "test"

    def measure(of: str) -> Any:
        options = shelf.written(of).options
        return shelf.once(
            of, "evaluate",
            lambda w: evaluate(shelf.predictor(of), w.path, EvaluateOptions(split, read_options=options)),
        )  # fmt: skip

    found, expected = measure(name), measure(reference(name))
    assert found.part == expected.part
    [mine], [theirs] = found.evaluations.values(), expected.evaluations.values()
    keys = {"n", "correct", "accuracy", "confusion", "subset_accuracy", "macro"}
    assert {k: v for k, v in mine.to_dict().items() if k in keys} == {
        k: v for k, v in theirs.to_dict().items() if k in keys
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_tag_writes_the_same_tags(name: str, shelf: Shelf, tmp_path: Path) -> None:
    def tags(of: str) -> Any:
        def find(written: Written) -> Any:
            is_table = shelf.read(of).format == "table"
            suffix = OWN_SUFFIXES.get(written.path.suffix, ".csv") if is_table else ".csv"
            out = tmp_path / f"{len(of)}{suffix}"
            unused = {"target"} if is_table else set()
            options = TagOptions(read_options={k: v for k, v in written.options.items() if k not in unused})
            result = tag(shelf.predictor(of), written.path, out, options)
            assert result.unreadable == 0
            return Counter(zip(digests(shelf.read(of)), read_tags(out), strict=True))

        return shelf.once(of, "tag", find)

    assert tags(name) == tags(reference(name))


def read_tags(path: Path) -> list[Any]:
    """Row by row what tag wrote, alike for all kinds of tables."""

    def texts(cell: Cell) -> list[str]:
        return cell.split("|") if isinstance(cell, str) else list(cell)

    rows = (row.cells for row in open_table(path).rows(["tag", "probability", "decision"]))
    return [
        (*texts(tags), *(f"{float(p):.4f}" for p in texts(probabilities)), decision)
        for tags, probabilities, decision in rows
    ]


@pytest.mark.parametrize("name", LAYOUTS)
def test_train_gives_the_same_model(name: str, shelf: Shelf) -> None:
    mine, theirs = shelf.train(name), shelf.train(reference(name))
    dataset = shelf.read(name)
    if dataset.groups is not None and dataset.parts is None:  # the split is another one
        return
    weights = [weights_of(run.folder) for run in (mine, theirs)]
    assert [array.shape for array in weights[0]] == [array.shape for array in weights[1]]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def weights_of(run: Path) -> list[Any]:
    """In an order that does not depend on the target's name."""
    bundle = Predictor.open(run).bundle
    name = bundle.targets[0].name
    arrays = load(bundle.weights)
    return [arrays[key] for key in sorted(arrays, key=lambda key: key.replace(name, "label"))]


def test_docs_have_a_row_for_each_layout() -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ")[0].removeprefix("| ").strip() for line in lines if line.startswith("| ")]
    assert [row for row in rows if row not in ("layout", "---")] == list(LAYOUTS)
