"""Small valid files of every kind that muslin reads, each to be damaged."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

LABELS = ("dress", "hat", "Überrock", "dress", "hat", "Überrock")
PARTS = ("train", "train", "train", "test", "test", "test")


@dataclass(frozen=True)
class ValidFiles:
    """A data set, a table or an image in its files.

    Attributes:
        files: content by path.
        damaged: the paths of the files to be damaged, one at a time.
        opened: the path that is opened, a file or a folder; "" for the folder of all files.
    """

    files: dict[str, bytes]
    damaged: tuple[str, ...]
    opened: str = ""


# ── Images ───────────────────────────────────────────────────────────────────────────────────────────────


def picture(seed: int = 0, width: int = 24, height: int = 16) -> Image.Image:
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 240, dtype=np.uint8)
    pixels[3:13, 5:18] = random.integers(0, 256, 3)
    pixels[::5, ::3] = random.integers(0, 256, 3)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _jpeg(mode: str = "RGB", **options: Any) -> bytes:
    return encoded(picture().convert(mode), "JPEG", **options)


def _with_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    return _jpeg(exif=exif, comment=b"a comment", dpi=(72, 72))


def _transparent() -> Image.Image:
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def _frames(format: str, **options: Any) -> bytes:
    return encoded(picture(), format, save_all=True, append_images=[picture(1), picture(2)], **options)


def _png_16_bits() -> bytes:
    values = np.arange(24 * 16, dtype=np.uint16).reshape(16, 24) * 170
    return encoded(Image.fromarray(values), "PNG")


IMAGES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: _jpeg(quality=85),
    "jpeg-progressive": lambda: _jpeg(progressive=True, quality=85),
    "jpeg-cmyk": lambda: _jpeg("CMYK"),
    "jpeg-gray": lambda: _jpeg("L"),
    "jpeg-exif": _with_exif,
    "png": lambda: encoded(picture(), "PNG"),
    "png-palette": lambda: encoded(picture().quantize(16), "PNG", transparency=3),
    "png-alpha": lambda: encoded(_transparent(), "PNG"),
    "png-16-bits": _png_16_bits,
    "png-1-bit": lambda: encoded(picture().convert("1"), "PNG"),
    "gif": lambda: encoded(picture(), "GIF"),
    "gif-animated": lambda: _frames("GIF", duration=50),
    "webp": lambda: encoded(picture(), "WEBP"),
    "webp-lossless": lambda: encoded(_transparent(), "WEBP", lossless=True),
    "webp-animated": lambda: _frames("WEBP", duration=50),
    "tiff": lambda: encoded(picture(), "TIFF"),
    "tiff-lzw": lambda: encoded(picture(), "TIFF", compression="tiff_lzw"),
    "tiff-deflate": lambda: encoded(picture(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff-jpeg": lambda: encoded(picture(), "TIFF", compression="jpeg"),
    "tiff-fax": lambda: encoded(picture().convert("1"), "TIFF", compression="group4"),
    "tiff-cmyk": lambda: encoded(picture().convert("CMYK"), "TIFF", compression="packbits"),
    "tiff-pages": lambda: _frames("TIFF"),
    "bmp": lambda: encoded(picture(), "BMP"),
    "bmp-palette": lambda: encoded(picture().quantize(16), "BMP"),
    "avif": lambda: encoded(picture(), "AVIF"),
    "jpeg2000": lambda: encoded(picture(), "JPEG2000"),
    "ppm": lambda: encoded(picture(), "PPM"),
    "pgm": lambda: b"P2\n# a comment\n3 2\n255\n0 50 100\n150 200 250\n",
}


def _photo(number: int) -> bytes:
    return encoded(picture(number), "JPEG", quality=70)


def _photos(folder: str) -> dict[str, bytes]:
    return {f"{folder}/{number:03}.jpg": _photo(number) for number in range(len(LABELS))}


# ── Pixels ───────────────────────────────────────────────────────────────────────────────────────────────


def _pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (len(LABELS), 4, 4), dtype=np.uint8)


def _idx() -> ValidFiles:
    files = {}
    for prefix in ("train", "t10k"):
        images = struct.pack(">4I", 0x803, len(LABELS), 4, 4) + _pixels().tobytes()
        labels = struct.pack(">2I", 0x801, len(LABELS)) + bytes(range(len(LABELS)))
        files |= {f"{prefix}-images-idx3-ubyte": images, f"{prefix}-labels-idx1-ubyte": labels}
    return ValidFiles(files, tuple(files))


def _gzipped(valid: ValidFiles) -> ValidFiles:
    """The same files with those that are damaged gzipped."""
    packed = {name: gzip.compress(valid.files[name], mtime=0) for name in valid.damaged}
    others = {name: content for name, content in valid.files.items() if name not in packed}
    files = others | {f"{name}.gz": content for name, content in packed.items()}
    opened = f"{valid.opened}.gz" if valid.opened in packed else valid.opened
    return ValidFiles(files, tuple(f"{name}.gz" for name in packed), opened)


def _pixels_csv(
    *, header: bool = True, delimiter: str = ",", scale: float | None = None, name: str = "pixels.csv"
) -> ValidFiles:
    lines = [delimiter.join(["label", *(f"pixel{i}" for i in range(1, 17))])] if header else []
    for number, image in enumerate(_pixels()):
        values = image.ravel().tolist() if scale is None else (image.ravel() / scale).round(4).tolist()
        lines.append(delimiter.join(map(str, [number % 3, *values])))
    return ValidFiles({name: "".join(f"{line}\n" for line in lines).encode()}, (name,), name)


def _fer_csv() -> ValidFiles:
    """Pixels in one cell, as of the FER data set."""
    rows = (
        f"{i % 3},{' '.join(map(str, image.ravel()))},{'Training' if i < 4 else 'PublicTest'}"
        for i, image in enumerate(_pixels())
    )
    return ValidFiles({"fer.csv": "\n".join(["emotion,pixels,Usage", *rows]).encode()}, ("fer.csv",), "fer.csv")


def _pixels_csv_folder() -> ValidFiles:
    content = _pixels_csv().files["pixels.csv"]
    files = {"train.csv": content, "test.csv": content}
    return ValidFiles(files, tuple(files))


def _pixels_parquet() -> ValidFiles:
    columns = {f"pixel{i}": column.tolist() for i, column in enumerate(_pixels().reshape(len(LABELS), -1).T)}
    return _parquet_file({"label": list(LABELS), **columns}, {})


# ── Tables of photos ─────────────────────────────────────────────────────────────────────────────────────


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "image": f"images/{number:03}.jpg",
            "label": label,
            "price": 19.9 + number,
            "ean": f"00{4006381333930 + number}",
            "title": f'A "{label}", blue;\nsize {number}',
            "split": part,
        }
        for number, (label, part) in enumerate(zip(LABELS, PARTS, strict=True))
    ]


def _text_table(encoding: str = "utf-8", delimiter: str = ",", first: str = "", name: str = "table.csv") -> ValidFiles:
    def cell(value: object) -> str:
        return '"' + str(value).replace('"', '""') + '"' if isinstance(value, str) else str(value)

    lines = [delimiter.join(_rows()[0])] + [delimiter.join(map(cell, row.values())) for row in _rows()]
    content = (first + "".join(f"{line}\r\n" for line in lines)).encode(encoding)
    return ValidFiles(_photos("images") | {name: content}, (name,), name)


def _workbook() -> ValidFiles:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Autumn catalogue"])
    sheet.append([])
    sheet.append(list(_rows()[0]))
    for row in _rows():
        sheet.append(list(row.values()))
    sheet["G3"], sheet["G4"], sheet["G5"] = "note", "=1+1", True
    sheet.merge_cells("B4:B5")
    book.create_sheet("empty")
    file = io.BytesIO()
    book.save(file)
    return ValidFiles(_photos("images") | {"table.xlsx": _without_time(file.getvalue())}, ("table.xlsx",), "table.xlsx")


def _without_time(content: bytes) -> bytes:
    """A zip's entries without the time at which they were made."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            if entry.filename != "docProps/core.xml":  # who made it, and when
                target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _parquet_file(columns: dict[str, Any], others: dict[str, bytes]) -> ValidFiles:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return ValidFiles(others | {"table.parquet": file.getvalue()}, ("table.parquet",), "table.parquet")


