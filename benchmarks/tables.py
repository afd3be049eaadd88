"""Write the tables and plots of docs/explanation/speed.md from the newest results, so that no figure is typed by hand.

    python benchmarks/tables.py            # the newest result of each benchmark
    python benchmarks/tables.py --check    # write nothing; exit 1 where a table or plot is not what its results say

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`, where NAME is a row of TABLES, and links the results that
it was made from. --check makes it anew from those, so that a newer result alone makes no table wrong. The plot of a
table, where it has one, is docs/images/NAME.svg, from the same results.
"""

import json
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growth_plot import AXES, TOLD, along, image, rounded, signed, slope

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs/explanation/speed.md"
IMAGES = HERE.parent / "docs/images"
Result = dict[str, Any]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: python benchmarks/tables.py [--check]", file=sys.stderr)
        return 2
    page = filled(PAGE.read_text(encoding="utf-8"), HERE / "results", newest=not arguments)
    made = {PAGE: page, **{IMAGES / name: svg for name, svg in plots(page, HERE / "results").items()}}
    wrong = [file for file, text in made.items() if not file.exists() or file.read_text("utf-8") != text]
    for file in wrong:
        if arguments:
            print(f"{file.relative_to(HERE.parent)}: is not what its results say.", file=sys.stderr)
        else:
            file.write_text(made[file], encoding="utf-8")
            print(f"wrote {file.relative_to(HERE.parent)}")
    if arguments and wrong:
        print("Run: python benchmarks/tables.py", file=sys.stderr)
        return 1
    return 0


def filled(page: str, results: Path, *, newest: bool) -> str:
    """`page` with every table made from the newest results in a folder, or from those that it links already."""
    for name, table in TABLES.items():
        for block, linked in blocks(page, name):
            files = fitting(results, table) if newest else [results / each for each in linked]
            if files:
                content = loaded(files)
                sources = [source(file, each) for file, each in zip(files, content, strict=True)]
                lines = [f"<!-- {name} -->", *table.make(content), "", *sources, f"<!-- /{name} -->"]
                page = page.replace(block, "\n".join(lines))
    return page


def plots(page: str, results: Path) -> dict[str, str]:
    """By the name of its file, the plot of every table that has one, from the results that the table links."""
    return {
        f"{name}.svg": table.plot(loaded([results / each for each in linked]))
        for name, table in TABLES.items()
        for _, linked in blocks(page, name)
        if table.plot and linked
    }


def blocks(page: str, name: str) -> list[tuple[str, list[str]]]:
    """Each place of the table, markers included, and the names of the results that it links."""
    found = re.findall(rf"<!-- {name} -->\n.*?<!-- /{name} -->", page, re.DOTALL)
    return [(block, re.findall(r"benchmarks/results/([^)]+\.json)", block)) for block in found]


def loaded(files: Sequence[Path]) -> list[Result]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def fitting(results: Path, table: "Table") -> list[Path]:
    """Of the results whose names fit, the newest of each kind, or all: a name ends in the moment."""
    files = [file for pattern in table.patterns for file in sorted(results.glob(pattern))]
    return files if table.every else list({file.stem.rsplit("_", 1)[0]: file for file in files}.values())


def source(file: Path, result: Result) -> str:
    """Where a figure comes from: the command, the machine, when, and who else used it."""
    machine = result["machine"]
    load = result["load_before"]
    load = load[0] if isinstance(load, list) else load
    said = f"{machine.get('processor') or machine.get('cpu')}, {machine['cores']} cores, load {load:.1f}"
    note = result["note"].rstrip(".")
    note = f" {note[0].upper()}{note[1:]}." if note else ""
    link = f"[result](../../benchmarks/results/{file.name})"
    made = f"`{result['command']}`, {result['date'][:10]} at {result['commit'][:7]}"
    return f"- {made}; {said} before it began.{note} {link}"


def ruled(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown; all columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]


def spread(figures: dict[str, float], digits: int = 2) -> str:
    least = figures.get("least", figures.get("min"))
    most = figures.get("most", figures.get("max"))
    return f"{figures['median']:.{digits}f} ({least:.{digits}f}–{most:.{digits}f})"


def engine_keras(results: list[Result]) -> list[str]:
    (result,) = results
    wall, processor = result["epoch_s"], result["epoch_cpu_s"]
    names = {"keras": f"Keras {result['keras_versions']['keras']} on TensorFlow", "muslin": "muslin"}
    rows = [(name, f"{wall[way]:.1f}", f"{processor[way]:.1f}") for way, name in names.items()]
    rows.append(("**Keras / muslin**", f"**{spread(result['ratio'])}**", spread(result["ratio_cpu"])))
    return ruled((f"an epoch of {result['images']:,} images", "s", "processor s"), rows)


