"""Suspect labels: against cleanlab, by hand, and on data with known label errors."""

import numpy as np
import pytest
from cleanlab.count import get_confident_thresholds
from cleanlab.rank import get_label_quality_scores

from muslin.data.audit import labels as audit_labels
from muslin.data.audit.findings import ordered
from muslin.data.audit.labels import (
    checkable,
    class_thresholds,
    find_label_errors,
    rank_labels,
    self_confidence,
    suspect_multiclass,
    suspect_multilabel,
)
from muslin.data.dataset import Dataset, PixelImages, Target


def world(n=2000, classes=5, wrong=0.05, seed=0):
    """Labels, probabilities of a fair network, and which labels are wrong."""
    random = np.random.default_rng(seed)
    true = random.integers(0, classes, n)
    scores = random.normal(size=(n, classes)) + 3.0 * np.eye(classes)[true]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = true.copy()
    chosen = random.choice(n, round(wrong * n), replace=False)
    labels[chosen] = (true[chosen] + random.integers(1, classes, len(chosen))) % classes
    return labels, probabilities, np.isin(np.arange(n), chosen)


def dataset(labels, classes=5, parts=None):
    target = Target("kind", tuple(f"class {i}" for i in range(classes)))
    pixels = np.zeros((len(labels), 4, 4, 1), dtype=np.uint8)
    ids = np.array([f"p{i}" for i in range(len(labels))], dtype=object)
    return Dataset("d", "f", PixelImages(pixels), (target,), {"kind": labels}, ids, parts)


def suspects(data, probabilities):
    (target,) = data.targets
    errors = find_label_errors(target, data.labels[target.name], probabilities)
    find = suspect_multilabel if target.kind == "multilabel" else suspect_multiclass
    return list(find(data, target, probabilities, errors))


def test_scores_and_thresholds_equal_cleanlab():
    labels, probabilities, _ = world()
    scores = get_label_quality_scores(labels, probabilities, method="self_confidence")
    assert self_confidence(labels, probabilities) == pytest.approx(scores)
    assert class_thresholds(labels, probabilities) == pytest.approx(get_confident_thresholds(labels, probabilities))


def test_only_probably_wrong_labels_are_excluded():
    labels, probabilities, wrong = world()
    findings = suspects(dataset(labels), probabilities)
    out = [s.index for f in findings for s in f.samples if s.exclude]
    assert out == [f.samples[0].index for f in findings if f.score >= 0.5]
    assert wrong[out].mean() > 0.8
    assert len(out) > 0.2 * wrong.sum()


def test_label_errors_are_ranked_first_and_nearly_all_found():
    labels, probabilities, wrong = world()
    findings = suspects(dataset(labels), probabilities)
    worst_first = [f.samples[0].index for f in ordered(findings)]
    assert wrong[worst_first[:50]].mean() > 0.9
    assert wrong[worst_first].sum() > 0.9 * wrong.sum()


def test_a_suspect_names_the_suggested_label_and_its_numbers():
    labels, probabilities, _ = world()
    data = dataset(labels)
    for finding in suspects(data, probabilities):
        (sample,), params = finding.samples, finding.message.params
        label, other = (data.targets[0].classes.index(params[name]) for name in ("label", "other"))
        assert label == labels[sample.index] != other
        assert finding.correction == (params["label"], params["other"])
        assert params["wrong"] == finding.score
        assert params["probability"] == pytest.approx(probabilities[sample.index, label])
        assert params["other_class_probability"] == pytest.approx(probabilities[sample.index, other])


def test_suspects_in_the_test_set_are_not_excluded():
    labels, probabilities, _ = world()
    everything = dataset(labels)
    parts = np.array(["train", "validation", "test", "test"] * 500, dtype=object)
    divided = dataset(labels, parts=parts)
    out = {
        name: {s.index for f in suspects(d, probabilities) for s in f.samples if s.exclude}
        for name, d in (("whole", everything), ("divided", divided))
    }
    assert out["divided"] == {i for i in out["whole"] if parts[i] == "train"}
    assert out["divided"] < out["whole"]


def test_networks_no_better_than_the_majority_find_no_suspects():
    labels, probabilities, _ = world()
    data = dataset(labels)
    senseless = np.roll(probabilities, 1, axis=1)
    assert suspects(data, probabilities) != []
    assert suspects(data, senseless) == []


