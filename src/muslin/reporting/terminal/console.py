"""Tables for the terminal: what a data set holds, what an evaluation says, what was predicted.

With colour on a terminal, plain text in a pipe; readable at 80 columns. Names are shown as they are, never
taken for markup, and characters that would steer a terminal are replaced.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from muslin.data.dataset import PARTS, UNKNOWN, Dataset
from muslin.data.photos import PhotoImages
from muslin.evaluation import AnyEvaluation, Interval, MultilabelEvaluation
from muslin.reporting.data_preview import first_shape, photos_in
from muslin.reporting.image_grids import counts_of
from muslin.text import counted, interval_text, percent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

BAR_COLUMNS = 22
PAIRS_SHOWN = 5
CLASSES_SHOWN = 250


def print_dataset(dataset: Dataset, target: str | None = None, file: TextIO | None = None) -> None:
    """Name, size, format, origin, repairs, and images per class and part; of several targets a row each.

    Raises:
        DataError: `target` is no target of the data set.
    """
    console = console_for(file)
    shape, photos = first_shape(dataset), photos_in(dataset)
    height, width, channels = shape or (0, 0, 0)
    kind = {1: "gray", 3: "colour"}.get(channels, "")
    size = f", the first {width}×{height} px {kind}" if shape else ""
    console.print(
        f"{printable(dataset.name)}: {counted(len(dataset), 'image')}{size}, format {dataset.format}"
    )
    console.print(_detected(dataset), soft_wrap=True)
    for sentence in (dataset.origin, *dataset.fixes, photos.sentence() if photos else ""):
        if sentence:
            console.print(printable(sentence), soft_wrap=True)
    if not dataset.targets:
        console.print("no labels")
        return
    if target is None and len(dataset.targets) > 1:
        _print_targets(dataset, console)
        return
    asked = dataset.target(target)
    labels = dataset.labels[asked.name]
    if dataset.parts is None:
        columns = {"images": np.ones(len(dataset), dtype=bool)}
    else:
        columns = {part: dataset.parts == part for part in PARTS if (dataset.parts == part).any()}
    counts = {name: counts_of(labels[part], len(asked.classes)) for name, part in columns.items()}
    totals = counts_of(labels, len(asked.classes))
    shown = np.sort(np.argsort(-totals, kind="stable")[:CLASSES_SHOWN])  # all, unless there are very many
    rows = [
        (printable(asked.classes[i]), [int(c[i]) for c in counts.values()], int(totals[i])) for i in shown
    ]
    unknown = (labels == UNKNOWN).any(axis=1) if labels.ndim == 2 else labels == UNKNOWN
    if unknown.any():
        rows.append(("(unknown)", [int((unknown & p).sum()) for p in columns.values()], int(unknown.sum())))
    most = max((total for _, _, total in rows), default=0) or 1
    several = " (several an image)" if asked.kind == "multilabel" else ""
    console.print(
        f"\n{printable(asked.name)}: {counted(len(asked.classes), 'class', 'classes')}{several}", style="bold"
    )
    table = plain_table()
    table.add_column("class", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for name, numbers, total in rows:
        table.add_row(name, *(f"{number:,}" for number in numbers), _bar(total / most, console))
    console.print(table)
    if len(shown) < len(asked.classes):
        console.print(f"the {len(shown):,} most frequent; --json has all")


def _detected(dataset: Dataset) -> str:
    """`detected: folders, 3 parts, 10 classes, 3,781 photos`."""
    said = [dataset.format]
    if dataset.parts is not None:
        said.append(counted(sum((dataset.parts == part).any() for part in PARTS), "part"))
    if len(dataset.targets) == 1:
        said.append(counted(len(dataset.targets[0].classes), "class", "classes"))
    elif dataset.targets:
        said.append(f"{len(dataset.targets)} possible targets")
    noun = "photo" if isinstance(dataset.images, PhotoImages) else "image"
    return "detected: " + ", ".join([*said, counted(len(dataset), noun)])


def _print_targets(dataset: Dataset, console: "Console") -> None:
    """A row per target, where there are several."""
    console.print(f"\n{len(dataset.targets)} possible targets (--target NAME shows one)", style="bold")
    table = plain_table()
    table.add_column("target", overflow="fold")
    table.add_column("classes", justify="right", no_wrap=True)
    table.add_column("unknown", justify="right", no_wrap=True)
    table.add_column("the most frequent", overflow="fold")
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        unknown = (labels == UNKNOWN).any(axis=1) if labels.ndim == 2 else labels == UNKNOWN
        counts = counts_of(labels, len(target.classes))
        frequent = [
            f"{printable(target.classes[i])} {counts[i]:,}" for i in np.argsort(-counts, kind="stable")[:3]
        ]
        name = printable(target.name) + (" (several an image)" if target.kind == "multilabel" else "")
        table.add_row(name, f"{len(target.classes):,}", f"{int(unknown.sum()):,}", ", ".join(frequent))
    console.print(table)


def print_evaluation(evaluation: AnyEvaluation, title: str = "", file: TextIO | None = None) -> None:
    """The figures with their 95 % intervals, per class, and the most confused pairs."""
    console = console_for(file)
    if title:
        console.print(printable(title))
    if isinstance(evaluation, MultilabelEvaluation):
        _print_multilabel(evaluation, console)
        return
    console.print(
        f"right on {evaluation.right:,} of {evaluation.n:,}: {percent(evaluation.accuracy)} "
        f"({interval_text(evaluation.accuracy_interval)} with 95 % confidence)"
    )
    console.print(
        f"log loss {evaluation.log_loss:.3f}, Brier score {evaluation.brier_score:.3f}, "
        f"calibration error {percent(evaluation.expected_calibration_error)}"
    )
    if evaluation.n_unknown:
        console.print(f"{counted(evaluation.n_unknown, 'image')} without a known class left out")
    if two := evaluation.binary:
        area = "–" if two.roc_area is None else percent(two.roc_area)
        console.print(
            f"{printable(two.positive)} from a probability of {two.threshold:.2f} on; "
            f"area under the ROC curve {area} ({interval_text(two.roc_area_interval)})"
        )
    console.print("\nper class, in %, with 95 % intervals", style="bold")
    table = plain_table()
    table.add_column("class", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("recall", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    table.add_column("F1", justify="right", no_wrap=True)
    for figures in evaluation.per_class:
        table.add_row(
            printable(figures.name),
            f"{figures.support:,}",
            _share(figures.recall, figures.recall_interval),
            _share(figures.precision, figures.precision_interval),
            "–" if figures.f1 is None else f"{100 * figures.f1:.1f}",
        )
    table.add_section()
    for name, means in (("mean of classes", evaluation.macro), ("weighted mean", evaluation.weighted)):
        shares = (means.recall, means.precision, means.f1)
        table.add_row(name, "", *(f"{100 * share:5.1f}" for share in shares))
    console.print(table)
    if not evaluation.confused_pairs:
        console.print("\nno mistakes")
        return
    console.print("\nmost confused", style="bold")
    pairs = plain_table()
    pairs.add_column("true", overflow="fold")
    pairs.add_column("taken for", overflow="fold")
    pairs.add_column("times", justify="right", no_wrap=True)
    pairs.add_column("of all", justify="right", no_wrap=True)
    for pair in evaluation.confused_pairs[:PAIRS_SHOWN]:
        true, predicted = (printable(evaluation.classes[i]) for i in (pair.true, pair.predicted))
        pairs.add_row(true, predicted, f"{pair.count:,}", percent(pair.share))
    console.print(pairs)


def _print_multilabel(evaluation: MultilabelEvaluation, console: "Console") -> None:
    console.print(
        f"{evaluation.cells_right:,} of {evaluation.cells:,} known cells right, on {evaluation.n:,} images; "
        f"{percent(evaluation.unknown_share)} of all cells are unknown and left out"
    )
    table = plain_table()
    table.add_column("in %, with 95 % intervals", overflow="fold")
    table.add_column("images", justify="right", no_wrap=True)
    for name in ("recall", "precision", "F1", "average precision"):
        table.add_column(name, overflow="fold")
    table.add_column("from", justify="right", no_wrap=True)
    for name, means in (
        ("all cells (micro)", evaluation.micro),
        ("mean of labels (macro)", evaluation.macro),
    ):
        table.add_row(
            name,
            "",
            _share(means.recall, means.recall_interval),
            _share(means.precision, means.precision_interval),
            _share(means.f1, means.f1_interval),
            _share(means.average_precision, means.average_precision_interval),
            "",
        )
    table.add_section()
    for row in evaluation.per_label:
        table.add_row(
            printable(row.name),
            f"{row.support:,} of {row.known:,}",
            _share(row.recall, row.recall_interval),
            _share(row.precision, row.precision_interval),
            _share(row.f1, row.f1_interval),
            _share(row.average_precision, row.average_precision_interval),
            f"{row.threshold:.2f}",
        )
    console.print(table)


def print_predictions(predictions: Iterable[Mapping[str, Any]], file: TextIO | None = None) -> None:
    """A table of answers, each a mapping as `muslin predict --json` writes it.

    Below it the problems, a line each, and once each what was done to how many images (`notes`).
    """
    console = console_for(file)
    rows = list(predictions)
    targets = list(dict.fromkeys(name for row in rows for name in row["predictions"]))
    answered = [row for row in rows if row["problem"] is None]
    with_lanes = any("decision" in answer for row in answered for answer in row["predictions"].values())
    table = plain_table()
    table.add_column("image", overflow="fold")
    for name in targets:
        table.add_column(printable(name), overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
        table.add_column("runner-up", overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
        if with_lanes:
            table.add_column("decision", no_wrap=True)
    for row in answered:
        cells = [printable(row["image"])]
        for name in targets:
            cells += _answer(row["predictions"][name])
            if with_lanes:
                cells.append(printable(row["predictions"][name].get("decision", "")))
        table.add_row(*cells)
    if answered:
        console.print(table)
    for row in rows:
        if row["problem"] is not None:
            named = row["problem"].startswith(row["image"])
            console.print(
                printable(row["problem"] if named else f"{row['image']}: {row['problem']}"), soft_wrap=True
            )
    notes: dict[str, int] = {}
    for row in rows:
        for note in row.get("notes", ()):
            notes[note] = notes.get(note, 0) + 1
    for note, times in notes.items():
        console.print(f"{counted(times, 'image')}: {printable(note)}", soft_wrap=True)


def _answer(answer: Mapping[str, Any]) -> list[str]:
    if (labels := answer.get("labels")) is not None:
        surest = sorted(labels, key=lambda name: -answer["probabilities"][name])
        named = ", ".join(f"{printable(name)} {percent(answer['probabilities'][name])}" for name in surest)
        return [named or "none", "", "", ""]
    second = answer.get("runner_up")
    return [
        printable(answer["label"]),
        percent(answer["probability"]),
        printable(second) if second else "",
        percent(answer["runner_up_probability"]) if second else "",
    ]


def _share(share: float | None, interval: Interval) -> str:
    """` 66.5 (63.5–69.4)`, in per cent."""
    low, high = (f"{100 * end:.1f}" for end in interval)
    return "    –" if share is None else f"{100 * share:5.1f} ({low}–{high})"


def _bar(share: float, console: "Console") -> str:
    full = "█" if console.encoding.lower().startswith("utf") else "#"
    return full * (max(1, round(share * BAR_COLUMNS)) if share > 0 else 0)


def printable(words: str) -> str:
    """`words` without the characters that would steer a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)


