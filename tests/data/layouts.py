"""The same few photos, with their labels and parts, in every layout, dialect and export that muslin reads.

A row of LAYOUTS is a row of the table in `docs/reference/layouts.md`.
"""

import csv
import gzip
import io
import json
import shutil
import unicodedata
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import every_format
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
from every_format import Sample
from photo_files import make_photos, write_real
from PIL import Image
from test_spreadsheets import workbook

from muslin.data import read
from muslin.data.convert import convert
from muslin.data.dataset import pixel_array

PARTS = {"train": 3, "validation": 2, "test": 2}
"""Photos of each class in each part."""

CLASSES = ("dress", "hat", "shirt")
SIDE_PX = 96
LOCAL = {"validation": "valid"}
"""Roboflow's name of a part."""

Write = Callable[[Sequence[Sample], Path], "Written"]


@dataclass(frozen=True)
class Written:
    """Where a layout's files are, and the options with which they are read."""

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """One way to store photos with their labels.

    Attributes:
        write: writes the samples below a folder.
        group: layouts of one group hold the same data set: `photos` with a label and a part, `undivided` without
            parts, `tags` with several labels, or `pixels`: small gray images. Those of `own` have labels of their own.
    """

    write: Write
    group: str = "photos"


LAYOUTS: dict[str, Layout] = {}


def layout(name: str, group: str = "photos") -> Callable[[Write], Write]:
    """Make a function the row `name` of LAYOUTS."""

    def register(write: Write) -> Write:
        def sorted_write(samples: Sequence[Sample], root: Path) -> Written:
            return write(sorted(samples, key=lambda sample: sample.label), root)

        LAYOUTS[name] = Layout(sorted_write if group == "undivided" else write, group)
        return write

    return register


