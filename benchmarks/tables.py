"""Write the tables and plots of docs/explanation from the newest results, so that nobody types a number.

    python benchmarks/tables.py            # from the newest result of each benchmark
    python benchmarks/tables.py --check    # write nothing; exit 1 where a table or plot differs from its results

A table is between `<!-- NAME -->` and `<!-- /NAME -->` in one of PAGES, where NAME is a row of TABLES, and links its
results. --check makes it again from these, so that a newer result alone does not make it stale. The plot of a table,
if there is one, is docs/images/NAME.svg, from the same results.
"""

import json
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import guarantee_tables
import ladder_table
import review_tables
import server_tables
import similar_tables
import statistics_tables
import step_tables
import time_plot
from growth_plot import AXES, TOLD, along, image, rounded, signed, slope

from muslin.learn.recipes import LADDER, RECIPES

HERE = Path(__file__).resolve().parent
PAGES = (
    *(
        HERE.parent / "docs/explanation" / name
        for name in ("speed.md", "selective-prediction.md", "review-loop.md", "review-training.md", "serving.md")
    ),
    HERE.parent / "docs/how-to/similar.md",
)
IMAGES = HERE.parent / "docs/images"
Result = dict[str, Any]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: python benchmarks/tables.py [--check]", file=sys.stderr)
        return 2
    texts = {}
    for file in PAGES:
        page = fill_tables(file.read_text(encoding="utf-8"), HERE / "results", newest=not arguments)
        texts |= {file: page, **{IMAGES / name: svg for name, svg in plots(page, HERE / "results").items()}}
    stale = [file for file, text in texts.items() if not file.exists() or file.read_text("utf-8") != text]
    for file in stale:
        if arguments:
            print(f"{file.relative_to(HERE.parent)}: differs from its results.", file=sys.stderr)
        else:
            file.write_text(texts[file], encoding="utf-8")
            print(f"wrote {file.relative_to(HERE.parent)}")
    if arguments and stale:
        print("Run: python benchmarks/tables.py", file=sys.stderr)
        return 1
    return 0


def fill_tables(page: str, results: Path, *, newest: bool) -> str:
    """`page` with each table made from the newest results in the folder, or from those that it links."""
    for name, table in TABLES.items():
        for block, linked in table_blocks(page, name):
            files = matching_results(results, table) if newest else [results / each for each in linked]
            if files:
                content = load_results(files)
                sources = [describe_source(file, each) for file, each in zip(files, content, strict=True)]
                lines = [f"<!-- {name} -->", *table.make(content), "", *sources, f"<!-- /{name} -->"]
                page = page.replace(block, "\n".join(lines))
    return page


def plots(page: str, results: Path) -> dict[str, str]:
    """The plots by file name, each from the results that its table links."""
    return {
        f"{name}.svg": table.plot(load_results([results / each for each in linked]))
        for name, table in TABLES.items()
        for _, linked in table_blocks(page, name)
        if table.plot and linked
    }


def table_blocks(page: str, name: str) -> list[tuple[str, list[str]]]:
    """Each occurrence of the table, with its markers, and the names of the results that it links."""
    matches = re.findall(rf"<!-- {name} -->\n.*?<!-- /{name} -->", page, re.DOTALL)
    return [(block, re.findall(r"benchmarks/results/([^)]+\.json)", block)) for block in matches]


def load_results(files: Sequence[Path]) -> list[Result]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def matching_results(results: Path, table: "Table") -> list[Path]:
    """The newest result of each kind whose name matches, or all; a name ends with the time."""
    files = [file for pattern in table.patterns for file in sorted(results.glob(pattern))]
    newest = files if table.every else list({file.stem.rsplit("_", 1)[0]: file for file in files}.values())
    pattern, name = table.series or ("", "")
    return [
        *newest,
        *(file for file in sorted(results.glob(pattern) if pattern else ()) if name in load_results([file])[0]),
    ]


