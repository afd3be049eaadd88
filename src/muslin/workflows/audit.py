"""The audit from end to end, for the command line and for Python.

`data.audit` finds faults, models of `learn` check the labels, `reporting` makes the page.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muslin.data.audit import corrections, exclusions
from muslin.data.dataset import Dataset
from muslin.data.photos import unreadable_by_kind
from muslin.errors import DataError, MissingPartError, RecipeError, StorageError, TrainingError, unknown
from muslin.messages import Log, Message, no_log
from muslin.storage.atomic import remove_partial_files, storage_errors
from muslin.storage.outputs import Output
from muslin.strict_json import json_text
from muslin.workflows import label_check
from muslin.workflows.inputs import Data, check_output, check_photos

if TYPE_CHECKING:
    from muslin.data.audit.checks import AuditContext
    from muslin.data.audit.findings import Audit, Finding

OnProgress = Callable[[str, float], None]
"""Called with the name of a step, and the share of it that is done."""

FOLLOWED = frozenset({"audit_decoded", "audit_compared", "audit_network_trained", "features_extracted"})
"""The messages that say how far a step is, as `share` or as `done` of `n`."""

AUDIT_FILES = ("exclude.csv", "clean.csv", "corrections.csv", "labels.csv", "audit.html", "audit.json")


def audit(
    data: str | Path | Dataset,
    *,
    out: str | Path | Output | None = None,
    test: str | Path | None = None,
    checks: Collection[str] = (),
    seed: int = 0,
    read_options: Mapping[str, Any] | None = None,
    log: Log = no_log,
    on_progress: OnProgress = lambda step, share: None,
) -> "Audit":
    """Find faults in a data set before training on it. The data themselves are never changed.

    Args:
        data: a registered name, a file or a folder, or a Dataset.
        out: a new or empty folder for `audit.html`, `audit.json`, `exclude.csv` (the samples that findings suggest to
            exclude, for `train`'s `exclude`), `clean.csv` (the rest), `corrections.csv` (the labels that can be wrong,
            with a suggestion for those that probably are, for `train`'s `corrections`) and `labels.csv` (the same of
            every checked label, most probably wrong first); as an Output it can be that of an earlier audit, which is
            replaced.
            None writes nothing.
        test: a file with the test set, if `data` holds only the training set.
        checks: the kinds of findings to look for, keys of `muslin.data.audit.findings.KINDS`; all by default.
        seed: of the models that check the labels.
        read_options: how to read the files, as `muslin.read` takes it.
        log: called with a sentence at every step, and every few seconds within the long ones.
        on_progress: called with the name of a step, as in `Audit.seconds`, and the share of it that is done.

    Raises:
        DataError: the data cannot be read, or there is no such kind.
        StorageError: the folder cannot be used, or the disk is full.
    """
    from muslin.data import read_and_log
    from muslin.data.audit.checks import audit_overview
    from muslin.data.audit.findings import KINDS, Audit, ordered

    for kind in checks:
        if kind not in KINDS:
            raise DataError("finding_kind_unknown", **unknown(kind, KINDS))
    files = {} if out is None else _audit_files(Output.of(out), (data, test))
    steps = _Steps(log, on_progress)
    with steps.timed("read"):
        dataset = read_and_log(data, test=test, log=log, **(read_options or {}))
    for file in files.values():
        check_photos(file, dataset)
        with storage_errors(file.path.parent):  # refused before the work, but not before the data are known to be there
            file.path.parent.mkdir(parents=True, exist_ok=True)
    context = _examine(dataset, steps, seed, check_labels=not checks or "suspect_label" in checks)
    findings, skipped = _find(context, checks, steps)
    result = Audit(ordered(findings), audit_overview(context), skipped, steps.seconds, context.label_errors)
    if files:
        with steps.timed("write", Message("audit_writing")):
            _write_audit(files, dataset, result)
    return result


class _Steps:
    """Logs the steps of an audit, takes their time, and says how far they are."""

    def __init__(self, log: Log, on_progress: OnProgress) -> None:
        self.log, self.on_progress = log, on_progress
        self.seconds: dict[str, float] = {}
        self._step, self._log_seldom = "", _rate_limited(log)

    @contextmanager
    def timed(self, name: str, sentence: Message | None = None) -> Iterator[None]:
        if sentence:
            self.log(sentence)
        self._step, started = name, time.perf_counter()
        self.on_progress(name, 0.0)
        yield
        self.seconds[name] = time.perf_counter() - started

    def follow(self, sentence: str) -> None:
        """A Log of what a long step says: how far it is only every few seconds, and at once for `on_progress`."""
        if not isinstance(sentence, Message) or sentence.code not in FOLLOWED:
            return self.log(sentence)
        self._log_seldom(sentence)
        params = sentence.params
        return self.on_progress(self._step, params["share"] if "share" in params else params["done"] / params["n"])


def _examine(dataset: Dataset, steps: _Steps, seed: int, *, check_labels: bool) -> "AuditContext":
    """Decode the images, compare them, and check their labels."""
    from muslin.data.audit.checks import AuditContext
    from muslin.data.audit.duplicates import find_duplicates
    from muslin.data.audit.image_stats import compute_image_stats

    with steps.timed("image_stats", Message("audit_decoding", n=len(dataset))):
        stats = compute_image_stats(dataset.images, steps.follow)
    for message in unreadable_by_kind({str(dataset.ids[i]): reason for i, reason in sorted(stats.errors.items())}):
        steps.log(message)
    with steps.timed("duplicates", Message("audit_comparing")):
        duplicates = find_duplicates(dataset, stats, steps.follow)
    context = AuditContext(dataset, stats, duplicates)
    if check_labels:
        with steps.timed("label_check", Message("audit_checking_labels")):
            try:
                context = label_check.check_labels(context, seed, steps.follow)
            except (MissingPartError, TrainingError, RecipeError) as error:
                context = replace(context, no_probabilities=error.message)
    return context


def _find(context: "AuditContext", checks: Collection[str], steps: _Steps) -> tuple[list["Finding"], dict[str, str]]:
    """The findings of the chosen checks; and per check that was skipped, the reason."""
    from muslin.data.audit.checks import CHECKS

    findings: list[Finding] = []
    skipped: dict[str, str] = {}
    for check in CHECKS:
        if checks and check.kind not in checks:
            continue
        if reason := check.skip(context):
            skipped[check.kind] = reason
            continue
        with steps.timed(check.kind):
            findings += check.find(context)
    return findings, skipped


def _rate_limited(log: Log, every_s: float = 5.0) -> Log:
    """`log` for sentences that come by the thousand: none in the first seconds, then one every few."""
    logged_at = time.perf_counter()

    def log_seldom(sentence: str) -> None:
        nonlocal logged_at
        if time.perf_counter() - logged_at > every_s:
            logged_at = time.perf_counter()
            log(sentence)

    return log_seldom


def _audit_files(output: Output, data: tuple[Data, ...]) -> dict[str, Output]:
    """The files to write, by name. Their folder is refused if it holds something else."""
    folder = output.path
    files = {name: Output(folder / name, output.overwrite) for name in AUDIT_FILES}
    for file in files.values():
        check_output(file, data=data)
    if not os.path.lexists(folder):
        return files
    with storage_errors(folder):
        remove_partial_files(folder)
        names = {path.name for path in folder.iterdir()}
        if "audit.json" not in names and names.difference(AUDIT_FILES):
            raise StorageError("audit_folder_not_empty", path=str(folder))
    return files


def _write_audit(files: Mapping[str, Output], dataset: Dataset, result: "Audit") -> None:
    from muslin.data.audit.labels import SUSPECT, RankedLabel, rank_labels
    from muslin.reporting.report.audit_page import write_audit_page

    parts = np.full(len(dataset), "") if dataset.parts is None else dataset.parts
    names = [(str(part), str(id_)) for part, id_ in zip(parts, dataset.ids, strict=True)]
    excluded = result.exclusions
    suggested = ((*names[i], "; ".join(kinds)) for i, kinds in excluded.items())
    clean = (name for i, name in enumerate(names) if i not in excluded)
    ranked = rank_labels(dataset, result.label_errors)
    suggested_label = {
        (finding.samples[0].index, finding.target, *finding.correction[:1]): finding.correction[1]
        for finding in result.corrections
        if finding.correction
    }

    def label_rows(rows: list[RankedLabel]) -> Iterator[tuple[str, ...]]:
        for row in rows:
            suggested = suggested_label.get((row.sample, row.target, row.label), "")
            yield (*names[row.sample], row.target, row.label, suggested, row.other, f"{row.wrong:.6g}")

    suspects, columns = [row for row in ranked if row.wrong >= SUSPECT], corrections.COLUMNS
    writers: dict[str, Callable[[Output], object]] = {
        "exclude.csv": lambda file: exclusions.write_exclusions(file, ("part", "id", "findings"), suggested),
        "clean.csv": lambda file: exclusions.write_exclusions(file, ("part", "id"), clean),
        "corrections.csv": lambda file: exclusions.write_exclusions(file, columns, label_rows(suspects)),
        "labels.csv": lambda file: exclusions.write_exclusions(file, columns, label_rows(ranked)),
        "audit.html": lambda file: write_audit_page(file, dataset, result),
        # last, because it marks the audit as complete
        "audit.json": lambda file: file.write(json_text(result.to_dict(), indent=1) + "\n"),
    }
    new: list[Path] = []
    try:
        if files["audit.json"].overwrite:  # that of an earlier audit, to which the new files do not belong
            with storage_errors(files["audit.json"].path):
                files["audit.json"].path.unlink(missing_ok=True)
        for name, write in writers.items():
            is_new = not os.path.lexists(files[name].path)
            write(files[name])
            new += [files[name].path] if is_new else []
    except BaseException:  # such as a full disk: else the next attempt would find them in its way
        for path in new:
            path.unlink(missing_ok=True)
        raise