def _parquet() -> ValidFiles:
    return _parquet_file({name: [row[name] for row in _rows()] for name in _rows()[0]}, _photos("images"))


def _parquet_photos() -> ValidFiles:
    """As Hugging Face's data sets."""
    images = [{"bytes": _photo(number), "path": f"{number}.jpg"} for number in range(len(LABELS))]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return _parquet_file({"image": pa.array(images, kind), "label": list(LABELS), "split": list(PARTS)}, {})


def _json_lines() -> ValidFiles:
    rows = [row | {"tags": ["red", "wool"][: number % 3]} for number, row in enumerate(_rows())]
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return ValidFiles(_photos("images") | {"table.jsonl": content}, ("table.jsonl",), "table.jsonl")


# ── Exports ──────────────────────────────────────────────────────────────────────────────────────────────


def _json(content: object, name: str = "export.json", opened: str | None = None) -> ValidFiles:
    files = _photos("images") | {name: json.dumps(content, indent=1).encode()}
    return ValidFiles(files, (name,), name if opened is None else opened)


def _label_studio() -> ValidFiles:
    tasks = [
        {
            "id": number,
            "data": {"image": f"images/{number:03}.jpg"},
            "annotations": [
                {"id": number, "result": [{"from_name": "choice", "to_name": "image", "type": "choices",
                                           "value": {"choices": [label]}}]}
            ],
        }
        for number, label in enumerate(LABELS)
    ]  # fmt: skip
    return _json(tasks)


