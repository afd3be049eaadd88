"""The audit from end to end: what the command line and the library both call.

`data.audit` finds, networks of `learn` judge the labels, `show` makes the page. As in `flow`, they meet only here.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit import exclusions
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages
from muslin.errors import DataError, MissingPartError, RecipeError, StorageError, TrainingError, nearest
from muslin.learn.recipes import recipe as recipe_named
from muslin.storage.atomic import remove_partial_files, storage_errors, write_atomically
from muslin.workflows.train import require_training

if TYPE_CHECKING:
    from muslin.data.audit.duplicates import Copies
    from muslin.data.audit.findings import Audit
    from muslin.data.audit.image_stats import ImageStats
    from muslin.learn.training_loop import Progress


def audit(
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    test: str | Path | None = None,
    only: Collection[str] = (),
    seed: int = 0,
    reading: Mapping[str, Any] | None = None,
    log: Callable[[str], None] = lambda sentence: None,
) -> "Audit":
    """What is wrong with a data set, before training on it; the data themselves are never touched.

    Args:
        data: a known name, a file or a folder, or a Dataset.
        out: a folder, new, empty or with an earlier audit, for `audit.html`, `audit.json`, `exclude.csv` (what is
            suggested to be left out, for `train`'s `without`) and `clean.csv` (the rest); None writes nothing.
        test: a file with the test part, where `data` holds only the training part.
        only: the kinds of findings to look for, keys of `muslin.data.audit.findings.KINDS`; all by default.
        seed: of the networks that judge the labels.
        reading: how to read the files, as `muslin.read` takes it.
        tell: called with a sentence at every step, and every few seconds within the long ones.

    Raises:
        DataError: the data cannot be read, or there is no such kind.
        StorageError: the folder will not do, or the disk is full.
    """
    from muslin.data import read_and_log
    from muslin.data.audit.checks import CHECKS, Evidence, examined
    from muslin.data.audit.duplicates import find_copies
    from muslin.data.audit.findings import KINDS, Audit, ordered
    from muslin.data.audit.image_stats import compute_image_stats

    if unknown := [kind for kind in only if kind not in KINDS]:
        raise DataError(f"no finding is called {unknown[0]!r}. {nearest(unknown[0], KINDS)}")
    seldom = _now_and_then(log)
    seconds: dict[str, float] = {}
    left_out: dict[str, str] = {}

    @contextmanager
    def step(name: str, sentence: str = "") -> Iterator[None]:
        if sentence:
            log(sentence)
        started = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - started

    with step("read"):
        dataset = read_and_log(data, test=test, log=log, **(reading or {}))
    folder = None if out is None else _audit_folder(Path(out), data)
    with step("look", f"looking at {len(dataset):,} images"):
        looked = compute_image_stats(dataset.images, seldom)
    with step("copies", "comparing them with each other"):
        copies = find_copies(dataset, looked, seldom)
    evidence = Evidence(dataset, looked, copies)
    if not only or "suspect_label" in only:
        with step("judge_labels", "asking networks what they make of images they did not learn from"):
            try:
                evidence = replace(
                    evidence, probabilities=_judge_labels(dataset, looked, copies, seed, seldom)
                )
            except (MissingPartError, TrainingError, RecipeError) as error:
                evidence = replace(evidence, no_probabilities=str(error))
    findings = []
    for check in CHECKS:
        if only and check.kind not in only:
            continue
        if why := check.why_not(evidence):
            left_out[check.kind] = why
            continue
        with step(check.kind):
            findings += check.find(evidence)
    result = Audit(ordered(findings), examined(evidence), left_out, seconds)
    if folder is not None:
        with step("write", "writing the page"):
            _write_audit(folder, dataset, result)
    return result


def summary(found: "Audit") -> dict[str, Any]:
    """What a program wants to know of an audit; `muslin audit --json` prints it, `audit.json` has the findings too."""
    return {name: value for name, value in found.to_dict().items() if name not in ("findings", "kinds")}


def _now_and_then(log: Callable[[str], None], every_s: float = 5.0) -> Callable[[str], None]:
    """`tell` for sentences that come by the thousand: none in the first seconds, then one every few."""
    told_at = time.perf_counter()

    def tell_seldom(sentence: str) -> None:
        nonlocal told_at
        if time.perf_counter() - told_at > every_s:
            told_at = time.perf_counter()
            log(sentence)

    return tell_seldom


def _judge_labels(
    dataset: Dataset, looked: "ImageStats", copies: "Copies", seed: int, log: Callable[[str], None]
) -> dict[str, NDArray[np.float32]]:
    """Per target, out-of-sample probabilities (n, classes); NaN where a label cannot be judged.

    Raises:
        MissingPartError: torch is not installed.
        TrainingError, RecipeError: the labels are too few, or the images too small, for any network.
    """
    from muslin.data.audit import labels

    readable = looked.sizes[:, 0] > 0
    judged = {}
    for target in dataset.targets:
        mask = labels.examinable(target, dataset.labels[target.name])
        mask &= readable[:, np.newaxis] if mask.ndim == 2 else readable
        theirs = dataset.labels[target.name][mask]
        if len(theirs) and (mask.ndim == 2 or len(np.unique(theirs)) > 1):
            judged[target.name] = mask
    if not judged:
        raise TrainingError(
            f"it needs a target with two classes of {labels.JUDGED_FROM} images or more, or, of several labels a "
            f"image, with a label that {labels.JUDGED_FROM} have and {labels.JUDGED_FROM} have not"
        )
    require_training()
    from muslin.learn.cross_val import cross_val_predict
    from muslin.learn.torch_setup import choose_compute_settings

    targets = tuple(target for target in dataset.targets if target.name in judged)
    quick = recipe_named("quick", validation_fraction=0)
    together = labels.units(len(dataset), copies.edges, dataset.groups)
    spread = labels.strata(targets[0], dataset.labels[targets[0].name])
    any_judged = np.any([mask.any(axis=1) if mask.ndim == 2 else mask for mask in judged.values()], axis=0)
    folds = np.where(any_judged, labels.folds(spread, together, seed=seed), -1)
    small = replace(
        dataset,
        images=PixelImages(looked.copies),
        targets=targets,
        labels={
            target.name: np.where(judged[target.name], dataset.labels[target.name], UNKNOWN)
            for target in targets
        },
    )

    def tell_share(fold: int, progress: "Progress") -> None:
        share = ((progress.epoch - 1) * progress.steps + progress.step) / (progress.epochs * progress.steps)
        log(f"network {fold + 1} of {labels.FOLDS}: {100 * share:.0f} % learned")

    answers = cross_val_predict(
        small, folds, quick, seed=seed, compute=choose_compute_settings(), on_progress=tell_share
    )
    for name, mask in judged.items():
        answers[name][~mask] = np.nan
    return answers


def _audit_folder(folder: Path, data: str | Path | Dataset) -> Path:
    """`folder`, made if need be; refused where it lies among the data or holds something else than an audit."""
    inside = not isinstance(data, Dataset) and os.path.isdir(data)
    if inside and folder.resolve().is_relative_to(Path(str(data)).resolve()):
        raise StorageError(
            f"{folder}: lies among the data, which are never touched. Choose a folder elsewhere."
        )
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial_files(folder)
        others = {path.name for path in folder.iterdir()} - {"audit.html", "clean.csv", "exclude.csv"}
        if others and "audit.json" not in others:
            raise StorageError(f"{folder}: not an empty folder. Choose another place for the audit.")
    return folder


def _write_audit(folder: Path, dataset: Dataset, result: "Audit") -> None:
    from muslin.reporting.report.audit_page import write_page

    parts = np.full(len(dataset), "") if dataset.parts is None else dataset.parts
    names = [(str(part), str(id_)) for part, id_ in zip(parts, dataset.ids, strict=True)]
    leave_out = result.leave_out
    exclusions.write_names(
        folder / "exclude.csv",
        ("part", "id", "why"),
        ((*names[i], "; ".join(why)) for i, why in leave_out.items()),
    )
    clean = (name for i, name in enumerate(names) if i not in leave_out)
    exclusions.write_names(folder / "clean.csv", ("part", "id"), clean)
    write_page(folder / "audit.html", dataset, result)
    content = json.dumps(result.to_dict(), indent=1, ensure_ascii=False)
    write_atomically(
        folder / "audit.json", content.encode(errors="replace") + b"\n"
    )  # last: it says that all is there
