"""From data to the folder of an audit, and from there to training without the excluded samples."""

import hashlib
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

from command_line import invoke, refusal
from compared_pairs import noted_comparisons
from muslin.data import read
from muslin.data.audit.corrections import correct_labels, read_corrections
from muslin.data.audit.exclusions import read_exclusions, read_sample_rows, write_exclusions
from muslin.data.audit.findings import KINDS, Audit
from muslin.data.convert import write_csv
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target, pixel_array
from muslin.data.synthetic import SyntheticDataset, make_garments
from muslin.errors import DataError, StoppedError, StorageError
from muslin.learn.recipes import RECIPES
from muslin.messages import Message
from muslin.storage.outputs import Output
from muslin.studio.job_kinds import AUDIT_STEPS
from muslin.workflows import audit as audit_workflow
from muslin.workflows import train as train_workflow
from refusals import refuses

SMALL = {"epochs": 2, "batch_size": 40}
QUICK_KINDS = tuple(kind for kind in KINDS if kind != "suspect_label")


@pytest.fixture(scope="module")
def mislabelled() -> SyntheticDataset:
    """240 garments: 8 labels are wrong, 5 images are there twice."""
    return make_garments(240, seed=3, label_noise=8 / 240, duplicates=5)


@pytest.fixture(scope="module")
def audited(mislabelled: SyntheticDataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Audit, list[str]]:
    """Its audit: the folder, what was found, what was told."""
    folder = tmp_path_factory.mktemp("audit")
    told: list[str] = []
    found = audit_workflow.audit(
        mislabelled.dataset, out=folder, log=told.append, on_progress=lambda step, share: PROGRESS.append((step, share))
    )
    return folder, found, told


PROGRESS: list[tuple[str, float]] = []
"""What the audit said of its progress: each step, and the share of it that was done."""


def photos(folder: Path, synthetic: Dataset) -> Path:
    """The images as photos in folders, train/CLASS/i.png, of which one is broken."""
    for i, (pixels, label) in enumerate(zip(pixel_array(synthetic), synthetic.labels["label"], strict=True)):
        path = folder / "train" / synthetic.targets[0].classes[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :, 0]).resize((90, 80)).save(path)
    broken = next(folder.glob("train/*/*.png"))
    broken.write_bytes(broken.read_bytes()[:200])
    return folder