def _label_studio_min() -> ValidFiles:
    return _json([{"image": f"images/{i:03}.jpg", "id": i, "choice": label} for i, label in enumerate(LABELS)])


def _coco() -> ValidFiles:
    names = sorted(set(LABELS))
    images = [{"id": i, "file_name": f"images/{i:03}.jpg", "width": 24, "height": 16} for i in range(len(LABELS))]
    annotations = [{"id": i, "image_id": i, "category_id": names.index(label)} for i, label in enumerate(LABELS)]
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    return _json({"info": {}, "images": images, "annotations": annotations, "categories": categories})


def _fiftyone() -> ValidFiles:
    names = sorted(set(LABELS))
    labels = {f"{number:03}": names.index(label) for number, label in enumerate(LABELS)}
    files = _photos("data") | {"labels.json": json.dumps({"classes": names, "labels": labels}).encode()}
    return ValidFiles(files, ("labels.json",))


def _imaterialist() -> ValidFiles:
    images = [{"url": "http://nowhere.invalid", "imageId": f"{i:03}"} for i in range(len(LABELS))]
    annotations = [{"imageId": f"{i:03}", "labelId": [str(1 + i % 3), "17"]} for i in range(len(LABELS))]
    return _json({"images": images, "annotations": annotations}, "train.json")


def _one_hot() -> ValidFiles:
    """As Roboflow's."""
    names = sorted(set(LABELS))
    lines = [", ".join(["filename", *names])] + [
        ", ".join([f"{i:03}.jpg", *(str(int(label == name)) for name in names)]) for i, label in enumerate(LABELS)
    ]
    files = {}
    for part in ("train", "test"):
        files |= _photos(part) | {f"{part}/_classes.csv": "\n".join(lines).encode()}
    return ValidFiles(files, ("train/_classes.csv", "test/_classes.csv"))


def _deepfashion() -> ValidFiles:
    photos = [f"img/A_Dress/img_{i:08}.jpg" for i in range(len(LABELS))]
    categories = ["Dress", "Hat"]

    def lines(header: str, rows: Iterable[str]) -> bytes:
        rows = list(rows)
        return "\n".join([str(len(rows)), header, *rows, ""]).encode()

    lists = {
        "Anno/list_category_cloth.txt": lines("category_name category_type", [f"{name}  1" for name in categories]),
        "Anno/list_category_img.txt": lines(
            "image_name category_label", [f"{photo}  {1 + i % 2}" for i, photo in enumerate(photos)]
        ),
        "Anno/list_attr_cloth.txt": lines("attribute_name attribute_type", ["a-line  3", "animal print  1"]),
        "Anno/list_attr_img.txt": lines(
            "image_name attribute_labels", [f"{photo}  {1 - 2 * (i % 2)}  0" for i, photo in enumerate(photos)]
        ),
        "Anno/list_bbox.txt": lines("image_name x_1 y_1 x_2 y_2", [f"{photo}  2 1 20 15" for photo in photos]),
        "Eval/list_eval_partition.txt": lines(
            "image_name evaluation_status", [f"{photo}  {part}" for photo, part in zip(photos, PARTS, strict=True)]
        ),
    }
    return ValidFiles(lists | {photo: _photo(i) for i, photo in enumerate(photos)}, tuple(lists))