def console_for(file: TextIO | None = None) -> "Console":
    """A rich console that takes nothing for markup, on standard output or on `file`."""
    from rich.console import Console

    return Console(file=file or sys.stdout, markup=False, emoji=False, highlight=False)


def plain_table() -> "Table":
    """An empty table with a line under its headings and no frame."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def print_explanation(found: Mapping[str, Any], file: TextIO | None = None) -> None:
    """What `muslin explain --json` writes, in a few lines per target: the answer, its evidence, the trust tests."""
    console = console_for(file)
    for name, one in found["explained"].items():
        answer, label = found["answers"][name], one["class"]
        share = percent(answer["probabilities"][label])
        asked = f"{name}: {label}" if len(found["explained"]) > 1 else label
        console.print(f"{printable(asked)} {share}", soft_wrap=True)
        for evidence in one["evidence"]:
            if evidence["class"] == label:
                what = "score" if evidence["versus"] is None else f"score above that of {evidence['versus']}"
                console.print(
                    printable(
                        f"  {what} {evidence['score']:.4f}: cells of {evidence['layer']} "
                        f"{evidence['sum'] - evidence['bias']:+.4f}, bias {evidence['bias']:+.4f} "
                        f"({evidence['why'].split(':')[0]})"
                    ),
                    soft_wrap=True,
                )
        for test in (one["trust"] or {}).values():
            if isinstance(test, Mapping):
                console.print(
                    f"  {'passed' if test['passed'] else 'doubtful'}: {printable(test['text'])}",
                    soft_wrap=True,
                )
        if one["problem"]:
            console.print(f"  {printable(one['problem'])}", soft_wrap=True)
    for sentence in (*found["notes"], *found["cannot"]):
        console.print(printable(sentence), soft_wrap=True)