def make_samples(root: Path) -> list[Sample]:
    """Small photos of three classes in three parts, in the order in which folders are read.

    A training photo comes twice, and another one is a test photo too.
    """
    each = max(PARTS.values())
    if write_real(root / "from", each=each):
        found = {(part, kind): sorted((root / "from" / part / kind).iterdir()) for part in PARTS for kind in CLASSES}
        images = {key: [Image.open(file).convert("RGB") for file in files] for key, files in found.items()}
    else:
        garments = make_photos(each * len(PARTS))
        images = {
            (part, kind): [image for name, n, image in garments if name == kind and n // each == place]
            for place, part in enumerate(PARTS)
            for kind in CLASSES
        }
    samples = []
    for (part, kind), several in images.items():
        for number, image in enumerate(several[: PARTS[part]]):
            file = root / "photos" / part / f"{kind} {number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            image.thumbnail((SIDE_PX, SIDE_PX))
            image.save(file, quality=90)
            place = len(samples)
            samples.append(Sample(file, part, kind, ((place + 1) % 2, place // 3 % 2, 1)))
    first = samples[0]
    shutil.copy(first.file, samples[1].file)
    leaked = next(sample for sample in samples if (sample.part, sample.label) == ("test", samples[-1].label))
    shutil.copy(next(s for s in samples if (s.part, s.label) == ("train", leaked.label)).file, leaked.file)
    return samples


def copy_photos(samples: Sequence[Sample], root: Path, name: str = "images/{:02}.jpg") -> list[str]:
    """The names, from `root`, of copies: `name` with the place of each sample."""
    names = [name.format(i) for i in range(len(samples))]
    for sample, path in zip(samples, names, strict=True):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.file, root / path)
    return names


def csv_text(rows: Sequence[Sequence[str]], delimiter: str = ",", **settings: Any) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, **({"lineterminator": "\n"} | settings)).writerows(rows)
    return text.getvalue()


def label_rows(samples: Sequence[Sample], names: Sequence[str]) -> list[list[str]]:
    return [["image", "label", "split"], *([n, s.label, s.part] for n, s in zip(names, samples, strict=True))]


def write_rows(samples: Sequence[Sample], root: Path, encode: Callable[[list[list[str]]], bytes]) -> Written:
    """`images/` and a table of their names, labels and parts, whose rows `encode` makes bytes."""
    (root / "table.csv").write_bytes(encode(label_rows(samples, copy_photos(samples, root))))
    return Written(root / "table.csv")


# ── Folders ──────────────────────────────────────────────────────────────────────────────────────────────


@layout("folders of parts and classes")
def folders(samples: Sequence[Sample], root: Path, parts: Mapping[str, str] = {}) -> Written:
    for sample in samples:
        place = root / parts.get(sample.part, sample.part) / sample.label / sample.file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.file, place)
    return Written(root)


@layout("Ultralytics classification folders")
def ultralytics(samples: Sequence[Sample], root: Path) -> Written:
    return folders(samples, root, {"validation": "val"})


@layout("Roboflow folders")
def roboflow_folders(samples: Sequence[Sample], root: Path) -> Written:
    for name in ("README.dataset.txt", "README.roboflow.txt"):
        root.mkdir(exist_ok=True)
        (root / name).write_text("An export of a data set.\n")
    return folders(samples, root, LOCAL)


@layout("folders with thumbnails and hidden files")
def folders_of_systems(samples: Sequence[Sample], root: Path) -> Written:
    written = folders(samples, root)
    for folder in [root, *root.glob("*/*")]:
        (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
        (folder / "@eaDir").mkdir()
        Image.new("RGB", (9, 9)).save(folder / "@eaDir" / "SYNOPHOTO_THUMB_M.jpg")
    return written


@layout("folders with other names of the parts")
def folders_of_sets(samples: Sequence[Sample], root: Path) -> Written:
    return folders(samples, root, {part: f"{part}_set" for part in PARTS} | {"train": "training_set"})


@layout("nested folders of classes (--levels)", "own")
def nested_folders(samples: Sequence[Sample], root: Path) -> Written:
    for sample in samples:
        kind = "head" if sample.label == "hat" else "body"
        place = root / sample.part / kind / sample.label / sample.file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.file, place)
    return Written(root, {"levels": 2})


@layout("folders in a zip")
def folders_in_zip(samples: Sequence[Sample], root: Path) -> Written:
    folders(samples, root / "set-main")
    return Written(Path(shutil.make_archive(str(root), "zip", root)))


@layout("folders in a tar")
def folders_in_tar(samples: Sequence[Sample], root: Path) -> Written:
    folders(samples, root)
    return Written(Path(shutil.make_archive(str(root), "tar", root)))


@layout("folders in a tar.gz")
def folders_in_tar_gz(samples: Sequence[Sample], root: Path) -> Written:
    folders(samples, root)
    return Written(Path(shutil.make_archive(str(root), "gztar", root)))


@layout("folders of classes", "undivided")
def class_folders(samples: Sequence[Sample], root: Path) -> Written:
    for place, sample in enumerate(samples):
        path = root / sample.label / f"{place:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.file, path)
    return Written(root)


@layout("one folder, classes in the names", "undivided")
def names_with_classes(samples: Sequence[Sample], root: Path) -> Written:
    root.mkdir()
    for place, sample in enumerate(samples):
        shutil.copy(sample.file, root / f"{sample.label}.{place:02}.jpg")
    return Written(root)


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────


def table_row(name: str, encode: Callable[[list[list[str]]], bytes]) -> None:
    LAYOUTS[name] = Layout(lambda samples, root: write_rows(samples, root, encode))


table_row("CSV", lambda rows: csv_text(rows).encode())
table_row("CSV with semicolons and a byte order mark", lambda rows: csv_text(rows, ";").encode("utf-8-sig"))
table_row("CSV with every cell in quotes and CRLF",
          lambda rows: csv_text(rows, quoting=csv.QUOTE_ALL, lineterminator="\r\n").encode())  # fmt: skip
table_row("CSV with a space after each comma", lambda rows: csv_text(rows).replace(",", ", ").encode())
table_row("CSV with bars", lambda rows: csv_text(rows, "|").encode())
table_row("CSV with Excel's sep= line", lambda rows: ("sep=;\n" + csv_text(rows, ";")).encode())
table_row("CSV with titles and empty rows above the header",
          lambda rows: (b"Catalogue 2024,,\n\n,,\n" + csv_text(rows).encode()))  # fmt: skip
table_row("CSV with comments above the header", lambda rows: b"# exported on Monday\n" + csv_text(rows).encode())
table_row("CSV without a header", lambda rows: csv_text(rows[1:]).encode())
table_row(
    "CSV in cp1252",
    lambda rows: csv_text([[*rows[0], "größe"], *([*row, "Größe M"] for row in rows[1:])]).encode("cp1252"),
)
table_row("tab-separated UTF-16, Excel's Unicode text", lambda rows: csv_text(rows, "\t").encode("utf-16"))
table_row("TSV", lambda rows: csv_text(rows, "\t").encode())


@layout("CSV, gzipped")
def csv_gz(samples: Sequence[Sample], root: Path) -> Written:
    written = write_rows(samples, root, lambda rows: gzip.compress(csv_text(rows).encode()))
    return Written(written.path.rename(root / "table.csv.gz"))


@layout("XLSX workbook")
def xlsx(samples: Sequence[Sample], root: Path) -> Written:
    workbook(root / "table.xlsx", label_rows(samples, copy_photos(samples, root)))
    return Written(root / "table.xlsx")


@layout("XLSX workbook with titles above the header")
def titled_xlsx(samples: Sequence[Sample], root: Path) -> Written:
    rows = label_rows(samples, copy_photos(samples, root))
    workbook(root / "table.xlsx", [["Catalogue 2024"], *rows])
    return Written(root / "table.xlsx")


def record_rows(samples: Sequence[Sample], root: Path) -> list[dict[str, str]]:
    rows = label_rows(samples, copy_photos(samples, root))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@layout("XLSX workbook with a header of two rows")
def two_row_xlsx(samples: Sequence[Sample], root: Path) -> Written:
    rows = label_rows(samples, copy_photos(samples, root))
    workbook(root / "table.xlsx", [["Photos", "Catalogue", ""], *rows])
    return Written(root / "table.xlsx")


@layout("JSON Lines")
def json_lines(samples: Sequence[Sample], root: Path) -> Written:
    lines = [json.dumps(row) + "\n" for row in record_rows(samples, root)]
    (root / "table.jsonl").write_text("".join(lines))
    return Written(root / "table.jsonl")


@layout("JSON list of objects")
def json_list(samples: Sequence[Sample], root: Path) -> Written:
    rows = record_rows(samples, root)
    (root / "table.json").write_text(json.dumps(rows, indent=2))
    return Written(root / "table.json")


@layout("JSON labels by photo", "undivided")
def json_by_photo(samples: Sequence[Sample], root: Path) -> Written:
    labels = {Path(name).name: s.label for name, s in zip(copy_photos(samples, root), samples, strict=True)}
    (root / "labels.json").write_text(json.dumps(labels))
    return Written(root / "labels.json")


@layout("JSON columns of pandas")
def json_columns(samples: Sequence[Sample], root: Path) -> Written:
    pandas.DataFrame(record_rows(samples, root)).to_json(root / "table.json")
    return Written(root / "table.json")


@layout("Parquet")
def parquet(samples: Sequence[Sample], root: Path) -> Written:
    rows = record_rows(samples, root)
    pq.write_table(pa.Table.from_pylist(rows), root / "table.parquet")
    return Written(root / "table.parquet")


@layout("Parquet with the photos in it")
def parquet_photos(samples: Sequence[Sample], root: Path) -> Written:
    root.mkdir()
    rows = [
        {"image": {"bytes": s.file.read_bytes(), "path": f"{i}.jpg"}, "label": s.label, "split": s.part}
        for i, s in enumerate(samples)
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "photos.parquet")
    return Written(root / "photos.parquet")


@layout("images.csv of the clothing dataset", "undivided")
def clothing(samples: Sequence[Sample], root: Path) -> Written:
    names = copy_photos(samples, root)
    rows = [
        [Path(name).stem, str(100 + i), sample.label, "False"]
        for i, (name, sample) in enumerate(zip(names, samples, strict=True))
    ]
    (root / "images.csv").write_text(csv_text([["image", "sender_id", "label", "kids"], *rows]))
    return Written(root)


@layout("styles.csv of Kaggle's Fashion Product Images", "undivided")
def styles(samples: Sequence[Sample], root: Path) -> Written:
    written = every_format.styles(samples, root)
    return Written(written.path, {"target": "articleType"})


@layout("table with an index, filename and class", "undivided")
def keras(samples: Sequence[Sample], root: Path) -> Written:
    names = copy_photos(samples, root, "{:02}.jpg")
    rows = [[str(i), name, sample.label] for i, (name, sample) in enumerate(zip(names, samples, strict=True))]
    (root / "table.csv").write_text(csv_text([["", "filename", "class"], *rows]))
    return Written(root / "table.csv", {"images": root})


# ── How a table names its photos ─────────────────────────────────────────────────────────────────────────


def named(name: str, *, photo: str = "images/{:02}.jpg", cell: Callable[[str, Path], str], images: str = "") -> None:
    """A row whose photos are called `photo` on disk and `cell` of it in the table; `images` is given as --images."""

    def write(samples: Sequence[Sample], root: Path) -> Written:
        names = copy_photos(samples, root, photo)
        rows = label_rows(samples, [cell(name, root) for name in names])
        (root / "table.csv").write_text(csv_text(rows), encoding="utf-8")
        return Written(root / "table.csv", {"images": str(root / images)} if images else {})

    LAYOUTS[name] = Layout(write)


named("photos named without a suffix", cell=lambda name, root: Path(name).stem)
named("photos named with back-slashes", cell=lambda name, root: name.replace("/", "\\"))
named("photos named with ./", cell=lambda name, root: f"./{name}")
named("photos named in another case", cell=lambda name, root: name.upper())
named("photos named by absolute paths", cell=lambda name, root: str(root.resolve() / name))
named("photos named by paths of another computer", cell=lambda name, root: f"C:\\shop\\{name}".replace("/", "\\"))
named("photos named by URL-escaped paths", photo="images/ä {:02}.jpg",
      cell=lambda name, root: name.replace("ä", "%C3%A4").replace(" ", "%20"))  # fmt: skip
named("photos named in composed, stored in decomposed Unicode", photo=unicodedata.normalize("NFD", "images/é{:02}.jpg"),
      cell=lambda name, root: unicodedata.normalize("NFC", name))  # fmt: skip
named("photos in another folder (--images)", photo="shop/media/{:02}.jpg", cell=lambda name, root: Path(name).name,
      images="shop/media")  # fmt: skip
named("photos in nested folders", photo="media/0{0:02}/0{0:02}5015.jpg", cell=lambda name, root: Path(name).stem,
      images="media")  # fmt: skip


@layout("photos in a zip (--images)")
def photos_in_zip(samples: Sequence[Sample], root: Path) -> Written:
    written = write_rows(samples, root, lambda rows: csv_text(rows).encode())
    archive = shutil.make_archive(str(root / "images"), "zip", root / "images")
    shutil.rmtree(root / "images")
    return Written(written.path, {"images": archive})


# ── Tables beside photos ─────────────────────────────────────────────────────────────────────────────────


@layout("photos in images.zip beside the table")
def images_zip(samples: Sequence[Sample], root: Path) -> Written:
    return Written(photos_in_zip(samples, root).path)


@layout("zip with names in code page 437")
def old_zip(samples: Sequence[Sample], root: Path) -> Written:
    """Names as old programs write them, without the flag of UTF-8."""
    names = [f"images/é{i:02}.jpg" for i in range(len(samples))]
    root.mkdir()
    with zipfile.ZipFile(root / "photos.zip", "w") as archive:
        for i, sample in enumerate(samples):
            archive.writestr(f"images/@{i:02}.jpg", sample.file.read_bytes())
    content = (root / "photos.zip").read_bytes().replace(b"images/@", b"images/\x82")
    (root / "photos.zip").write_bytes(content)
    (root / "table.csv").write_text(csv_text(label_rows(samples, names)), encoding="utf-8")
    return Written(root / "table.csv", {"images": str(root / "photos.zip")})


@layout("folder with a table and photos")
def table_folder(samples: Sequence[Sample], root: Path) -> Written:
    write_rows(samples, root, lambda rows: csv_text(rows).encode())
    return Written(root)


@layout("zip with a table and photos")
def table_zip(samples: Sequence[Sample], root: Path) -> Written:
    write_rows(samples, root, lambda rows: csv_text(rows).encode())
    return Written(Path(shutil.make_archive(str(root), "zip", root)))


@layout("tar with a table and photos")
def table_tar(samples: Sequence[Sample], root: Path) -> Written:
    write_rows(samples, root, lambda rows: csv_text(rows).encode())
    return Written(Path(shutil.make_archive(str(root), "tar", root)))


def per_part(samples: Sequence[Sample], root: Path, names: Mapping[str, str] = {}) -> dict[Path, list[Sample]]:
    """The photos as `PART/NN.jpg`; per folder its samples in order."""
    folders_of: dict[Path, list[Sample]] = {}
    for sample in samples:
        folders_of.setdefault(root / names.get(sample.part, sample.part), []).append(sample)
    for folder, some in folders_of.items():
        copy_photos(some, folder, "{:02}.jpg")
    return folders_of


@layout("table for each part")
def table_per_part(samples: Sequence[Sample], root: Path) -> Written:
    for folder, some in per_part(samples, root / "images").items():
        names = [f"{folder.name}/{i:02}.jpg" for i in range(len(some))]
        rows = [["image", "label"], *([name, s.label] for name, s in zip(names, some, strict=True))]
        (root / f"{folder.name}.csv").write_text(csv_text(rows))
    return Written(root)


@layout("table with the parts in the paths")
def parts_in_paths(samples: Sequence[Sample], root: Path) -> Written:
    rows = [["image", "label"]]
    for folder, some in per_part(samples, root).items():
        rows += [[f"{folder.name}/{i:02}.jpg", s.label] for i, s in enumerate(some)]
    (root / "labels.csv").write_text(csv_text(rows))
    return Written(root)


@layout("metadata.csv of Hugging Face's imagefolder")
def metadata_csv(samples: Sequence[Sample], root: Path) -> Written:
    for folder, some in per_part(samples, root).items():
        rows = [["file_name", "label"], *([f"{i:02}.jpg", s.label] for i, s in enumerate(some))]
        (folder / "metadata.csv").write_text(csv_text(rows))
    return Written(root)


@layout("metadata.jsonl of Hugging Face's imagefolder")
def metadata_jsonl(samples: Sequence[Sample], root: Path) -> Written:
    for folder, some in per_part(samples, root).items():
        lines = [json.dumps({"file_name": f"{i:02}.jpg", "label": s.label}) + "\n" for i, s in enumerate(some)]
        (folder / "metadata.jsonl").write_text("".join(lines))
    return Written(root)


@layout("Parquet shards of Hugging Face")
def shards(samples: Sequence[Sample], root: Path) -> Written:
    (root / "data").mkdir(parents=True)
    names = ["dress", "hat", "shirt"]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    for part in PARTS:
        some = [s for s in samples if s.part == part]
        for shard, chosen in enumerate((some[:2], some[2:])):
            rows = [
                {"image": {"bytes": s.file.read_bytes(), "path": None}, "label": names.index(s.label)} for s in chosen
            ]
            path = root / "data" / f"{part}-{shard:05}-of-00002.parquet"
            pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(metadata), path)
    return Written(root)