def describe_source(file: Path, result: Result) -> str:
    """Where a number comes from: the command, the machine, its load, the date."""
    machine = result["machine"]
    load = result.get("load_before")
    load = load[0] if isinstance(load, list) else load
    hardware = f"{machine.get('processor') or machine.get('cpu')}, {machine['cores']} cores"
    before = "" if load is None else f", load {load:.1f} before it began"
    note = result["note"].rstrip(".")
    note = f" {note[0].upper()}{note[1:]}." if note else ""
    link = f"[result](../../benchmarks/results/{file.name})"
    made = f"`{result['command']}`, {result['date'][:10]} at {result['commit'][:7]}"
    return f"- {made}; {hardware}{before}.{note} {link}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; all columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]


def median_and_range(values: dict[str, float], digits: int = 2) -> str:
    return f"{values['median']:.{digits}f} ({values['min']:.{digits}f}–{values['max']:.{digits}f})"


def training_step_keras(results: list[Result]) -> list[str]:
    (result,) = results
    wall, processor = result["epoch_s"], result["epoch_cpu_s"]
    names = {"keras": f"Keras {result['keras_versions']['keras']} on TensorFlow", "muslin": "muslin"}
    rows = [(name, f"{wall[way]:.1f}", f"{processor[way]:.1f}") for way, name in names.items()]
    rows.append(
        ("**Keras / muslin**", f"**{median_and_range(result['ratio'])}**", median_and_range(result["ratio_cpu"]))
    )
    return markdown_table((f"an epoch of {result['images']:,} images", "s", "processor s"), rows)


def training_step(results: list[Result]) -> list[str]:
    (result,) = results
    rows = [
        (name, f"{row['wall_ms']:.1f}", f"{row['ratio']:.2f} ({row['min']:.2f}–{row['max']:.2f})")
        for name, row in result["table"].items()
    ]
    return markdown_table(("a training step", "ms", "× as shipped"), rows)


def arithmetic_rate(results: list[Result]) -> list[str]:
    (result,) = results
    rows = []
    for name in dict.fromkeys(run["recipe"] for run in result["runs"]):
        ours = [run for run in result["runs"] if run["recipe"] == name]
        cells = [summary([run[key] for run in ours], 0) for key in ("step_ms", "gflops", "product_gflops")]
        shares = summary([100 * run["share"] for run in ours], 0)
        rows.append((f"`{name}`", f"{ours[0]['step_gflop']:.1f}", *cells, f"{shares} %"))
    head = ("recipe", "GFLOP a step", "a step, ms", "GFLOP/s", "matrix product, GFLOP/s", "share")
    return markdown_table(head, rows)


def recipes(results: list[Result]) -> list[str]:
    rows = []
    for result in results:
        cells = [
            median_and_range({which: result[which][key] for which in ("median", "min", "max")}, digits)
            for key, digits in (("train_s", 1), ("whole_s", 1), ("cpu_s", 0), ("test_accuracy", 4))
        ]
        rows.append((f"`{result['recipe']}`", *cells, str(len(result["runs"]))))
    head = ("recipe", "training, s", "whole command, s", "processor, s", "test accuracy", "seeds")
    return markdown_table(head, rows)


def read_csv(results: list[Result]) -> list[str]:
    (result,) = results
    rows = [
        (
            name,
            median_and_range(row["wall_s"]),
            f"{row['processor_s']['median']:.2f}",
            f"{row['peak_mb']['median']:.0f}",
        )
        for name, row in result["readers"].items()
    ]
    return markdown_table((f"{result['csv_mb']:.0f} MB of CSV read by", "s", "processor s", "peak MB"), rows)


def summary(values: Sequence[float], digits: int = 2) -> str:
    return median_and_range({"median": statistics.median(values), "min": min(values), "max": max(values)}, digits)


def serving(results: list[Result]) -> list[str]:
    (result,) = results
    runs = result["runs"]
    sizes = [name for name in runs[0] if name.startswith("batch_")]
    columns = [(threads, size) for threads in result["threads"] for size in sizes]
    rows = []
    for way in dict.fromkeys(run["way"] for run in runs):
        ours = [run for run in runs if run["way"] == way]
        cells = [
            summary([run[size]["images_per_s"] for run in ours if run["threads"] == threads], 0)
            for threads, size in columns
        ]
        rows.append((way, *cells, summary([run["first_s"] for run in ours])))
    named = [f"{threads} thread{'s' * (threads > 1)}, {size.replace('_', ' of ')}" for threads, size in columns]
    return markdown_table(("images a second", *named, "first prediction after, s"), rows)


