"""What an index finds, as tables for the terminal."""

from typing import TYPE_CHECKING, TextIO

from muslin.messages import Message
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import interval_text, percent, plural

if TYPE_CHECKING:
    from muslin.similarity.same_product import SameProductRule
    from muslin.workflows.similar import BuildResult
    from muslin.workflows.similar_duplicates import Duplicates
    from muslin.workflows.similar_evaluate import RetrievalResult
    from muslin.workflows.similar_find import Found, SimilarProduct

REASONS = {"file": "equal files", "photo": "the same photo, changed"}
"""By the kind of a duplicate."""

PAIRS = 20
"""Duplicates that are printed; the page and the table have all."""

WORDS = {"guarantee": "the same product", "person": "the same, as decided", "file": "the same photo"}
"""By the reason why two products are said to be the same."""


def print_built(built: "BuildResult", file: TextIO | None = None) -> None:
    """Print what an index holds, and what "the same product" can rest on."""
    index = built.index
    parts = [plural(len(index.products), index.source.unit), plural(len(index.photos), "photo")]
    if built.kept:
        parts.append(f"{built.kept:,} kept")
    if built.unreadable:
        parts.append(f"{len(built.unreadable):,} unreadable")
    console = console_for(file)
    print_lines(console, f"wrote {built.out}: {', '.join(parts)}")
    print_lines(console, str(guarantee_text(built.rule)))


def print_found(found: "Found", file: TextIO | None = None) -> None:
    """Print the products that are most like a query, and what "the same product" means."""
    console = console_for(file)
    if not found.products:
        print_lines(console, f"no other product than {found.query} is in the index")
        return
    rows = [(p.product, p.photo, f"{p.similarity:.3f}", said(p)) for p in found.products]
    print_table(console, "ffrf", ("product", "photo", "similarity", ""), rows)
    if found.rule is not None:
        print_lines(console, "", str(guarantee_text(found.rule)))


def print_recall(result: "RetrievalResult", file: TextIO | None = None) -> None:
    """Print how often products are found again."""
    console = console_for(file)
    queries, products = plural(result.queries, "photo"), plural(result.products, "product")
    print_lines(console, f"{result.protocol}: {queries} of {products}, looked up among {result.gallery:,}")
    rows = [(f"Recall@{row.k}", percent(row.value), interval_text(row.interval)) for row in result.recall]
    print_table(console, "lrr", ("", "", "95 % interval"), rows)
    learned = plural(result.learned_from, "photo")
    if result.learned_from:
        print_lines(console, f"features of {result.network}, with a projection learned from {learned} of products")
    else:
        print_lines(console, f"features of {result.network}; learning from products did not pay")


def said(product: "SimilarProduct") -> str:
    """What is said of a product beside a query."""
    return WORDS[product.reason] if product.same else product.decision or "similar"


def guarantee_text(rule: "SameProductRule") -> Message:
    """What "the same product" means, or why it is never said."""
    if rule.precision is None:
        assert rule.unsupported is not None
        return rule.unsupported
    return Message("same_product_guarantee", precision=rule.precision, found=rule.said, n=rule.n_products)


def print_duplicates(duplicates: "Duplicates", file: TextIO | None = None) -> None:
    """Print how many products are listed twice, and the first pairs."""
    console, found = console_for(file), duplicates.to_dict()
    unit = duplicates.index.source.unit
    counted = f"{plural(found['products'], unit)}: {plural(len(found['groups']), 'group')} of duplicates"
    print_lines(
        console, counted + (f", {plural(found['decided'], 'decided pair')} left out" if found["decided"] else "")
    )
    rows = list(duplicates.rows())
    if rows:
        cells = ((a, b, why, agreement) for _, a, b, _, _, why, _, agreement, _ in rows[:PAIRS])
        print_table(console, "fffr", ("product", "product", "why", "agreement"), cells)
    if len(rows) > PAIRS:
        print_lines(console, f"and {plural(len(rows) - PAIRS, 'more pair')}")
    print_lines(console, *map(str, duplicates.notes))