def compute(results: list[Result]) -> list[str]:
    (result,) = results
    rows = [
        (name, f"{row['wall_ms']:.1f}", f"{row['ratio']:.2f} ({row['least']:.2f}–{row['most']:.2f})")
        for name, row in result["table"].items()
    ]
    return ruled(("a training step", "ms", "× as shipped"), rows)


def peak(results: list[Result]) -> list[str]:
    (result,) = results
    rows = []
    for name in dict.fromkeys(run["recipe"] for run in result["runs"]):
        ours = [run for run in result["runs"] if run["recipe"] == name]
        cells = [over([run[figure] for run in ours], 0) for figure in ("step_ms", "gflops", "product_gflops")]
        shares = over([100 * run["share"] for run in ours], 0)
        rows.append((f"`{name}`", f"{ours[0]['step_gflop']:.1f}", *cells, f"{shares} %"))
    head = ("recipe", "GFLOP a step", "a step, ms", "GFLOP/s", "matrix product, GFLOP/s", "share")
    return ruled(head, rows)


def recipes(results: list[Result]) -> list[str]:
    rows = []
    for result in results:
        cells = [
            spread({which: result[which][figure] for which in ("median", "least", "most")}, digits)
            for figure, digits in (("train_s", 1), ("whole_s", 1), ("cpu_s", 0), ("test_accuracy", 4))
        ]
        rows.append((f"`{result['recipe']}`", *cells, str(len(result["runs"]))))
    head = ("recipe", "training, s", "whole command, s", "processor, s", "test accuracy", "seeds")
    return ruled(head, rows)


def read_csv(results: list[Result]) -> list[str]:
    (result,) = results
    rows = [
        (
            name,
            spread(row["wall_s"]),
            f"{row['processor_s']['median']:.2f}",
            f"{row['peak_mb']['median']:.0f}",
        )
        for name, row in result["readers"].items()
    ]
    return ruled((f"{result['csv_mb']:.0f} MB of CSV read by", "s", "processor s", "peak MB"), rows)


def over(values: Sequence[float], digits: int = 2) -> str:
    return spread({"median": statistics.median(values), "least": min(values), "most": max(values)}, digits)


def serving(results: list[Result]) -> list[str]:
    (result,) = results
    runs = result["runs"]
    sizes = [name for name in runs[0] if name.startswith("batch_")]
    columns = [(threads, size) for threads in result["threads"] for size in sizes]
    rows = []
    for way in dict.fromkeys(run["way"] for run in runs):
        ours = [run for run in runs if run["way"] == way]
        cells = [
            over([run[size]["images_per_s"] for run in ours if run["threads"] == threads], 0)
            for threads, size in columns
        ]
        rows.append((way, *cells, over([run["first_s"] for run in ours])))
    named = [
        f"{threads} thread{'s' * (threads > 1)}, {size.replace('_', ' of ')}" for threads, size in columns
    ]
    return ruled(("images a second", *named, "first answer after, s"), rows)


def cold(results: list[Result]) -> list[str]:
    (result,) = results
    rows = [(f"`{name}`", over(seconds)) for name, seconds in result["cold_s"].items()]
    return ruled(("a fresh process, from start to end", "s"), rows)


def int8(results: list[Result]) -> list[str]:
    """Ratios are those of a turn: by the clock with least and most, then by processor time."""
    rows = []
    for result in results:
        runs = {(run["threads"], run["way"], run["batch"], run["round"]): run for run in result["runs"]}
        sizes = sorted({size for _, _, size, _ in runs})
        rounds = sorted({number for *_, number in runs})
        for threads, way in dict.fromkeys((threads, way) for threads, way, *_ in runs):
            cells = []
            for size in sizes:
                ours = [runs[threads, way, size, number] for number in rounds]
                theirs = [runs[threads, "float32", size, number] for number in rounds]
                turns = list(zip(ours, theirs, strict=True))
                cells.append(f"{statistics.median(run['images_per_s'] for run in ours):.0f}")
                clock = over([mine["images_per_s"] / other["images_per_s"] for mine, other in turns])
                processor = statistics.median(o["processor_us"] / m["processor_us"] for m, o in turns)
                cells.append("" if way == "float32" else f"{clock}; {processor:.2f}")
            judged = result["accuracy"][way]
            low, high = judged["interval"]
            gained = f"{100 * judged['difference']:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
            same = f"{100 * judged['same_prediction']:.1f} %"
            named = f"{result['network']}, {way}" + (f", {threads} threads" if threads > 1 else "")
            right = f"{100 * judged['accuracy']:.2f} %"
            rows.append((named, *cells, right, *(("", "") if way == "float32" else (gained, same))))
    head = ["network"]
    for size in sizes:
        head += [f"images a second, batch of {size}", "× float32; processor"]
    return ruled([*head, "right", "against float32, points", "same answer"], rows)