def content(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def test_audit_writes_a_page_findings_and_lists(
    audited: tuple[Path, Audit, list[str]], mislabelled: SyntheticDataset
) -> None:
    folder, found, _ = audited
    assert {p.name for p in folder.iterdir()} == {
        "audit.html",
        "audit.json",
        "clean.csv",
        "corrections.csv",
        "exclude.csv",
        "labels.csv",
    }
    out, kept = (dict(map(reversed, read_exclusions(folder / name))) for name in ("exclude.csv", "clean.csv"))
    assert not out.keys() & kept.keys()
    assert out.keys() | kept.keys() == set(mislabelled.dataset.ids)
    assert out.keys() == {str(mislabelled.dataset.ids[i]) for i in found.exclusions}
    written = json.loads((folder / "audit.json").read_text())
    assert written["counts"] == found.counts
    for finding in written["findings"]:
        assert finding.keys() >= {"kind", "samples", "score", "reason", "suggestion"}
        assert finding["kind"] in KINDS
        assert written["kinds"][finding["kind"]]["score"] == KINDS[finding["kind"]]["score"]
        for sample in finding["samples"]:
            assert mislabelled.dataset.ids[sample["index"]] == sample["id"]
            assert sample["part"] is None
    assert written["overview"]["images"] == 240
    assert written["seconds"]["label_check"] > 0


def test_known_duplicates_and_label_errors_are_found(
    audited: tuple[Path, Audit, list[str]], mislabelled: SyntheticDataset
) -> None:
    _, found, _ = audited
    pairs = {tuple(sorted(s.index for s in f.samples)) for f in found.of("identical")}
    assert pairs == {tuple(pair) for pair in mislabelled.duplicates.tolist()}
    suspects = [f.samples[0].index for f in found.of("suspect_label")]
    wrong = set(mislabelled.mislabelled.tolist())
    assert len(wrong & set(suspects)) >= 7
    assert len(suspects) < 30
    assert len(wrong & set(suspects[:10])) >= 5, "worst first"


def test_labels_csv_ranks_every_checked_label(
    audited: tuple[Path, Audit, list[str]], mislabelled: SyntheticDataset
) -> None:
    folder, found, _ = audited
    rows = [row for _, row in read_sample_rows(folder / "labels.csv")]
    assert {row["id"] for row in rows} == set(mislabelled.dataset.ids)
    stated = [float(row["wrong_probability"]) for row in rows]
    assert stated == sorted(stated, reverse=True)
    suspects = found.of("suspect_label")
    assert {row["id"] for row in rows[: len(suspects)]} == {f.samples[0].id for f in suspects}
    assert [(row["label"], row["other"]) for row in rows[:1]] == [suspects[0].correction]
    listed = [row for _, row in read_sample_rows(folder / "corrections.csv")]
    assert listed == rows[: len(suspects)]
    assert sum(bool(row["suggested"]) for row in listed) == len(found.corrections)
    wrong = np.isin([row["id"] for row in rows], mislabelled.dataset.ids[mislabelled.mislabelled])
    assert roc_auc_score(wrong, stated) > 0.9


def test_a_person_completes_the_corrections_of_an_audit(
    audited: tuple[Path, Audit, list[str]], mislabelled: SyntheticDataset, tmp_path: Path
) -> None:
    rows = [row for _, row in read_sample_rows(audited[0] / "corrections.csv")]
    classes, true = mislabelled.dataset.targets[0].classes, mislabelled.true_labels
    wrong = {str(mislabelled.dataset.ids[i]): classes[true[i]] for i in mislabelled.mislabelled}
    for row in rows:
        row["suggested"] = wrong.get(row["id"], "")
    path = tmp_path / "corrections.csv"
    write_exclusions(path, list(rows[0]), [tuple(row.values()) for row in rows])
    corrected = correct_labels(mislabelled.dataset, read_corrections(path), str(path))
    changed = np.flatnonzero(corrected.labels["label"] != mislabelled.dataset.labels["label"])
    assert len(changed) >= 7
    assert set(changed) <= set(mislabelled.mislabelled.tolist())
    assert (corrected.labels["label"][changed] == true[changed]).all()


def test_long_steps_are_logged(audited: tuple[Path, Audit, list[str]]) -> None:
    told = audited[2]
    assert "decoding 240 images" in told
    assert any("models" in sentence for sentence in told)
    steps = list(dict.fromkeys(step for step, _ in PROGRESS))
    assert [step for step in steps if step in AUDIT_STEPS] == list(AUDIT_STEPS)
    shares = [share for step, share in PROGRESS if step == "label_check"]
    assert shares == sorted(shares)
    assert len(shares) > 50
    assert shares[-1] == 1


def test_skipped_checks_are_listed(audited: tuple[Path, Audit, list[str]]) -> None:
    assert set(audited[1].skipped) == {"group_in_two_parts", "blurred"}


def test_without_torch_only_the_label_check_is_skipped(
    mislabelled: SyntheticDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # which Python takes for a module that is not there
    found = audit_workflow.audit(mislabelled.dataset)
    assert "muslin[train]" in found.skipped["suspect_label"]
    assert found.of("identical")


@pytest.mark.parametrize("labels", [np.full(40, UNKNOWN), np.zeros(40, dtype=np.int64), np.arange(40) % 5])
def test_too_few_labels_are_no_error(labels: Any) -> None:
    data = replace(make_garments(40, seed=1).dataset, labels={"label": labels})
    reason = audit_workflow.audit(data).skipped["suspect_label"]
    assert (reason.code, reason.params) == ("audit_too_few_labels", {"minimum": 14})


def test_images_too_small_for_a_network_are_no_error() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 5, 5, 1), dtype=np.uint8)
    synthetic = make_garments(60, seed=1).dataset
    data = replace(synthetic, images=PixelImages(pixels), labels={"label": np.arange(60) % 2})
    assert "suspect_label" in audit_workflow.audit(data).skipped


