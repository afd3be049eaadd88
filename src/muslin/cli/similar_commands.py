"""Commands on products that look alike: build an index, find in it, find duplicates, decide on pairs, evaluate."""

from pathlib import Path
from typing import Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_json, stop_on_signals
from muslin.printing import echo, log

count_option = option(
    "-k --count N", "Number of products to show.", type=click.IntRange(1, 1000), default=20, show_default=True
)
precision_option = option(
    "--precision SHARE",
    "Say `the same product` only where at least this share of what is said is correct: 0.5 to below 1. Default: the "
    "highest of 0.99, 0.98, 0.95 and 0.9 that the shop's own products can guarantee.",
    type=float,
)


@command(
    "similar build data",
    shared.output_options("The index to write, such as shop.index.", required=True),
    Group(
        "options",
        option(
            "--model MODEL",
            "A model whose backbone gives the features. Default: EfficientNet-Lite0 with its ImageNet weights.",
        ),
        option("--update", "Go on from the index that is there: compute only what is new or has changed."),
        shared.on_option("Where to compute the features of photos"),
    ),
    shared.read_options,
    shared.json_option,
)
def similar_build_command(
    data: str, output: Any, options: dict[str, Any], read_options: dict[str, Any], as_json: bool
) -> None:
    """Build an index of the photos of DATA.

    DATA is a catalogue, a folder of photos, or whatever else `muslin tag` reads. What people decided stays.
    """
    from muslin.reporting.terminal.progress import tagging_progress
    from muslin.reporting.terminal.similar import print_built
    from muslin.workflows import similar

    shared.refuse_together(update=options["update"], overwrite=output.overwrite)
    executor_of, progress = shared.executor_of(options), tagging_progress("photos")
    with stop_on_signals() as should_stop, executor_of as executor, progress as on_progress:
        build_options = similar.BuildOptions(**options, read_options=read_options, executor=executor)
        built = similar.build(data, output, build_options, log=log, on_progress=on_progress, should_stop=should_stop)
    if as_json:
        print_json(built.to_dict())
    else:
        print_built(built)


@command(
    "similar find index query",
    shared.output_options("Also write a page with the photos to this new HTML file.", suffix=".html"),
    count_option,
    precision_option,
    shared.json_option,
)
def similar_find_command(
    index: str, query: str, output: Any, count: int, precision: float | None, as_json: bool
) -> None:
    """Find the products that are most like QUERY.

    QUERY is a photo, or a product of the index. Says `the same product` only at a guaranteed precision.
    """
    from muslin.reporting.terminal.similar import print_found
    from muslin.similarity.index import open_index
    from muslin.workflows.similar_find import find, write_found

    if output:
        output.check([index, query])
    opened = open_index(Path(index), for_search=True)
    found = find(opened, Path(index), query, count, precision=precision)
    if output:
        write_found(output, opened, found, log)
    if as_json:
        print_json(found.to_dict())
        return
    print_found(found)
    if output:
        echo(f"wrote {output.path}")


@command(
    "similar duplicates index",
    shared.output_options(
        "Also write the duplicates: a page with the photos, or for a name that ends with .csv a table to decide in."
    ),
    shared.json_option,
)
def similar_duplicates_command(index: str, output: Any, as_json: bool) -> None:
    """Find products that are listed twice.

    Two products are duplicates where they show one photo, also if it was cropped, scaled, mirrored or saved again.
    """
    from muslin.reporting.terminal.progress import tagging_progress
    from muslin.reporting.terminal.similar import print_duplicates
    from muslin.similarity.index import open_index
    from muslin.workflows.similar_duplicates import check_suffix, find_duplicates, write_duplicates

    if output:
        check_suffix(output)
        output.check([index])
    opened = open_index(Path(index))
    with stop_on_signals() as should_stop, tagging_progress("pairs") as on_progress:
        found = find_duplicates(opened, log=log, on_progress=on_progress, should_stop=should_stop)
    if output:
        write_duplicates(output, found, log)
    if as_json:
        print_json(found.to_dict())
        return
    print_duplicates(found)
    if output:
        echo(f"wrote {output.path}")


@command("similar decide index table", shared.json_option)
def similar_decide_command(index: str, table: str, as_json: bool) -> None:
    """Take over what a person decided in TABLE.

    TABLE is that of `muslin similar duplicates -o TABLE.csv`, whose column `decision` says `same` or `not the same`.
    """
    from muslin.similarity.index import describe
    from muslin.workflows.similar_decisions import decide, read_decisions

    pairs = read_decisions(Path(table))
    decided = decide(index, pairs)
    if as_json:
        print_json(describe(decided))
    else:
        echo(f"noted {len(pairs):,} decisions in {index}")


@command("similar not-same index a b", shared.json_option)
def similar_not_same_command(index: str, a: str, b: str, as_json: bool) -> None:
    """Note that products A and B are not the same.

    It stays so when the index is built again.
    """
    from muslin.similarity.index import NOT_SAME, describe
    from muslin.workflows.similar_decisions import decide

    decided = decide(index, {(a, b): NOT_SAME})
    if as_json:
        print_json(describe(decided))
    else:
        echo(f"{a} and {b} are not the same, noted in {index}")


@command(
    "similar evaluate data",
    option(
        "--model MODEL",
        "A model whose backbone gives the features. Default: EfficientNet-Lite0 with its ImageNet weights.",
    ),
    shared.read_options,
    shared.json_option,
)
def similar_evaluate_command(data: str, model: str | None, read_options: dict[str, Any], as_json: bool) -> None:
    """Evaluate how often products are found again.

    DATA is DeepFashion's In-shop or Consumer-to-shop set, by its own protocol, or any photos of products. Recall@k is
    the share of photos with one of the same product among the k most similar ones, with 95 % confidence intervals.
    """
    from muslin.reporting.terminal.progress import tagging_progress
    from muslin.reporting.terminal.similar import print_recall
    from muslin.workflows.similar_evaluate import evaluate_retrieval

    with stop_on_signals() as should_stop, tagging_progress("photos") as on_progress:
        result = evaluate_retrieval(
            data, model, read_options=read_options, log=log, on_progress=on_progress, should_stop=should_stop
        )
    if as_json:
        print_json(result.to_dict())
    else:
        print_recall(result)
