"""Taxonomies that come with muslin: the categories of Shopify and Google for common garment tags."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from muslin.catalogue.taxonomy import Taxonomy
from muslin.data.tables.identifier_names import joined_words
from muslin.errors import DataError
from muslin.messages import Message

SHOP_TAXONOMIES = ("shopify", "google")
"""Their names."""

FILE = Path(__file__).with_name("shop_categories.toml")


@cache
def shop_categories() -> Mapping[str, Any]:
    """The table: per taxonomy its origin and its categories by their ids, and per tag its category in each."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def shop_taxonomy(name: str, classes: Collection[str], language: str | None = None) -> Taxonomy:
    """The categories of a model's classes in one of SHOP_TAXONOMIES, with their ids. A class without one stays so.

    Raises:
        DataError: no class has a category, or the names are asked for in another language than English.
    """
    if language not in (None, "en"):
        raise DataError("taxonomy_language_unknown", path=name, name=str(language), nearest=None, choices=["en"])
    table = shop_categories()
    categories: Mapping[str, str] = table[name]["categories"]
    tags = {joined_words(tag): found[name] for tag, found in table["tags"].items() if name in found}
    names: dict[str, str] = {}
    parents: dict[str, str] = {}
    ids: dict[str, str] = {}
    for label in classes:
        category = next((tags[form] for form in _forms(joined_words(label)) if form in tags), None)
        if category is None:
            continue
        *above, names[label] = categories[category].split(" > ")
        ids[label] = category
        child = label
        for end in range(len(above), 0, -1):
            parent = " > ".join(above[:end])
            parents[child], names[parent], child = parent, above[end - 1], parent
    if not ids:
        raise DataError("taxonomy_fits_no_class", taxonomy=name, classes=list(classes)[:10])
    missing = [label for label in classes if label not in ids]
    notes = [Message("classes_not_in_taxonomy", names=missing)] if missing else []
    return Taxonomy(names, parents, "en", tuple(notes), ids)


def _forms(word: str) -> Iterator[str]:
    """A word as it is, and as singular or plural."""
    yield word
    yield from (f"{word}s", f"{word}es", word.removesuffix("s"), word.removesuffix("es"))