def test_photos_are_audited_and_never_changed(mislabelled: SyntheticDataset, tmp_path: Path) -> None:
    data = photos(tmp_path / "photos", mislabelled.dataset.take(np.arange(60)))
    before = content(data)
    found = audit_workflow.audit(data, out=tmp_path / "audit", checks=QUICK_KINDS)
    assert content(data) == before
    (broken,) = found.of("unreadable")
    assert broken.samples[0].part == "train"
    names = read_exclusions(tmp_path / "audit/exclude.csv")
    assert ("train", broken.samples[0].id) in names
    run = train_workflow.train(
        data, exclude=tmp_path / "audit/exclude.csv", settings=SMALL | {"batch_size": 16}, out=tmp_path / "run"
    )
    assert sum(run.record["data"]["split_sizes"].values()) == 60 - len(names)


def test_audit_does_not_write_into_data_or_other_folders(mislabelled: SyntheticDataset, tmp_path: Path) -> None:
    data = photos(tmp_path / "photos", mislabelled.dataset.take(np.arange(20)))
    before = content(data)
    for inside in (data / "train" / "audit", data):
        with pytest.raises(StorageError) as error:
            audit_workflow.audit(data, out=inside)
        assert (error.value.code, error.value.params["name"]) == ("output_in_data", str(data))
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(StorageError) as error:
        audit_workflow.audit(data, out=other)
    assert error.value.code == "audit_folder_not_empty"
    assert content(data) == before
    assert content(other).keys() == {"thesis.tex"}


def test_an_earlier_audit_is_replaced_only_on_request(tmp_path: Path) -> None:
    audit_workflow.audit(make_garments(40, seed=1, duplicates=3).dataset, out=tmp_path, checks=["identical"])
    assert len(read_exclusions(tmp_path / "exclude.csv")) == 3
    with refuses("output_exists", path=str(tmp_path / "exclude.csv")):
        audit_workflow.audit(make_garments(40, seed=1).dataset, out=tmp_path, checks=["identical"])
    assert len(read_exclusions(tmp_path / "exclude.csv")) == 3
    replacing = Output(tmp_path, overwrite=True)
    audit_workflow.audit(make_garments(40, seed=1).dataset, out=replacing, checks=["identical"])
    assert read_exclusions(tmp_path / "exclude.csv") == []
    assert len(read_exclusions(tmp_path / "clean.csv")) == 40


def test_an_earlier_audit_is_not_left_beside_files_of_another(tmp_path: Path) -> None:
    audit_workflow.audit(make_garments(40, seed=1, duplicates=3).dataset, out=tmp_path, checks=["identical"])

    def log(line: str) -> None:
        if isinstance(line, Message) and line.code == "audit_writing":
            (tmp_path / "clean.csv").unlink()
            (tmp_path / "clean.csv").mkdir()

    with refuses("output_is_folder"):
        replacing = Output(tmp_path, overwrite=True)
        audit_workflow.audit(make_garments(40, seed=1).dataset, out=replacing, checks=["identical"], log=log)
    assert read_exclusions(tmp_path / "exclude.csv") == []
    assert not (tmp_path / "audit.json").exists()


def test_a_killed_audit_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "exclude.csv").write_text("part,id,findings\n")
    replacing = Output(tmp_path, overwrite=True)
    audit_workflow.audit(make_garments(40, seed=1).dataset, out=replacing, checks=["identical"])
    assert (tmp_path / "audit.json").exists()