def test_images_without_probabilities_are_skipped():
    labels, probabilities, wrong = world()
    data = dataset(labels)
    probabilities[wrong] = np.nan
    assert not any(wrong[f.samples[0].index] for f in suspects(data, probabilities))
    assert suspects(data, np.full_like(probabilities, np.nan)) == []


def test_small_classes_and_unknown_labels_are_not_checked():
    target = Target("kind", ("many", "few", "none"))
    labels = np.array([0] * 30 + [1] * (audit_labels.MIN_PER_CLASS - 1) + [-1] * 5)
    judged = checkable(target, labels)
    assert judged.tolist() == [True] * 30 + [False] * (len(labels) - 30)


# ── Several labels an image ─────────────────────────────────────────────────────────────────────────────


def several(n=3000, seed=0, wrong=0.02):
    """Labels of a common, a rare and an unknowable tag, a fair network's probabilities, and which cells are wrong."""
    random = np.random.default_rng(seed)
    true = random.random((n, 3)) < [0.5, 0.04, 0.3]
    scores = random.normal(size=(n, 3)) * 1.5 + np.where(true, 4.0, -4.0)
    scores[:, 2] = -0.85 + random.normal(size=n) * 0.1  # says how many have it, and nothing of which
    flipped = random.random((n, 3)) < wrong
    labels = (true ^ flipped).astype(np.int8)
    unknown = random.random((n, 3)) < 0.1
    labels[unknown] = -1
    probabilities = 1 / (1 + np.exp(-scores))
    probabilities[unknown] = np.nan
    target = Target("tags", ("lace", "silk", "sold"), "multilabel")
    data = Dataset(
        "d", "f", PixelImages(np.zeros((n, 4, 4, 1), dtype=np.uint8)), (target,), {"tags": labels},
        np.array([f"p{i}" for i in range(n)], dtype=object), np.array(["train"] * n, dtype=object),
    )  # fmt: skip
    return data, probabilities, flipped & ~unknown


def test_rare_multilabel_suspects_are_found_unless_unpredictable():
    data, probabilities, wrong = several()
    findings = suspects(data, probabilities)
    for column, name in enumerate(("lace", "silk")):
        doubted = {f.samples[0].index for f in findings if f.message.params["label"] == name}
        truly = set(np.flatnonzero(wrong[:, column]).tolist())
        assert len(doubted & truly) > 0.9 * len(truly)
        assert len(doubted - truly) < 0.02 * len(data)
    assert not any(f.message.params["label"] == "sold" for f in findings)
    assert {f.target for f in findings} == {"tags"}
    assert not any(s.exclude for f in findings for s in f.samples), "its other labels may be right"


def test_multilabel_finding_suggests_to_add_or_remove():
    data, probabilities, _ = several()
    labels = data.labels["tags"]
    for finding in suspects(data, probabilities):
        holds = labels[finding.samples[0].index, 0 if finding.message.params["label"] == "lace" else 1] == 1
        assert finding.message.hint_code == ("remove" if holds else "add")
        assert finding.message.params["value"] == ("yes" if holds else "no")
        assert finding.correction is not None
        label, suggested = finding.correction
        assert label.endswith(": yes") == holds
        assert suggested.endswith(": no") == holds


def test_multilabel_check_needs_enough_of_yes_and_no():
    labels = np.zeros((40, 3), dtype=np.int8)
    labels[:20, 0] = 1
    labels[:13, 1] = 1
    labels[:26, 2] = 1
    labels[39, 2] = -1
    judged = checkable(Target("tags", ("a", "b", "c"), "multilabel"), labels)
    assert judged[:, 0].all()
    assert not judged[:, 1:].any()  # 13 have b; 13 are known not to have c


def test_every_checked_label_of_several_is_ranked():
    data, probabilities, wrong = several()
    errors = {"tags": find_label_errors(data.targets[0], data.labels["tags"], probabilities)}
    ranked = rank_labels(data, errors)
    assert len(ranked) == (data.labels["tags"][:, :2] != -1).sum(), "networks cannot predict the third"
    assert [row.wrong for row in ranked] == sorted((row.wrong for row in ranked), reverse=True)
    for row in ranked[:5]:
        name, value = row.label.split(": ")
        column = ("lace", "silk").index(name)
        assert data.labels["tags"][row.sample, column] == (value == "yes")
        assert wrong[row.sample, column]
        assert row.other == f"{name}: {'no' if value == 'yes' else 'yes'}"