# ── Exports ──────────────────────────────────────────────────────────────────────────────────────────────


def label_studio_names(samples: Sequence[Sample], root: Path) -> list[str]:
    """Photos as Label Studio stores uploads, and the names under which it exports them."""
    names = copy_photos(samples, root, "media/upload/1/{:02}abcdef-photo.jpg")
    return [f"/data/{name.removeprefix('media/')}" for name in names]


def label_studio_task(number: int, url: str, choices: list[str], **more: Any) -> dict[str, Any]:
    result = {"value": {"choices": choices}, "from_name": "choice", "to_name": "image", "type": "choices"}
    annotation = {"id": 100 + number, "completed_by": 1, "result": [result], "was_cancelled": False, "lead_time": 3.2}
    return {"id": number, "annotations": [annotation], "data": {"image": url, **more}, "created_at": "2024-05-01"}


@layout("Label Studio JSON")
def label_studio_json(samples: Sequence[Sample], root: Path) -> Written:
    urls = label_studio_names(samples, root)
    tasks = [
        label_studio_task(i, url, [s.label], split=s.part) for i, (url, s) in enumerate(zip(urls, samples, strict=True))
    ]
    (root / "project.json").write_text(json.dumps(tasks))
    return Written(root / "project.json", {"images": str(root / "media")})