def test_only_finds_only_the_given_kinds(mislabelled: SyntheticDataset) -> None:
    found = audit_workflow.audit(mislabelled.dataset, checks=["identical", "blank"])
    assert found.counts == {"identical": 5}
    assert "label_check" not in found.seconds
    with pytest.raises(DataError) as error:
        audit_workflow.audit(mislabelled.dataset, checks=["near_duplicates"])
    assert (error.value.code, error.value.params["nearest"]) == ("finding_kind_unknown", "near_duplicate")


def test_samples_have_the_index_that_look_takes(tmp_path: Path) -> None:
    some = make_garments(60, seed=1, duplicates=6).dataset
    parts = np.array([("test", "train", "validation")[i % 3] for i in range(60)], dtype=object)
    data = replace(some, parts=parts)
    audit_workflow.audit(data, out=tmp_path, checks=["identical", "small_class", "imbalance"])
    written = json.loads((tmp_path / "audit.json").read_text())
    seen = [sample for finding in written["findings"] for sample in finding["samples"]]
    assert len({sample["part"] for sample in seen}) == 3
    for sample in seen:
        assert data.part(sample["part"]).ids[sample["index_in_part"]] == sample["id"] == data.ids[sample["index"]]
    assert {f["target"] for f in written["findings"] if f["kind"] == "small_class"} == {"label"}


def test_labels_of_several_targets_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "quick", replace(RECIPES["quick"], min_steps=40))  # how well is of no importance here
    some = make_garments(120, seed=5).dataset
    kinds, random = some.labels["label"], np.random.default_rng(0)
    tags = np.stack([kinds < 2, kinds % 2 == 0], axis=1).astype(np.int8)
    tags[::10] = UNKNOWN
    kinds = np.where(random.random(120) < 0.2, UNKNOWN, kinds)
    data = replace(
        some,
        targets=(Target("tags", ("early", "even"), "multilabel"), Target("kind", some.target().classes)),
        labels={"tags": tags, "kind": kinds},
    )
    found = audit_workflow.audit(data, out=tmp_path, checks=["suspect_label"])
    judged = found.overview["label_checks_per_target"]
    assert (judged["tags"]["images"], judged["tags"]["labels"]) == (108, 216)
    assert judged["tags"]["classes_with_skill"] == 2
    assert judged["kind"]["labels"] == (kinds != UNKNOWN).sum()
    assert {f.target for f in found.findings} == {"tags", "kind"}
    for finding in found.findings:
        assert (data.labels[finding.target][finding.samples[0].index] != UNKNOWN).any()
    assert "tags" in (tmp_path / "audit.html").read_text()


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_images_are_no_error(count: int) -> None:
    found = audit_workflow.audit(make_garments(count, seed=1).dataset)
    assert {f.kind for f in found.findings} == {"small_class"}


# ── Training without the excluded samples ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def names(synthetic: SyntheticDataset, tmp_path: Path) -> Path:
    """A CSV that names twenty of the drawn garments."""
    path = tmp_path / "choices.csv"
    write_exclusions(path, ("part", "id", "findings"), [("", str(i), "blank") for i in range(0, 200, 10)])
    return path


def stopping_after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps - 1))
    return lambda: next(left, None) is None


def test_a_run_records_its_exclusions_and_keeps_a_copy(
    synthetic: SyntheticDataset, names: Path, tmp_path: Path
) -> None:
    run = train_workflow.train(synthetic.dataset, exclude=names, settings=SMALL, out=tmp_path / "run")
    record = run.record
    assert record["exclude"] == {"path": str(names), "n": 20}
    assert any(str(names) in str(fix) for fix in record["data"]["fixes"])
    assert sum(record["data"]["split_sizes"].values()) == 180
    assert f"--exclude {names}" in record["command"]
    assert read_exclusions(run.folder / "excluded.csv") == read_exclusions(names)


