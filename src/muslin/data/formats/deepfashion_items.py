"""DeepFashion's In-shop and Consumer-to-shop sets: the products of photos in `Eval/`, categories in the photos' paths.

In-shop lists `img/WOMEN/Dresses/id_00000002/02_1_front.jpg`, its item and `train`, `query` or `gallery`;
Consumer-to-shop a customer's and a shop's photo of one item, `img/CLOTHING/Blouse/id_00000007/comsumer_01.jpg`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from muslin.data.dataset import Dataset, encode_labels
from muslin.data.formats.deepfashion import LISTS, find_list, part_of
from muslin.data.formats.photo_lists import PhotoList, build_dataset, dataset_root, list_rows, select_targets
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import read_head
from muslin.errors import DataError
from muslin.messages import Log, Message, examples, no_log

BOXES = ("list_bbox_inshop.txt", "list_bbox_consumer2shop.txt")

GENDERS = frozenset({"MEN", "WOMEN"})

IN_SHOP, CONSUMER_TO_SHOP = "In-shop", "Consumer-to-shop"


@dataclass(frozen=True)
class RetrievalSets:
    """Names of the photos that are searched, as the protocol of a benchmark has them.

    Attributes:
        protocol: IN_SHOP or CONSUMER_TO_SHOP.
        train: of the products to learn from.
        query, gallery: those that are looked up, and those among which.
    """

    protocol: str
    train: frozenset[str]
    query: frozenset[str]
    gallery: frozenset[str]


def detect(path: Path) -> str | None:
    """Why `path` is one of these sets, or None: a folder whose list of parts has a column of items."""
    file = find_list(path, LISTS["parts"])
    if file is None or b"item_id" not in read_head(file, 1024):
        return None
    return f"DeepFashion's items, with {file.relative_to(dataset_root(path)).as_posix()}"


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The target `category` and, of In-shop, `gender`, which are folders above the product's; the item is the product.

    Each photo is there once, however many pairs it is in. Photos of `query` and `gallery` are the test part.

    Raises:
        DataError: a list is missing or cut off, or a row is not valid.
    """
    file = find_list(path, LISTS["parts"])
    if file is None:
        raise DataError("annotation_lists_missing", path=str(path), names=[f"Eval/{LISTS['parts']}"])
    items: dict[str, str] = {}
    parts: dict[str, str] = {}
    moved: dict[str, None] = {}
    for row in list_rows(file):
        *others, item, _ = row.cells
        part = part_of(row)
        for name in (row.name, *others):
            items.setdefault(name, item)
            if parts.setdefault(name, part) != part:
                moved[name] = None
    fixes = [Message("photos_in_two_parts", **examples(moved))] if moved else []
    folders = [name.split("/")[-4:-2] for name in items]  # WOMEN, Dresses above id_00000002/02_1_front.jpg
    columns = {"category": [pieces[-1] if pieces else "" for pieces in folders]}
    if {pieces[0] for pieces in folders if pieces} == GENDERS:
        columns["gender"] = [pieces[0] if pieces else "" for pieces in folders]
    chosen = select_targets(path, list(columns), options)
    targets = {name: encode_labels(name, np.array(columns[name])) for name in chosen}
    boxes = find_list(path, BOXES[0]) or find_list(path, BOXES[1])
    if options.crop_to_boxes and boxes is None:
        raise DataError("box_list_missing", path=str(path), name=f"Anno/{BOXES[0]}")
    listed = PhotoList(
        "deepfashion-items", dataset_root(path), list(items), tuple(target for target, _ in targets.values()),
        {name: labels for name, (_, labels) in targets.items()}, list(parts.values()),
        boxes=list_rows(boxes) if options.crop_to_boxes and boxes else None, products=list(items.values()),
    )  # fmt: skip
    return build_dataset(listed, options, fixes)


def retrieval_sets(path: Path) -> RetrievalSets:
    """What is searched among what.

    In-shop names it. In Consumer-to-shop, the customers' photos of the test set are looked up among all shops' photos
    of the validation and test set, as its README says.

    Raises:
        DataError: the list is missing or cut off, or a row is not valid.
    """
    file = find_list(path, LISTS["parts"])
    if file is None:
        raise DataError("annotation_lists_missing", path=str(path), names=[f"Eval/{LISTS['parts']}"])
    train: set[str] = set()
    query: set[str] = set()
    gallery: set[str] = set()
    protocol = IN_SHOP
    for row in list_rows(file):
        *others, _, status = row.cells
        part = part_of(row)
        if not others:
            (train if part == "train" else query if status == "query" else gallery).add(row.name)
            continue
        protocol = CONSUMER_TO_SHOP
        if part == "train":
            train |= {row.name, *others}
        else:
            gallery |= {*others}
            query |= {row.name} if part == "test" else set()
    return RetrievalSets(protocol, frozenset(train), frozenset(query), frozenset(gallery))