@layout("Label Studio JSON-MIN")
def label_studio_json_min(samples: Sequence[Sample], root: Path) -> Written:
    tasks = [
        {"image": url, "split": s.part, "id": i, "choice": s.label, "annotator": 1, "annotation_id": i,
         "created_at": "2024-05-01T10:00:00Z", "updated_at": "2024-05-01T10:00:05Z", "lead_time": 3.2 + i % 3}
        for i, (url, s) in enumerate(zip(label_studio_names(samples, root), samples, strict=True))
    ]  # fmt: skip
    (root / "project.json").write_text(json.dumps(tasks))
    return Written(root / "project.json", {"images": str(root / "media")})


@layout("Label Studio CSV")
def label_studio_csv(samples: Sequence[Sample], root: Path) -> Written:
    header = ["annotation_id", "annotator", "choice", "created_at", "id", "image", "lead_time", "split", "updated_at"]
    rows = [
        [str(100 + i), str(i % 2), s.label, f"2024-05-0{1 + i % 2}", str(i), url, str(i % 3), s.part, "2024-05-03"]
        for i, (url, s) in enumerate(zip(label_studio_names(samples, root), samples, strict=True))
    ]
    (root / "project.csv").write_text(csv_text([header, *rows]))
    return Written(root / "project.csv", {"images": str(root / "media")})


