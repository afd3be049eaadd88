"""The same few photos, with their labels, tags and parts, in formats that convert to others."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from photo_files import write_folders, write_real

TAGS = ("a-line", "animal print", "denim")
DEEPFASHION_PARTS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Sample:
    """One photo. `tags` has a value for each of TAGS: 1 yes, 0 no, -1 unknown."""

    file: Path
    part: str
    label: str
    tags: tuple[int, ...]

    @property
    def tag_names(self) -> list[str]:
        return [name for name, value in zip(TAGS, self.tags, strict=True) if value == 1]


@dataclass(frozen=True)
class WrittenDataset:
    """Where a format's files are, how to read them, and what the format has.

    Attributes:
        target: what the format calls the label; None where it has tags only.
        tags: what it calls the tags; None where it has none.
        parts, groups: whether it has them.
    """

    path: Path
    target: str | None = "label"
    tags: str | None = None
    parts: bool = True
    groups: bool = False
    read_options: dict[str, Any] = field(default_factory=dict)


def samples(root: Path) -> list[Sample]:
    """A photo a class and part, real where they are at hand, in the order in which folders are read."""
    if not write_real(root, each=1):
        write_folders(root, {"train": 2, "validation": 1, "test": 2})
    classes = sorted(folder.name for folder in (root / "train").iterdir())[:4]
    files = [f for part in DEEPFASHION_PARTS for c in classes for f in sorted((root / part / c).iterdir())]
    return [Sample(f, f.parts[-3], f.parts[-2], ((i + 1) % 2, i // 3 % 2, i // 2 % 2)) for i, f in enumerate(files)]


def folders(some: Sequence[Sample], root: Path) -> WrittenDataset:
    for sample in some:
        place = root / sample.part / sample.label / sample.file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.file, place)
    return WrittenDataset(root)


def table(suffix: str) -> Callable[[Sequence[Sample], Path], WrittenDataset]:
    """A table whose columns are called otherwise than Dataset's, with a photo's path, a label, tags and a part."""

    def write(some: Sequence[Sample], root: Path) -> WrittenDataset:
        copy_photos(some, root)
        rows: list[dict[str, Any]] = [
            {"path": f"images/{i:02}.jpg", "kind": s.label, "tags": s.tag_names, "split": s.part}
            for i, s in enumerate(some)
        ]
        path = root / f"table{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        else:
            for row in rows:  # an empty cell would be unknown, so "none of them" is written as a list
                row["tags"] = json.dumps(row["tags"])
            write_cells(path, [list(rows[0]), *(list(row.values()) for row in rows)])
        return WrittenDataset(path, "kind", "tags", read_options={"target": ["kind", "tags"]})

    return write


def write_cells(path: Path, cells: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(cells)


def copy_photos(some: Sequence[Sample], root: Path, name: str = "images/{:02}.jpg") -> None:
    for number, sample in enumerate(some):
        place = root / name.format(number)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.file, place)


def clothing(some: Sequence[Sample], root: Path) -> WrittenDataset:
    """The clothing data set's images.csv: ids without a suffix, one sender of every three photos."""
    copy_photos(some, root)
    rows = [[f"{i:02}", str(100 + i // 3), s.label, "False"] for i, s in enumerate(some)]
    write_cells(root / "images.csv", [["image", "sender_id", "label", "kids"], *rows])
    return WrittenDataset(root, parts=False, groups=True)


def styles(some: Sequence[Sample], root: Path) -> WrittenDataset:
    """Kaggle's styles.csv, with a comma outside quotes in its last column."""
    copy_photos(some, root, "images/{}.jpg")
    header = ["id", "gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "year",
              "usage", "productDisplayName"]  # fmt: skip
    lines = [",".join(header)] + [
        f"{i},Women,Apparel,Topwear,{s.label},Navy,Fall,2011,Casual,Some, blue {s.label}" for i, s in enumerate(some)
    ]
    (root / "styles.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return WrittenDataset(root / "styles.csv", "articleType", parts=False, read_options={"target": "articleType"})


def deepfashion(some: Sequence[Sample], root: Path) -> WrittenDataset:
    names = [f"img/{s.label.title()} of {i // 2}/img_{i:08}.jpg" for i, s in enumerate(some)]
    for name, sample in zip(names, some, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.file, root / name)
    classes = sorted({s.label for s in some})
    lists = {
        "Anno/list_category_cloth.txt": ("category_name category_type", [f"{n}   1" for n in classes]),
        "Anno/list_attr_cloth.txt": ("attribute_name attribute_type", [f"{n}   3" for n in TAGS]),
        "Anno/list_category_img.txt": (
            "image_name category_label",
            [f"{n}   {classes.index(s.label) + 1}" for n, s in zip(names, some, strict=True)],
        ),
        "Anno/list_attr_img.txt": (
            "image_name attribute_labels",
            [
                f"{n}  " + " ".join(f"{ {1: 1, 0: -1, -1: 0}[v]:2}" for v in s.tags)
                for n, s in zip(names, some, strict=True)
            ],
        ),
        "Eval/list_eval_partition.txt": (
            "image_name evaluation_status",
            [f"{n}   {DEEPFASHION_PARTS[s.part]}" for n, s in zip(names, some, strict=True)],
        ),
    }
    for name, (header, rows) in lists.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join([str(len(rows)), header, *rows]) + "\n")
    return WrittenDataset(root, "category", "attributes", groups=True)


def deepfashion_fine(some: Sequence[Sample], root: Path) -> WrittenDataset:
    """The later lists, which know no unknown: samples must have none."""
    deepfashion(some, root)
    fine = root / "Anno_fine"
    fine.mkdir()
    for name in ("list_category_cloth.txt", "list_attr_cloth.txt"):
        shutil.copy(root / "Anno" / name, fine / name)
    names = (root / "Eval/list_eval_partition.txt").read_text().splitlines()[2:]
    classes = sorted({s.label for s in some})
    for part, short in DEEPFASHION_PARTS.items():
        chosen = [(n.rsplit(None, 1)[0], s) for n, s in zip(names, some, strict=True) if s.part == part]
        for kind, lines in {
            "": [name for name, _ in chosen],
            "_cate": [str(classes.index(s.label) + 1) for _, s in chosen],
            "_attr": [" ".join(map(str, s.tags)) for _, s in chosen],
        }.items():
            (fine / f"{short}{kind}.txt").write_text("\n".join(lines) + "\n")
    shutil.rmtree(root / "Anno")
    shutil.rmtree(root / "Eval")
    return WrittenDataset(root, "category", "attributes", groups=True)


def imaterialist(some: Sequence[Sample], root: Path) -> WrittenDataset:
    """Labels are numbers there: tag i is `i + 1`, and the label's place is behind them. Every image has one."""
    for part in DEEPFASHION_PARTS:
        chosen = [s for s in some if s.part == part]
        copy_photos(chosen, root / part, "{}.jpg")
        content = {
            "images": [{"url": "http://nowhere.invalid", "imageId": str(i)} for i in range(len(chosen))],
            "annotations": [
                {
                    "imageId": str(i),
                    "labelId": [
                        *(str(t + 1) for t, v in enumerate(s.tags) if v == 1),
                        str(imaterialist_number(some, s)),
                    ],
                }
                for i, s in enumerate(chosen)
            ],
        }
        (root / f"{part}.json").write_text(json.dumps(content))
    return WrittenDataset(root, None, "label")


def imaterialist_number(some: Sequence[Sample], sample: Sample) -> int:
    return len(TAGS) + 1 + sorted({s.label for s in some}).index(sample.label)


WRITERS: dict[str, Callable[[Sequence[Sample], Path], WrittenDataset]] = {
    "folders": folders,
    "csv": table(".csv"),
    "parquet": table(".parquet"),
    "jsonl": table(".jsonl"),
    "clothing": clothing,
    "styles": styles,
    "deepfashion": deepfashion,
    "deepfashion-fine": deepfashion_fine,
    "imaterialist": imaterialist,
}
