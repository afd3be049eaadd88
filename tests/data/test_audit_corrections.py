"""CSV files that correct labels: read, checked and applied exactly."""

from dataclasses import replace

import numpy as np
import pytest

from muslin.data.audit.corrections import COLUMNS, correct_labels, read_corrections
from muslin.data.audit.exclusions import write_exclusions
from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.errors import DataError


@pytest.fixture
def data():
    """Four samples with a kind and two tags."""
    targets = (Target("kind", ("coat", "=dress")), Target("tags", ("lace", "silk: raw"), "multilabel"))
    labels = {"kind": np.array([0, 1, 0, -1]), "tags": np.array([[0, 1], [1, 1], [0, 0], [-1, -1]], dtype=np.int8)}
    ids = np.array(["a", "b", "c", "d"], dtype=object)
    parts = np.array(["train", "train", "test", "train"], dtype=object)
    return Dataset("shop", "table", PixelImages(np.zeros((4, 4, 4, 1), np.uint8)), targets, labels, ids, parts)


def corrected(data, path, text):
    path.write_text(text)
    return correct_labels(data, read_corrections(path), str(path))


def test_labels_are_corrected_and_counted(data, tmp_path):
    path = tmp_path / "mine.csv"
    text = "part,id,target,label\ntrain,a,kind,=dress\n,c,kind,coat\ntrain,d,kind,coat\n,a,tags,silk: raw: no\n"
    result = corrected(data, path, text)
    assert result.labels["kind"].tolist() == [1, 1, 0, 0]
    assert result.labels["tags"].tolist() == [[0, 0], [1, 1], [0, 0], [-1, -1]]
    assert data.labels["kind"].tolist() == [0, 1, 0, -1]
    assert result.fixes[-1].params == {"n": 4, "changed": 3, "path": str(path)}
    assert result.fingerprint != data.fingerprint


def test_the_table_of_an_audit_is_applied(data, tmp_path):
    path = tmp_path / "corrections.csv"
    rows = [
        ("train", "a", "kind", "coat", "=dress", "=dress", "0.9"),
        ("test", "c", "tags", "lace: no", "lace: yes", "lace: yes", "0.8"),
        ("train", "b", "kind", "=dress", "", "coat", "0.7"),
    ]
    write_exclusions(path, COLUMNS, rows)
    result = correct_labels(data, read_corrections(path), str(path))
    assert result.labels["kind"].tolist() == [1, 1, 0, -1]
    assert result.labels["tags"][2].tolist() == [1, 0]
    again = correct_labels(result, read_corrections(path), str(path))
    assert again.fixes[-1].params["changed"] == 0


def test_table_without_a_suggestion_says_what_to_do(data, tmp_path):
    result = corrected(data, tmp_path / "c.csv", "id,target,label,suggested\na,kind,coat,\n")
    assert result.fixes[-1].code == "labels_not_corrected"


def test_one_target_need_not_be_named(data, tmp_path):
    one = replace(data, targets=data.targets[:1], labels={"kind": data.labels["kind"]})
    assert corrected(one, tmp_path / "c.csv", "id,label\na,=dress\n").labels["kind"][0] == 1


@pytest.mark.parametrize(
    ("text", "code", "params"),
    [
        ("label\ncoat\n", "exclusions_without_id", {}),
        ("id,target\na,kind\n", "corrections_without_label", {}),
        ("id,target,label\na,kind,\n", "correction_label_missing", {"row": 2}),
        ("id,target,label\na,,coat\n", "correction_target_unknown", {"row": 2, "name": ""}),
        ("id,target,label\na,kinds,coat\n", "correction_target_unknown", {"row": 2, "nearest": "kind"}),
        ("id,target,label\na,kind,cot\n", "correction_label_unknown", {"row": 2, "name": "cot", "nearest": "coat"}),
        ("id,target,label\na,tags,lace\n", "correction_label_unknown", {"row": 2, "target": "tags"}),
        ("id,target,label\na,tags,silk: yes\n", "correction_label_unknown", {"row": 2, "target": "tags"}),
        ("id,target,label\nx,kind,coat\n", "excluded_samples_unknown", {"names": ["x"]}),
        ("part,id,target,label\ntest,a,kind,coat\n", "excluded_samples_unknown", {"names": ["test/a"]}),
        ("id,target,label\na,kind,coat\na,kind,=dress\n", "label_corrected_twice", {"row": 3, "name": "a"}),
        (
            "id,target,label,suggested\nd,kind,coat,=dress\n",
            "corrections_of_other_labels",
            {"names": ["d"], "count": 1},
        ),
    ],
)
def test_corrections_that_do_not_fit_are_refused(data, tmp_path, text, code, params):
    path = tmp_path / "c.csv"
    with pytest.raises(DataError) as error:
        corrected(data, path, text)
    assert error.value.code == code
    assert error.value.params["path"] == str(path)
    assert {name: error.value.params[name] for name in params} == params
