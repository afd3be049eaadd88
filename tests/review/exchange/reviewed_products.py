"""Products of a small shop, some of them decided, as a store gives them."""

import json
from dataclasses import replace

from muslin.data.dataset import Target
from muslin.review.values import Decided, Item

TYPE = Target("type", ("bag", "coat", "not sure"))
COLOURS = Target("main colours", ("black", "red & white", "grün"), "multilabel")
TARGETS = (TYPE, COLOURS)

CASES: tuple[tuple[str, str | None, str], ...] = (
    ("value", "coat", 'seam <torn> & "sold"\n2 lines'),
    ("value", "not sure", ""),
    ("not_sure", None, ""),
    ("not_ours", None, "a tea cup"),
)
COLOUR_CASES: tuple[tuple[str, str | None, str], ...] = (
    ("value", '["black", "grün"]', ""),
    ("value", "[]", "as if of glass"),
    ("not_sure", None, "dim"),
    ("value", '["red & white"]', ""),
)


def undecided(number: int, target: Target, photos: int = 1) -> Item:
    names = tuple(f"photos/{number}-{side}.jpg" for side in range(photos))
    value = target.classes[number % 3]
    predicted = value if target.kind == "multiclass" else json.dumps([value], ensure_ascii=False)
    facts = {"text": f"{number} wool", "fingerprint": f"f{number}", "digest": "d" * 64}
    return Item(
        number, f"SKU {number}", target.name, names, **facts, value=predicted, probability=0.25 + number / 16,
        decision="review", candidates=(value,), drawn="uncertain",
    )  # fmt: skip


def decided(item: Item, kind: str, value: str | None, note: str, who: str = "Ada") -> Item:
    at = f"2026-05-01T10:00:{item.product:02}.000000Z"
    shown = {"fingerprint": item.fingerprint, "digest": "e" * 64, "drawn": "uncertain"}
    return replace(item, decided=Decided(7, item.product, item.target, kind, value, note, who, at, **shown))


def products(targets: tuple[Target, ...] = TARGETS, photos: int = 1) -> list[list[Item]]:
    """One product for each case, and a last one that nobody has decided."""
    rows = []
    for number, (case, colour_case) in enumerate(zip(CASES, COLOUR_CASES, strict=True), 1):
        cases = {TYPE.name: case, COLOURS.name: colour_case}
        rows.append([decided(undecided(number, target, photos), *cases[target.name]) for target in targets])
    return [*rows, [undecided(9, target, photos) for target in targets]]


def without_decisions(rows: list[list[Item]]) -> list[list[Item]]:
    return [[replace(item, decided=None) for item in items] for items in rows]
