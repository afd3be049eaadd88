"""The ladder: per rung of test accuracy the recipe that reaches it soonest, in articles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]

ENOUGH_SEEDS = 5
"""A rung is reached by the median of at least as many."""

RUNGS = (
    (0.909, "the article after its 50 epochs", (1 / 120, 1 / 200)),
    (0.93, "HOG and an SVM reach 92.6 %", (1 / 40,)),
    (0.94, "", (1 / 6, 1 / 10)),
    (0.95, "no known record", (1, 1 / 2)),
    (0.955, "ResNet-20 with random erasing, on GPUs: 95.55 %", (3,)),
    (0.96, "Wide ResNets, on GPUs", (15,)),
)
"""Test accuracy on Fashion-MNIST, what is known about it, and the goals: training time in articles, the second once the
first is reached."""


@dataclass(frozen=True)
class Climb:
    """What a kept series of a recipe reached: medians over its seeds."""

    recipe: str
    accuracy: float
    train_s: float
    articles: float
    seeds: int

    @classmethod
    def of(cls, result: Result, article_s: float) -> "Climb":
        """Its own article where it was timed in the same session, else `article_s`."""
        median = result["median"]
        articles = median.get("articles", median["train_s"] / article_s)
        return cls(result["recipe"], median["test_accuracy"], median["train_s"], articles, len(result["runs"]))


def ladder_rows(results: Sequence[Result]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows; a rung that no series of enough seeds reaches names the series that came nearest."""
    article_s = next(result["article_s"] for result in results if "article_s" in result)
    climbs = [Climb.of(result, article_s) for result in results if "recipe" in result]
    rows = []
    for accuracy, known, goals in RUNGS:
        there = [each for each in climbs if each.accuracy >= accuracy and each.seeds >= ENOUGH_SEEDS]
        shown = min(there, key=lambda each: each.articles) if there else max(climbs, key=lambda each: each.accuracy)
        rows.append(
            (
                f"{100 * accuracy:g} %",
                known,
                f"`{shown.recipe}`" if there else f"missed; the best is `{shown.recipe}`",
                f"{100 * shown.accuracy:.2f} %",
                str(shown.seeds),
                f"{shown.train_s:.0f}",
                in_articles(shown.articles),
                ", ".join(f"{in_articles(goal)} {_met(shown, goal) if there else 'missed'}" for goal in goals),
            )
        )
    head = ("test accuracy", "known", "recipe", "its accuracy", "seeds", "training, s", "articles", "goals")
    return head, rows


def _met(climb: Climb, goal: float) -> str:
    return "reached" if climb.articles <= goal else "missed"


def in_articles(articles: float) -> str:
    """0.01 as `1/100`, 0.28 as `1/3.6`, 1.5 as `1.5`."""
    if articles >= 0.67:
        return f"{articles:.2g}"
    return f"1/{1 / articles:.0f}" if articles < 0.1 else f"1/{1 / articles:.2g}"