RUNGS = (
    (0.909, "the article after its 50 epochs", 1 / 120),
    (0.926, "HOG and an SVM", 1 / 30),
    (0.94, "", 1 / 6),
    (0.95, "no record known", 1),
    (0.9555, "ResNet-20 with random erasing, on GPUs", 5),
    (0.96, "Wide ResNets, on GPUs", 30),
)
"""Share of Fashion-MNIST's test images, what stands there, and the goal: training time in articles."""


def ladder(results: list[Result]) -> list[str]:
    """Per rung the quickest recipe whose median is there; articles are those of the newest Keras run."""
    article_s = next(result["article_s"] for result in results if "article_s" in result)
    climbed = sorted(
        (result["median"]["train_s"], result["median"]["test_accuracy"], f"`{result['recipe']}`")
        for result in results
        if "recipe" in result
    )
    most = max(climbed, key=lambda each: each[1])
    rows = []
    for accuracy, stands, goal in RUNGS:
        there = [each for each in climbed if each[1] >= accuracy]
        train_s, reached, name = there[0] if there else most
        articles = train_s / article_s
        rows.append(
            (
                f"{100 * accuracy:g} %",
                stands,
                name if there else f"missed; the most is {name}",
                f"{100 * reached:.2f} %",
                f"{train_s:.0f}",
                f"1/{1 / articles:.0f}" if articles < 1 else f"{articles:.1f}",
                f"1/{1 / goal:.0f}" if goal < 1 else f"{goal:g}",
            )
        )
    head = ("rung", "what stands there", "recipe", "reached", "training, s", "articles", "goal")
    return ruled(head, rows)


def clothing_small(results: list[Result]) -> list[str]:
    rows = [row for result in results for row in result["rows"]]
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        ours = [row for row in rows if row["method"] == method]
        right = [100 * row["accuracy"] for row in ours]
        seconds = [over([row[name] for row in ours], 0) for name in ("train_s", "cpu_s")]
        lines.append((f"`{method}`", f"{over(right, 1)} %", *seconds, str(len(ours))))
    return ruled(("method", "of 713 photos right", "training, s", "processor, s", "seeds"), lines)


def tried(results: list[Result]) -> list[str]:
    rows = [
        (
            " ".join([result["recipe"], *(f"{name}={value}" for name, value in result["settings"].items())]),
            f"{100 * median['accuracy']:.2f} %",
            f"{100 * median['accepted_99']:.1f} %",
            f"{100 * median['train_accuracy']:.1f} %",
            f"{median['processor_s']:.0f}",
            str(len(result["runs"])),
        )
        for result in results
        for median in [result["median"]]
    ]
    head = ("what was tried", "right", "accepted at 99 %", "right in training", "processor s", "seeds")
    return ruled(head, sorted(rows))


def growth(results: list[Result]) -> list[str]:
    """The plot, and per axis its points and then the slope between the last two."""
    (result,) = results
    measures = {
        "read_s": "reading, s",
        "epoch_s": "an epoch, s",
        "answer_s": "answering, s",
        "read_mb": "MB after reading",
        "peak_mb": "most MB",
    }
    rows = []
    for axis, name in AXES.items():
        lines = {measure: along(result, axis, measure) for measure in measures if measure in TOLD[axis]}
        rows.append((f"**{name}**", *[""] * len(measures)))
        for place, value in enumerate(result["axes"][axis]):
            cells = [rounded(lines[each][place][1]) if each in lines else "" for each in measures]
            rows.append((f"{value:,.10g}", *cells))
        slopes = [signed(slope(lines[each])) if each in lines else "" for each in measures]
        rows.append(("slope at the end", *slopes))
    drawn = "![Growth of time and memory](../images/growth.svg)"
    return [drawn, "", *ruled(("what grows", *measures.values()), rows)]


def growth_image(results: list[Result]) -> str:
    (result,) = results
    return image(result)


@dataclass(frozen=True)
class Table:
    """Which results a table is made from, by their names; `every` one, or the newest of each kind; how; and how the
    plot beside it, if it has one."""

    make: Callable[[list[Result]], list[str]]
    patterns: tuple[str, ...]
    every: bool = False
    plot: Callable[[list[Result]], str] | None = None


TABLES = {
    "engine_keras": Table(engine_keras, ("engine_keras_*.json",)),
    "engine": Table(compute, ("engine_quick_*.json",)),
    "peak": Table(peak, ("peak_*.json",)),
    "ladder": Table(ladder, ("recipes_*.json", "keras_article_*.json")),
    "recipes": Table(recipes, ("recipes_*.json",)),
    "clothing_small": Table(clothing_small, ("clothing_small_*.json",), every=True),
    "tried": Table(tried, ("tried_*.json",), every=True),
    "serving": Table(serving, ("serving_*.json",)),
    "cold": Table(cold, ("serving_*.json",)),
    "int8": Table(int8, ("int8_*.json",)),
    "read_csv": Table(read_csv, ("read_csv_*.json",)),
    "growth": Table(growth, ("growth_*.json",), plot=growth_image),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