# ── Folders in archives ──────────────────────────────────────────────────────────────────────────────────


def _folder_files() -> dict[str, bytes]:
    """Photos below parts and classes, and what systems leave beside them."""
    photos = {
        f"set-main/{part}/{label}/{number}.jpg": _photo(number)
        for number, (label, part) in enumerate(zip(LABELS, PARTS, strict=True))
    }
    return photos | {"set-main/README.md": b"Photos.\n", "__MACOSX/._set-main": b"\0\1", "set-main/.DS_Store": b"\0"}


def _zip(method: int = zipfile.ZIP_STORED, files: dict[str, bytes] | None = None) -> ValidFiles:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in (files or _folder_files()).items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return ValidFiles({"photos.zip": file.getvalue()}, ("photos.zip",), "photos.zip")


class _Stream(io.BytesIO):
    """A file in which one cannot go back, as a pipe."""

    def seekable(self) -> bool:
        return False

    def seek(self, *place: int) -> int:
        raise OSError


def _zip_from_a_pipe() -> ValidFiles:
    """With the sizes behind each content, not before it."""
    file = _Stream()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"a comment"
        for name, content in _folder_files().items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return ValidFiles({"photos.zip": file.getvalue()}, ("photos.zip",), "photos.zip")


def _zip_with_table() -> ValidFiles:
    return _zip(files=_text_table().files)


def _tar(format: int = tarfile.PAX_FORMAT) -> ValidFiles:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for name, content in _folder_files().items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return ValidFiles({"photos.tar": file.getvalue()}, ("photos.tar",), "photos.tar")


def _classes_file() -> ValidFiles:
    names = sorted(set(LABELS))
    files = {f"{label}/{number}.jpg": _photo(number) for number, label in enumerate(LABELS)}
    return ValidFiles(files | {"classes.txt": "\n".join(names).encode()}, ("classes.txt", "dress/0.jpg"))


def _image_folder(suffix: str) -> ValidFiles:
    """As Hugging Face's: a table in the folder of each part."""
    files: dict[str, bytes] = {}
    for part in ("train", "test"):
        rows = [{"file_name": f"{i:03}.jpg", "label": label} for i, label in enumerate(LABELS)]
        if suffix == ".csv":
            lines = ["file_name,label", *(",".join(row.values()) for row in rows)]
        else:
            lines = [json.dumps(row) for row in rows]
        files |= _photos(part) | {f"{part}/metadata{suffix}": "\n".join(lines).encode()}
    return ValidFiles(files, (f"train/metadata{suffix}", f"test/metadata{suffix}"))


def _parquet_shards() -> ValidFiles:
    content = _parquet_photos().files["table.parquet"]
    files = {
        f"data/{name}.parquet": content
        for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001")
    }
    return ValidFiles(files, tuple(files))


def _folder_with_table() -> ValidFiles:
    files = _text_table().files
    return ValidFiles(files, ("table.csv",))


def _label_studio_csv() -> ValidFiles:
    """With the paths of a server, and choices in JSON where there are several."""
    choices = ("dress", '"{""choices"": [""dress"", ""hat""]}"', "hat", "dress", "hat", "")
    lines = ["annotation_id,annotator,choice,created_at,id,image,lead_time,updated_at"] + [
        f"{100 + i},1,{choice},2024-05-01T10:00:00Z,{i},/data/upload/1/{i:08x}-{i:03}.jpg,3.2,2024-05-01T10:00:00Z"
        for i, choice in enumerate(choices)
    ]
    files = _photos("images") | {"project.csv": "\n".join(lines).encode()}
    return ValidFiles(files, ("project.csv",), "project.csv")