def cold(results: list[Result]) -> list[str]:
    (result,) = results
    rows = [(f"`{name}`", summary(seconds)) for name, seconds in result["cold_s"].items()]
    return markdown_table(("a fresh process, from start to end", "s"), rows)


def int8(results: list[Result]) -> list[str]:
    """Ratios within a round: by the clock with minimum and maximum, then by processor time."""
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
                clock = summary([mine["images_per_s"] / other["images_per_s"] for mine, other in turns])
                processor = statistics.median(o["processor_us"] / m["processor_us"] for m, o in turns)
                cells.append("" if way == "float32" else f"{clock}; {processor:.2f}")
            evaluation = result["accuracy"][way]
            low, high = evaluation["interval"]
            difference = f"{100 * evaluation['difference']:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
            same = f"{100 * evaluation['same_prediction']:.1f} %"
            named = f"{result['network']}, {way}" + (f", {threads} threads" if threads > 1 else "")
            accuracy = f"{100 * evaluation['accuracy']:.2f} %"
            rows.append((named, *cells, accuracy, *(("", "") if way == "float32" else (difference, same))))
    head = ["network"]
    for size in sizes:
        head += [f"images a second, batch of {size}", "× float32; processor"]
    return markdown_table([*head, "accuracy", "against float32, points", "same prediction"], rows)


def clothing_small(results: list[Result]) -> list[str]:
    """A row per method and number of threads: its seeds of all results, each as the newest result has it."""
    found: dict[tuple[str, int], dict[int, Result]] = {}
    for result in sorted(results, key=lambda result: result["date"]):
        given = re.search(r"--threads (\d+)", result["command"])
        for row in result["rows"]:
            # --threads are those of muslin's recipes; without it, and for the others, one a core
            threads = int(given[1]) if given and row["method"] in RECIPES else result["machine"]["cores"]
            found.setdefault((row["method"], threads), {})[row["seed"]] = row
    several = len({threads for _, threads in found}) > 1
    lines = []
    for (method, threads), seeds in found.items():
        rows = seeds.values()
        accuracy = [100 * row["accuracy"] for row in rows]
        seconds = [summary([row[name] for row in rows], 0) for name in ("train_s", "cpu_s")]
        name = f"`{method}`, {threads} thread{'s' * (threads > 1)}" if several else f"`{method}`"
        lines.append((name, f"{summary(accuracy, 1)} %", *seconds, str(len(rows))))
    return markdown_table(("method", "accuracy on 713 photos", "training, s", "processor, s", "seeds"), lines)


def recipe_variants(results: list[Result]) -> list[str]:
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
    head = ("settings", "accuracy", "accepted at 99 %", "training accuracy", "processor s", "seeds")
    return markdown_table(head, sorted(rows))