def test_resume_excludes_the_same_samples_without_the_list(
    synthetic: SyntheticDataset, names: Path, tmp_path: Path
) -> None:
    whole = train_workflow.train(synthetic.dataset, exclude=names, settings=SMALL, out=tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_workflow.train(
            synthetic.dataset, exclude=names, settings=SMALL, out=tmp_path / "half", should_stop=stopping_after(3)
        )
    names.unlink()
    resumed = train_workflow.resume(tmp_path / "half", synthetic.dataset)
    one, other = (load_file(run.checkpoint) for run in (whole, resumed))
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)
    assert resumed.record["data"]["split_sizes"] == whole.record["data"]["split_sizes"]


def test_exclusions_of_other_data_are_refused(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    path = tmp_path / "exclude.csv"
    write_exclusions(path, ("part", "id"), [("train", "train/3")])
    with pytest.raises(DataError) as error:
        train_workflow.train(synthetic.dataset, exclude=path, settings=SMALL, out=tmp_path / "run")
    assert error.value.code == "excluded_samples_unknown"
    assert not (tmp_path / "run").exists()


# ── Training with corrected labels ──────────────────────────────────────────────────────────────────────────────


def test_a_run_corrects_labels_and_resumes_without_the_list(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    path, data = tmp_path / "mine.csv", synthetic.dataset
    first, second = data.targets[0].classes[:2]
    wanted = [second if label == 0 else first for label in data.labels["label"][:9]]
    write_exclusions(path, ("id", "label"), [(str(i), label) for i, label in enumerate(wanted)])
    options: dict[str, Any] = {"corrections": path, "settings": SMALL}
    whole = train_workflow.train(data, out=tmp_path / "whole", **options)
    assert whole.record["corrections"] == {"path": str(path), "n": 9}
    assert f"--corrections {path}" in whole.record["command"]
    assert any(fix["code"] == "labels_corrected" for fix in whole.record["data"]["fixes"])
    with pytest.raises(StoppedError):
        train_workflow.train(data, out=tmp_path / "half", should_stop=stopping_after(3), **options)
    path.unlink()
    resumed = train_workflow.resume(tmp_path / "half", data)
    one, other = (load_file(run.checkpoint) for run in (whole, resumed))
    assert all((one[name] == other[name]).all() for name in one)
    uncorrected = train_workflow.train(data, out=tmp_path / "without", settings=SMALL)
    assert uncorrected.record["corrections"] is None
    assert uncorrected.record["data"]["fingerprint"] != whole.record["data"]["fingerprint"]


def test_corrections_of_an_audit_are_what_train_reads(
    audited: tuple[Path, Audit, list[str]], mislabelled: SyntheticDataset
) -> None:
    data, (folder, found, _) = mislabelled.dataset, audited
    assert found.corrections
    path = folder / "corrections.csv"
    corrected = correct_labels(data, read_corrections(path), str(path))
    changed = np.flatnonzero(corrected.labels["label"] != data.labels["label"])
    assert set(changed) == {finding.samples[0].index for finding in found.corrections}
    assert all(finding.score >= 0.5 for finding in found.corrections)
    correct = np.isin(changed, mislabelled.mislabelled).mean()
    assert correct >= 0.5


def test_photos_are_judged_by_the_backbone_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("muslin.learn.features.LOG_EVERY_S", -1)  # each batch of extracted features is told
    progress: list[tuple[str, float]] = []
    some = make_garments(60, seed=7).dataset
    for i, (pixels, label) in enumerate(zip(pixel_array(some), some.labels["label"] % 2, strict=True)):
        path = tmp_path / "photos" / ("even", "odd")[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :, 0]).convert("RGB").resize((140, 140)).save(path)
    found = audit_workflow.audit(
        tmp_path / "photos", checks=["suspect_label"], on_progress=lambda *reached: progress.append(reached)
    )
    assert ("label_check", 1.0) in progress, "all features were extracted"
    (check,) = found.overview["label_checks_per_target"].values()
    assert (check["models"], check["labels"]) == ("efficientnet-lite2", 60)
    told: list[str] = []
    train_workflow.train(tmp_path / "photos", recipe="photo", out=tmp_path / "run", log=told.append)
    assert "features_extracted" not in [sentence.code for sentence in told if isinstance(sentence, Message)]


# ── From the command line ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def here(mislabelled: SyntheticDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with garments.csv."""
    write_csv(replace(mislabelled.dataset, name="garments"), tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_audit_command_prints_findings_and_the_next_command(here: Path, capfd: Any) -> None:
    result = invoke(capfd, "audit", "garments.csv", "--check", "identical", "--check", "dark", "-o", "out")
    assert result.code == 0
    assert "Identical" in result.out
    assert "decoding 240 images" in result.err
    command = next(line for line in result.out.splitlines() if "muslin train" in line).split("muslin ", 1)[1]
    result = invoke(capfd, *shlex.split(command), "--epochs", 1, "--set", "batch_size=40", "--out", "run", "--json")
    assert result.code == 0, result
    record = json.loads((here / "run/run.json").read_text())
    assert record["exclude"] == {"path": "out/exclude.csv", "n": 5}


def test_audit_json_has_the_counts_and_the_folder(here: Path, capfd: Any) -> None:
    result = invoke(capfd, "audit", "garments.csv", "--check", "identical", "--json")
    assert result.code == 0
    assert result.json["counts"] == {"identical": 5}
    assert result.json["excluded"] == 5
    assert (here / result.json["folder"] / "audit.html").exists()


def test_audit_command_refuses_wrong_input(here: Path, capfd: Any) -> None:
    assert "nothing.csv" in refusal(invoke(capfd, "audit", "nothing.csv"))
    assert not (here / "audits").exists()
    (here / "list.csv").write_text("name\nx\n")
    result = invoke(capfd, "train", "garments.csv", "--exclude", "list.csv")
    assert "list.csv" in refusal(result)
    result = invoke(capfd, "train", "--resume", "run", "--exclude", "list.csv")
    assert result.code == 2
    assert "--exclude" in result.err


@pytest.mark.slow
def test_fashion_mnist_has_the_known_near_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = noted_comparisons(monkeypatch)
    found = audit_workflow.audit("fashion-mnist", out=tmp_path, checks=["identical", "near_duplicate"])
    assert sum(compared) < 70_000**2 / 2 / 1_000
    assert found.of("identical") == []
    pairs = {frozenset(s.id for s in f.samples): f for f in found.of("near_duplicate")}
    assert sum(f.score < 200 for f in pairs.values()) == 39 + 1 + 14
    assert sum(f.score < 200 and f.leak for f in pairs.values()) == 14
    leak = pairs[frozenset(("train/13360", "test/4998"))]
    assert leak.leak
    assert {(s.part, s.index_in_part) for s in leak.samples} == {("train", 13360), ("test", 4998)}
    assert ("train", "train/13360") in read_exclusions(tmp_path / "exclude.csv")
    assert (tmp_path / "audit.html").stat().st_size < 5_000_000


@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_randomly_changed_labels_are_ranked_first(count: int) -> None:
    some = read("fashion-mnist").part("test").take(np.arange(count))  # of the 70,000, and so of the networks' knowledge
    random = np.random.default_rng(0)
    labels = some.labels["label"].copy()
    changed = random.choice(len(labels), len(labels) // 50, replace=False)
    labels[changed] = (labels[changed] + random.integers(1, 10, len(changed))) % 10
    found = audit_workflow.audit(replace(some, labels={"label": labels}), checks=["suspect_label"])
    suspicion = np.zeros(len(labels))
    for finding in found.findings:
        suspicion[finding.samples[0].index] = finding.score
    assert roc_auc_score(np.isin(np.arange(len(labels)), changed), suspicion) >= 0.95