@layout("Roboflow's _classes.csv")
def roboflow_csv(samples: Sequence[Sample], root: Path) -> Written:
    for folder, some in per_part(samples, root, LOCAL).items():
        lines = [f"{i:02}.jpg, " + ", ".join(str(int(s.label == c)) for c in CLASSES) for i, s in enumerate(some)]
        (folder / "_classes.csv").write_text("\n".join(["filename, " + ", ".join(CLASSES), *lines]) + "\n")
    return Written(root)


@layout("one-hot table")
def one_hot(samples: Sequence[Sample], root: Path) -> Written:
    rows = [
        [name, s.part, *(str(int(s.label == c)) for c in CLASSES)]
        for name, s in zip(copy_photos(samples, root), samples, strict=True)
    ]
    (root / "table.csv").write_text(csv_text([["image", "split", *CLASSES], *rows]))
    return Written(root / "table.csv")


@layout("FiftyOneImageClassificationDataset")
def fiftyone_folder(samples: Sequence[Sample], root: Path) -> Written:
    for folder, some in per_part(samples, root).items():
        data = folder / "data"
        data.mkdir()
        for photo in folder.glob("*.jpg"):
            photo.rename(data / photo.name)
        labels = {f"{i:02}": CLASSES.index(s.label) for i, s in enumerate(some)}
        (folder / "labels.json").write_text(json.dumps({"classes": CLASSES, "labels": labels}))
    return Written(root)


@layout("samples.json of FiftyOneDataset")
def fiftyone_dataset(samples: Sequence[Sample], root: Path) -> Written:
    entries = [
        {
            "filepath": name,
            "tags": [s.part],
            "metadata": {"_cls": "ImageMetadata", "width": 96},
            "_media_type": "image",
            "ground_truth": {"_id": {"$oid": f"{i:024}"}, "_cls": "Classification", "tags": [], "label": s.label,
                             "confidence": None, "logits": None},
        }
        for i, (name, s) in enumerate(zip(copy_photos(samples, root, "data/{:02}.jpg"), samples, strict=True))
    ]  # fmt: skip
    (root / "samples.json").write_text(json.dumps({"samples": entries}))
    (root / "metadata.json").write_text(json.dumps({"name": "clothing", "version": "1.0", "media_type": "image"}))
    return Written(root / "samples.json")


