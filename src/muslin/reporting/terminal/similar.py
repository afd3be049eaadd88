"""What an index finds, as tables for the terminal."""

from typing import TYPE_CHECKING, TextIO

from muslin.messages import Message
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import plural

if TYPE_CHECKING:
    from muslin.workflows.similar import BuildResult
    from muslin.workflows.similar_find import Found, SimilarProduct

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
    rule = built.rule
    if rule.precision is None:
        print_lines(console, str(rule.unsupported))
    else:
        print_lines(console, str(_guarantee(rule.precision, rule.said, rule.n_products)))


def print_found(found: "Found", file: TextIO | None = None) -> None:
    """Print the products that are most like a query, and what "the same product" means."""
    console = console_for(file)
    rows = [(p.product, p.photo, f"{p.similarity:.3f}", said(p)) for p in found.products]
    print_table(console, "ffrf", ("product", "photo", "similarity", ""), rows)
    rule = found.rule
    if rule is None:
        return
    if rule.precision is None:
        print_lines(console, "", str(rule.unsupported))
    else:
        print_lines(console, "", str(_guarantee(rule.precision, rule.said, rule.n_products)))


def said(product: "SimilarProduct") -> str:
    """What is said of a product beside a query."""
    return WORDS[product.reason] if product.same else product.decision or "similar"


def _guarantee(precision: float, found: int, products: int) -> Message:
    return Message("same_product_guarantee", precision=precision, found=found, n=products)
