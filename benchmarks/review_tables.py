"""Rows of the tables of docs/explanation/review-training.md, from the results of `review_loop.py`."""

from collections.abc import Sequence

from guarantee_tables import Result, Table, percent


def review_loop(results: Sequence[Result]) -> Table:
    """Per data set and number of decisions the accuracy and the accepted share of both methods."""
    rows = []
    for result in results:
        for row in result["rows"]:
            cells = []
            for metric in ("accuracy", "accepted"):
                means = row[metric]
                low, high = (f"{100 * end:+.1f}" for end in means["difference_interval"])
                cells += [percent(means["loop"]), percent(means["random"]), f"{low} to {high}"]
            rows.append((_name(result), f"{row['decisions']:,}", *cells))
    of_both = ("loop", "random", "difference")
    return (
        "features",
        "decisions",
        *(f"{metric}, {name}" for metric in ("accuracy", "accepted") for name in of_both),
    ), rows


def review_sealed(results: Sequence[Result]) -> Table:
    """Per data set and number of random decisions, of which half are sealed, the accuracy and the accepted share."""
    rows = [
        (
            result["features"].removesuffix(".npz"),
            f"{row['decisions']:,}",
            percent(row["accuracy"]),
            percent(row["accepted"]),
        )
        for result in results
        for row in result["rows"]
    ]
    return ("features", "decisions", "accuracy", "accepted"), rows


def review_guarantee(results: Sequence[Result]) -> Table:
    """Per data set how often what is accepted after two rounds misses the precision."""
    names = {"future": "future products", "open": "products still open", "naive": "future, if all decisions calibrated"}
    rows = []
    for result in results:
        for row in result["rows"]:
            low, high = (percent(end) for end in row["interval"])
            below = f"{percent(row['below'])} ({low} to {high})"
            means = percent(row["accepted"]), percent(row["precision"])
            rows.append((_name(result), names[row["of"]], percent(result["precision"], 0), *means, below))
    return ("features", "of", "target", "accepted", "mean precision", f"below, of {results[0]['draws']} draws"), rows


def _name(result: Result) -> str:
    return f"{result['features'].removesuffix('.npz')}, sample {percent(result['spot_checks'], 0)}"