@layout("FiftyOne CSV")
def fiftyone_csv(samples: Sequence[Sample], root: Path) -> Written:
    names = copy_photos(samples, root, "data/{:02}.jpg")
    rows = [[name, s.part, s.label] for name, s in zip(names, samples, strict=True)]
    (root / "labels.csv").write_text(csv_text([["filepath", "tags", "ground_truth.label"], *rows]))
    return Written(root / "labels.csv")


def coco(samples: Sequence[Sample], names: Sequence[str], labels: Callable[[Sample], Sequence[str]]) -> str:
    """A document in which category 7 is the first class."""
    classes = sorted({label for sample in samples for label in labels(sample)})
    pairs = [(i, label) for i, sample in enumerate(samples) for label in labels(sample)]
    return json.dumps(
        {
            "info": {"year": 2024},
            "licenses": [],
            "categories": [{"id": 7 + i, "name": name, "supercategory": "clothes"} for i, name in enumerate(classes)],
            "images": [{"id": 50 + i, "file_name": name, "width": 96, "height": 96} for i, name in enumerate(names)],
            "annotations": [
                {"id": n, "image_id": 50 + i, "category_id": 7 + classes.index(label)}
                for n, (i, label) in enumerate(pairs)
            ],
        }
    )


@layout("COCO classification", "undivided")
def coco_file(samples: Sequence[Sample], root: Path) -> Written:
    names = [Path(name).name for name in copy_photos(samples, root)]
    (root / "labels.json").write_text(coco(samples, names, lambda sample: [sample.label]))
    return Written(root / "labels.json")


@layout("COCO for each part: _annotations.coco.json")
def coco_per_part(samples: Sequence[Sample], root: Path) -> Written:
    for folder, some in per_part(samples, root, LOCAL).items():
        names = [f"{i:02}.jpg" for i in range(len(some))]
        (folder / "_annotations.coco.json").write_text(coco(some, names, lambda sample: [sample.label]))
    return Written(root)


GOOGLE_PARTS = {"train": "TRAIN", "validation": "VALIDATION", "test": "TEST"}


@layout("Google Vertex AI CSV")
def vertex_csv(samples: Sequence[Sample], root: Path) -> Written:
    names = copy_photos(samples, root)
    rows = [[GOOGLE_PARTS[s.part], f"gs://bucket/{name}", s.label] for name, s in zip(names, samples, strict=True)]
    (root / "import.csv").write_text(csv_text(rows))
    return Written(root / "import.csv")