def _deepfashion_fine() -> ValidFiles:
    files = {name: content for name, content in _deepfashion().files.items() if name.startswith("img/")}
    photos = sorted(files)
    lists = {
        "list_category_cloth.txt": b"2\ncategory_name category_type\nDress  1\nHat  1\n",
        "list_attr_cloth.txt": b"2\nattribute_name attribute_type\na-line  3\nanimal print  1\n",
    }
    for part, chosen in (("train", photos[:3]), ("test", photos[3:])):
        for name, line in (("", "{}"), ("_cate", "1"), ("_attr", "1 0"), ("_bbox", "2 1 20 15")):
            lists[f"{part}{name}.txt"] = "".join(f"{line.format(photo)}\n" for photo in chosen).encode()
    fine = {f"Anno_fine/{name}": content for name, content in lists.items()}
    return ValidFiles(files | fine, tuple(fine))


def _deepfashion_items() -> ValidFiles:
    """As DeepFashion's In-shop photos."""
    photos = [f"img/WOMEN/Dresses/id_{i // 2:08}/01_{i}_front.jpg" for i in range(len(LABELS))]
    rows = [f"{photo} id_{i // 2:08} {('train', 'query', 'gallery')[i % 3]}" for i, photo in enumerate(photos)]
    listed = "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows, ""]).encode()
    files = {photo: _photo(i) for i, photo in enumerate(photos)}
    name = "Eval/list_eval_partition.txt"
    return ValidFiles(files | {name: listed}, (name,))


DATA_SETS: dict[str, Callable[[], ValidFiles]] = {
    "idx": _idx,
    "idx-gz": lambda: _gzipped(_idx()),
    "pixels-csv": _pixels_csv,
    "pixels-csv-gz": lambda: _gzipped(_pixels_csv()),
    "pixels-csv-without-header": lambda: _pixels_csv(header=False, delimiter=";"),
    "pixels-csv-floats": lambda: _pixels_csv(scale=255),
    "pixels-csv-in-one-cell": _fer_csv,
    "pixels-csv-folder": _pixels_csv_folder,
    "pixels-parquet": _pixels_parquet,
    "csv": _text_table,
    "csv-gz": lambda: _gzipped(_text_table()),
    "csv-semicolon": lambda: _text_table("cp1252", ";", "sep=;\r\n"),
    "csv-title": lambda: _text_table("utf-8-sig", ",", "Autumn,,,,,\r\n# a comment\r\n\r\n"),
    "csv-utf-16": lambda: _text_table("utf-16", "\t"),
    "tsv": lambda: _text_table(delimiter="\t", name="table.tsv"),
    "xlsx": _workbook,
    "parquet": _parquet,
    "parquet-photos": _parquet_photos,
    "jsonl": _json_lines,
    "label-studio": _label_studio,
    "label-studio-min": _label_studio_min,
    "coco": _coco,
    "fiftyone": _fiftyone,
    "imaterialist": _imaterialist,
    "one-hot": _one_hot,
    "deepfashion": _deepfashion,
    "deepfashion-fine": _deepfashion_fine,
    "deepfashion-items": _deepfashion_items,
    "image-folder-csv": lambda: _image_folder(".csv"),
    "image-folder-jsonl": lambda: _image_folder(".jsonl"),
    "parquet-shards": _parquet_shards,
    "folder-with-table": _folder_with_table,
    "label-studio-csv": _label_studio_csv,
    "folder": _classes_file,
    "zip": _zip,
    "zip-deflated": lambda: _zip(zipfile.ZIP_DEFLATED),
    "zip-from-a-pipe": _zip_from_a_pipe,
    "zip-with-table": _zip_with_table,
    "tar": _tar,
    "tar-gnu": lambda: _tar(tarfile.GNU_FORMAT),
    "tar-gz": lambda: _gzipped(_tar()),
}
"""Data sets by kind; each is also opened as a table."""


@cache
def valid_files(kind: str) -> ValidFiles:
    """The files of one of KINDS."""
    if kind in IMAGES:
        return ValidFiles({"photo": IMAGES[kind]()}, ("photo",), "photo")
    return DATA_SETS[kind]()


KINDS = (*IMAGES, *DATA_SETS)