def growth(results: list[Result]) -> list[str]:
    """The plot, and per axis its points and then the slope between the last two."""
    (result,) = results
    measures = {
        "read_s": "reading, s",
        "epoch_s": "an epoch, s",
        "prediction_s": "predicting, s",
        "read_mb": "MB after reading",
        "peak_mb": "peak MB",
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
    return [drawn, "", *markdown_table(("what grows", *measures.values()), rows)]


def time_to_accuracy(results: list[Result]) -> list[str]:
    drawn = "![Accuracy against time of training](../images/time_to_accuracy.svg)"
    return [drawn, "", *markdown_table(*time_plot.time_to_accuracy(results))]


def photo_heads(results: list[Result]) -> list[str]:
    (result,) = results
    first, *others = result["rows"]
    gains = [""] + [f"{row['gain']:+.2f} ± {row['standard_error']:.2f}" for row in others]
    rows = [
        (row["way"], f"{100 * row['accuracy']:.2f} %", gain) for row, gain in zip((first, *others), gains, strict=True)
    ]
    return markdown_table(("head", "accuracy", "against the first, points"), rows)


def growth_image(results: list[Result]) -> str:
    (result,) = results
    return image(result)


def from_rows(rows: Callable[[Sequence[Result]], guarantee_tables.Table]) -> Callable[[list[Result]], list[str]]:
    return lambda results: markdown_table(*rows(results))


@dataclass(frozen=True)
class Table:
    """A table, and the plot beside it if there is one, from results.

    Attributes:
        patterns: of the names of the results.
        every: use all of them, not only the newest of each kind.
        series: pattern of the names of results of which all are used that have a value by this name.
    """

    make: Callable[[list[Result]], list[str]]
    patterns: tuple[str, ...]
    every: bool = False
    series: tuple[str, str] | None = None
    plot: Callable[[list[Result]], str] | None = None


TABLES = {
    "training_step_keras": Table(training_step_keras, ("training_step_keras_*.json",)),
    "training_step": Table(training_step, ("training_step_quick_*.json",)),
    "step_parts": Table(from_rows(step_tables.step_parts), ("step_parts_*.json",)),
    "step_profile": Table(from_rows(step_tables.step_profile), ("step_profile_*.json",)),
    "data_parallel": Table(from_rows(step_tables.data_parallel), ("data_parallel_*.json",)),
    "arithmetic_rate": Table(arithmetic_rate, ("arithmetic_rate_*.json",)),
    "time_to_accuracy": Table(
        time_to_accuracy,
        ("time_to_accuracy_*.json", "keras_article_*.json", *(f"recipes_{name}_*.json" for name in LADDER)),
        series=("keras_accuracy_*.json", "epochs"),
        plot=time_plot.image,
    ),
    "ladder": Table(from_rows(ladder_table.ladder_rows), ("recipes_*.json", "keras_article_*.json")),
    "recipes": Table(recipes, ("recipes_*.json",)),
    "clothing_small": Table(clothing_small, ("clothing_small_*.json",), every=True),
    "clothing_two_classes": Table(clothing_small, ("clothing_two_classes_*.json",), every=True),
    "photo_heads": Table(photo_heads, ("photo_heads_*.json",)),
    "recipe_variants": Table(recipe_variants, ("recipe_variants_*.json",), every=True),
    "serving": Table(serving, ("serving_*.json",)),
    "cold": Table(cold, ("serving_*.json",)),
    "http_servers": Table(from_rows(server_tables.http_servers), ("http_servers_*.json",)),
    "int8": Table(int8, ("int8_*.json",)),
    "read_csv": Table(read_csv, ("read_csv_*.json",)),
    "growth": Table(growth, ("growth_*.json",), plot=growth_image),
    "cross_fitting": Table(
        from_rows(guarantee_tables.cross_fitting), ("cross_fitting_linear_*.json", "cross_fitting_networks_*.json")
    ),
    "plain_bound": Table(from_rows(guarantee_tables.plain_bound), ("plain_bound_*.json",), every=True),
    "few_photos": Table(from_rows(guarantee_tables.few_photos), ("few_photos_*.json",)),
    "grouped_guarantee": Table(from_rows(guarantee_tables.grouped_guarantee), ("grouped_guarantee_*.json",)),
    "clothing_guarantee": Table(from_rows(guarantee_tables.clothing_guarantee), ("clothing_guarantee_*.json",)),
    "texture_groups": Table(from_rows(guarantee_tables.texture_groups), ("texture_groups_*.json",)),
    "spot_check_bound": Table(from_rows(statistics_tables.spot_check_bound), ("spot_check_bound_*.json",)),
    "shift_alarms": Table(
        from_rows(statistics_tables.shift_alarms), ("shift_alarms_photos_*.json", "shift_alarms_pixels_*.json")
    ),
    "label_forecast": Table(
        from_rows(statistics_tables.label_forecast), ("label_forecast_photos_*.json", "label_forecast_pixels_*.json")
    ),
    "similar_recall": Table(from_rows(similar_tables.similar_recall), ("similar_2*.json",)),
    "similar_guarantee": Table(from_rows(similar_tables.similar_guarantee), ("similar_2*.json",)),
    "similar_duplicates": Table(from_rows(similar_tables.similar_duplicates), ("similar_duplicates_*.json",)),
    "similar_index": Table(from_rows(similar_tables.similar_index), ("similar_index_*.json",)),
    "products": Table(from_rows(guarantee_tables.products), ("products_*.json",)),
    "review_loop": Table(from_rows(review_tables.review_loop), ("review_loop_*.json",)),
    "review_sealed": Table(from_rows(review_tables.review_sealed), ("review_sealed_*.json",)),
    "review_guarantee": Table(from_rows(review_tables.review_guarantee), ("review_guarantee_*.json",)),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