@layout("Google Vertex AI JSON Lines")
def vertex_json_lines(samples: Sequence[Sample], root: Path) -> Written:
    uses = {"train": "training", "validation": "validation", "test": "test"}
    lines = [
        {
            "imageGcsUri": f"gs://bucket/{name}",
            "classificationAnnotation": {"displayName": s.label, "annotationResourceLabels": {"source": "us"}},
            "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": uses[s.part]},
        }
        for name, s in zip(copy_photos(samples, root), samples, strict=True)
    ]
    (root / "import.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Written(root / "import.jsonl")


@layout("Amazon SageMaker .lst", "undivided")
def sagemaker_lst(samples: Sequence[Sample], root: Path) -> Written:
    names = copy_photos(samples, root)
    rows = [[str(i), s.label, name] for i, (name, s) in enumerate(zip(names, samples, strict=True))]
    (root / "train.lst").write_text(csv_text(rows, "\t"))
    return Written(root / "train.lst")


@layout("Amazon SageMaker manifest", "undivided")
def sagemaker_manifest(samples: Sequence[Sample], root: Path) -> Written:
    lines = [
        {
            "source-ref": f"s3://bucket/{name}",
            "garment": CLASSES.index(s.label),
            "garment-metadata": {"class-name": s.label, "confidence": 0.95, "human-annotated": "yes",
                                 "type": "groundtruth/image-classification", "job-name": "labeling-job/garment"},
        }
        for name, s in zip(copy_photos(samples, root), samples, strict=True)
    ]  # fmt: skip
    (root / "output.manifest").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Written(root / "output.manifest")


# ── Lists of photos ──────────────────────────────────────────────────────────────────────────────────────


@layout("DeepFashion")
def deepfashion(samples: Sequence[Sample], root: Path) -> Written:
    return Written(every_format.deepfashion(samples, root).path, {"target": "category"})


@layout("DeepFashion, fine-grained")
def deepfashion_fine(samples: Sequence[Sample], root: Path) -> Written:
    return Written(every_format.deepfashion_fine(samples, root).path, {"target": "category"})


def list_of_items(samples: Sequence[Sample], root: Path, header: str, row: str, parts: Mapping[str, str]) -> Written:
    """`Eval/list_eval_partition.txt` with a row for each photo, of an item of its own."""
    names = [f"img/WOMEN/{s.label}/id_{i:08}/02_1_front.jpg" for i, s in enumerate(samples)]
    for name, sample in zip(names, samples, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.file, root / name)
    rows = [
        row.format(name=name, item=f"id_{i:08}", part=parts[sample.part])
        for i, (name, sample) in enumerate(zip(names, samples, strict=True))
    ]
    (root / "Eval").mkdir()
    (root / "Eval/list_eval_partition.txt").write_text("\n".join([str(len(rows)), header, *rows]) + "\n")
    return Written(root, {"target": "category"})


@layout("DeepFashion In-shop")
def in_shop(samples: Sequence[Sample], root: Path) -> Written:
    parts = {"train": "train", "validation": "val", "test": "query"}
    return list_of_items(samples, root, "image_name item_id evaluation_status", "{name}    {item} {part}", parts)


@layout("DeepFashion Consumer-to-shop")
def consumer_to_shop(samples: Sequence[Sample], root: Path) -> Written:
    header = "image_pair_name_1 image_pair_name_2 item_id evaluation_status"
    parts = {"train": "train", "validation": "val", "test": "test"}
    return list_of_items(samples, root, header, "{name}\t{name}\t{item}\t{part}", parts)


@layout("iMaterialist (Fashion) 2018", "own")
def imaterialist(samples: Sequence[Sample], root: Path) -> Written:
    return Written(every_format.imaterialist(samples, root).path)


# ── Several labels ───────────────────────────────────────────────────────────────────────────────────────


def tag_rows(samples: Sequence[Sample], root: Path, cell: Callable[[list[str]], str]) -> list[list[str]]:
    names = copy_photos(samples, root)
    rows = [[name, cell(s.tag_names), s.part] for name, s in zip(names, samples, strict=True)]
    return [["image", "tags", "split"], *rows]


def separated(name: str, cell: Callable[[list[str]], str]) -> None:
    def write(samples: Sequence[Sample], root: Path) -> Written:
        (root / "table.csv").write_text(csv_text(tag_rows(samples, root, cell)))
        return Written(root / "table.csv")

    LAYOUTS[name] = Layout(write, "tags")


separated("several labels separated by bars", "|".join)
separated("several labels separated by semicolons", ";".join)
separated("several labels separated by commas", ",".join)
separated("several labels as a JSON list", json.dumps)
separated("several labels as Python prints a list", str)


@layout("several labels in JSON Lines", "tags")
def tags_json_lines(samples: Sequence[Sample], root: Path) -> Written:
    names = copy_photos(samples, root)
    rows = [{"image": name, "tags": s.tag_names, "split": s.part} for name, s in zip(names, samples, strict=True)]
    (root / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Written(root / "table.jsonl")


@layout("several labels in Label Studio's CSV", "tags")
def label_studio_csv_tags(samples: Sequence[Sample], root: Path) -> Written:
    rows = [
        [str(i), "1", json.dumps({"choices": s.tag_names}) if len(s.tag_names) > 1 else s.tag_names[0], url, s.part]
        for i, (url, s) in enumerate(zip(label_studio_names(samples, root), samples, strict=True))
    ]
    (root / "project.csv").write_text(csv_text([["annotation_id", "annotator", "choice", "image", "split"], *rows]))
    return Written(root / "project.csv", {"images": str(root / "media")})


@layout("several labels in Label Studio's JSON", "tags")
def label_studio_json_tags(samples: Sequence[Sample], root: Path) -> Written:
    urls = label_studio_names(samples, root)
    tasks = [
        label_studio_task(i, url, s.tag_names, split=s.part)
        for i, (url, s) in enumerate(zip(urls, samples, strict=True))
    ]
    (root / "project.json").write_text(json.dumps(tasks))
    return Written(root / "project.json", {"images": str(root / "media")})


@layout("several labels in Roboflow's _classes.csv", "tags")
def roboflow_csv_tags(samples: Sequence[Sample], root: Path) -> Written:
    for folder, some in per_part(samples, root, LOCAL).items():
        lines = [f"{i:02}.jpg, " + ", ".join(map(str, s.tags)) for i, s in enumerate(some)]
        (folder / "_classes.csv").write_text("\n".join(["filename, " + ", ".join(every_format.TAGS), *lines]) + "\n")
    return Written(root)


@layout("several labels in COCO, also boxes", "tags")
def coco_tags(samples: Sequence[Sample], root: Path) -> Written:
    for folder, some in per_part(samples, root, LOCAL).items():
        document = json.loads(coco(some, [f"{i:02}.jpg" for i in range(len(some))], lambda sample: sample.tag_names))
        for annotation in document["annotations"]:
            annotation["bbox"] = [1, 1, 40, 40]
        (folder / "_annotations.coco.json").write_text(json.dumps(document))
    return Written(root)


@layout("several labels in FiftyOneDataset", "tags")
def fiftyone_tags(samples: Sequence[Sample], root: Path) -> Written:
    entries = [
        {"filepath": name, "tags": [s.part],
         "ground_truth": {"_cls": "Classifications", "classifications": [{"label": tag} for tag in s.tag_names]}}
        for name, s in zip(copy_photos(samples, root, "data/{:02}.jpg"), samples, strict=True)
    ]  # fmt: skip
    (root / "samples.json").write_text(json.dumps({"samples": entries}))
    return Written(root / "samples.json")


# ── Pixels ───────────────────────────────────────────────────────────────────────────────────────────────


def as_idx(samples: Sequence[Sample], root: Path) -> Path:
    """The photos as gray images of 28 × 28 pixels, in IDX files."""
    folder = root.with_name(f"{root.name}-gray")
    for place, sample in enumerate(samples):
        file = folder / sample.part / sample.label / f"{place:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.open(sample.file).convert("L").resize((28, 28)).save(file)
    convert(read(folder), "idx", root)
    return root


@layout("IDX", "pixels")
def idx(samples: Sequence[Sample], root: Path) -> Written:
    return Written(as_idx(samples, root))


@layout("IDX, gzipped", "pixels")
def idx_gz(samples: Sequence[Sample], root: Path) -> Written:
    for file in sorted(as_idx(samples, root).glob("*-ubyte")):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    return Written(root)


@layout("CSV of pixels for each part", "pixels")
def pixels_csv(samples: Sequence[Sample], root: Path) -> Written:
    convert(read(as_idx(samples, root.with_name(f"{root.name}-idx"))), "csv", root)
    return Written(root)


def pixel_frame(samples: Sequence[Sample], root: Path, scale: float | None = None) -> pandas.DataFrame:
    """A row for each image: its label, its part, and 784 columns of pixels."""
    data = read(as_idx(samples, root.with_name(f"{root.name}-idx")))
    root.mkdir()
    pixels = pixel_array(data).reshape(len(data), -1)
    columns = [f"pixel{i}" for i in range(pixels.shape[1])]
    frame = pandas.DataFrame(pixels / scale if scale else pixels, columns=columns)
    target = data.target()
    labels = [target.classes[i] for i in data.labels[target.name]]
    frame.insert(0, "label", labels)
    frame.insert(1, "split", data.parts)
    return frame


@layout("CSV of pixels with a column of parts", "pixels")
def pixels_with_parts(samples: Sequence[Sample], root: Path) -> Written:
    pixel_frame(samples, root).to_csv(root / "pixels.csv", index=False)
    return Written(root / "pixels.csv")


@layout("CSV of pixels scaled to 0–1", "pixels")
def scaled_pixels(samples: Sequence[Sample], root: Path) -> Written:
    pixel_frame(samples, root, scale=255).to_csv(root / "pixels.csv", index=False)
    return Written(root / "pixels.csv")


@layout("CSV of pixels in one cell, as FER2013", "pixels")
def fer(samples: Sequence[Sample], root: Path) -> Written:
    frame = pixel_frame(samples, root)
    uses = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
    cells = [" ".join(map(str, row)) for row in frame.drop(columns=["label", "split"]).to_numpy().tolist()]
    columns = {"emotion": frame["label"], "pixels": cells, "Usage": frame["split"].map(uses)}
    pandas.DataFrame(columns).to_csv(root / "fer2013.csv", index=False)
    return Written(root / "fer2013.csv")


@layout("Parquet of pixels in columns", "pixels")
def pixel_columns(samples: Sequence[Sample], root: Path) -> Written:
    pixel_frame(samples, root).to_parquet(root / "pixels.parquet", index=False)
    return Written(root / "pixels.parquet")


@layout("JSON Lines of pixels in lists", "pixels")
def pixel_lists(samples: Sequence[Sample], root: Path) -> Written:
    frame = pixel_frame(samples, root)
    pixels = frame.drop(columns=["label", "split"]).to_numpy().tolist()
    rows = zip(frame["label"], frame["split"], pixels, strict=True)
    lines = [json.dumps({"label": label, "split": part, "pixels": row}) + "\n" for label, part, row in rows]
    (root / "pixels.jsonl").write_text("".join(lines))
    return Written(root / "pixels.jsonl")


@layout("Parquet as muslin convert writes it", "pixels")
def pixels_parquet(samples: Sequence[Sample], root: Path) -> Written:
    convert(read(as_idx(samples, root)), "parquet", root.with_suffix(".parquet"))
    return Written(root.with_suffix(".parquet"))
