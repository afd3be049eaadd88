"""Data sets with a name: their files, where to download them, their checksums and their classes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.errors import DataError, unknown


@dataclass(frozen=True)
class RegisteredDataset:
    """A data set with a name: either a folder of `files`, or one archive of photos.

    Attributes:
        name: the name on the command line.
        title: what its authors call it, and its content.
        licence: the short name of its licence.
        page: the web page about it.
        urls: where to download it: folders that hold each of `files` as `NAME.gz`, or archives.
        size: size of the download, for a person; None where it is unknown.
        download_bytes: about the same as a number, for the share that is done; None where it is unknown.
        name_pattern: regular expression for the name of a local copy, without `.zip` and the like, in any case.
        contents: names of which any in a folder shows that the folder is a copy.
        files: per file of a set of pixels the SHA-256 of its uncompressed content; empty for an archive.
        archive_sha256: of the published archive; None where it is unknown.
        photos_sha256: `dataset_cache.photos_digest` of its photos, which is the same for every archive and folder;
            None where it is unknown.
        table: the table in the copy that names the photos; "" where folders are the classes.
        targets: the columns of `table` with the labels.
        junk: labels that are no classes.
        photo_folders: the folders beside `table` that can hold the photos; the first that exists is used.
        classes: names of the label's classes, in order, where the files only hold numbers.
        shape: (height, width, channels) of every image of a set of pixels.
        transform: how a photo becomes such an image (a row of `muslin.images.TRANSFORMS`).
        debian_package: Debian's package with the files, and
        debian_folder: the folder to which the package installs them.
    """

    name: str
    title: str
    licence: str
    page: str
    urls: tuple[str, ...]
    size: str | None
    name_pattern: str
    contents: tuple[str, ...]
    download_bytes: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    archive_sha256: str | None = None
    photos_sha256: str | None = None
    table: str = ""
    targets: tuple[str, ...] = ()
    junk: tuple[str, ...] = ()
    photo_folders: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    shape: tuple[int, int, int] | None = None
    transform: str = "fit"
    debian_package: str | None = None
    debian_folder: Path | None = None

    def to_dict(self) -> dict[str, str]:
        """Facts to read before a download: title, page, source, size, licence, checksum. Plain values for JSON."""
        checksums = dict(self.files) | {"its photos": self.photos_sha256, "its archive": self.archive_sha256}
        lines = [f"SHA-256 {sha256} of {name}" for name, sha256 in checksums.items() if sha256]
        return {
            "title": self.title,
            "page": self.page,
            "source": " or\n".join(self.urls),
            "size": self.size or "unknown",
            "licence": self.licence,
            "checksum": "\n".join(lines) or "no SHA-256 is known",
        }


FASHION_MNIST = RegisteredDataset(
    name="fashion-mnist",
    title="Fashion-MNIST, 60,000 train and 10,000 test images of clothes, 28×28 gray, 10 classes",
    licence="MIT",
    page="https://github.com/zalandoresearch/fashion-mnist",
    urls=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    size="about 31 MB",
    download_bytes=30_878_645,
    name_pattern=r"fashion[-_]?mnist",
    contents=("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"),
    files={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
             "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    shape=(28, 28, 1),
    transform="fashion-mnist",
    debian_package="dataset-fashion-mnist",
    debian_folder=Path("/usr/share/datasets/fashion-mnist"),
)  # fmt: skip

CLOTHING_SMALL = RegisteredDataset(
    name="clothing-small",
    title="Clothing dataset (small), 3,781 photos of clothes taken by many people, 10 classes; "
    "train 3,068, validation 341, test 372",
    licence="CC0",
    page="https://github.com/alexeygrigorev/clothing-dataset-small",
    urls=(
        "https://github.com/alexeygrigorev/clothing-dataset-small/archive/11961516512414bf9f6c150a832cfd21b54a6b54.zip",
    ),
    size="about 107 MB",  # of the photos; GitHub packs an archive anew whenever it likes
    download_bytes=107_000_000,
    name_pattern=r"clothing(-dataset)?-small(-master|-main|-[0-9a-f]{7,40})?",
    contents=("train/t-shirt",),
    # Both measured on a copy of that commit; its authors publish none.
    archive_sha256="b18a82415e790710bee0634e06acc8f8ead1851a37da5f2d7d4e7344e29b60da",
    photos_sha256="f8667cfe4a397f1be854d7d6c56118e4eaf6e9654ac37940e443dec3b4e55721",
)

CLOTHING = RegisteredDataset(
    name="clothing",
    title="Clothing dataset, over 5,000 photos of clothes taken by many people, 20 labels, and who sent each",
    licence="CC0",
    page="https://github.com/alexeygrigorev/clothing-dataset",
    urls=("https://github.com/alexeygrigorev/clothing-dataset/archive/2e050aebce9beea65b30d2b56ef4b8d51f86a953.zip",),
    size=None,
    name_pattern=r"clothing(-dataset)?(-full)?(-master|-main|-[0-9a-f]{7,40})?",
    contents=("images.csv",),
    table="images.csv",
    targets=("label",),
    junk=("Not sure", "Other", "Skip"),
    photo_folders=("images", "images_compressed", "images_original"),
)

CATS_DOGS = RegisteredDataset(
    name="cats-dogs",
    title="Cats and dogs, 25,000 photos from Asirra, 12,500 of each; a few are damaged, which reading them reports",
    licence="CDLA-Permissive-2.0",
    page="https://www.microsoft.com/en-us/download/details.aspx?id=54765",
    urls=(
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
    ),
    size="824,887,076 bytes",
    download_bytes=824_887_076,
    name_pattern=r"cats-dogs|cat-and-dog|kagglecatsanddogs(_\d+a?)?|PetImages",
    contents=("PetImages",),
    archive_sha256="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
)

DATASETS = {row.name: row for row in (FASHION_MNIST, CLOTHING_SMALL, CLOTHING, CATS_DOGS)}
"""Every registered data set, by its name."""


def lookup(name: str) -> RegisteredDataset:
    """The registered data set called `name`.

    Raises:
        DataError: there is none; the message has the nearest name.
    """
    if name not in DATASETS:
        raise DataError("dataset_unknown", **unknown(name, DATASETS))
    return DATASETS[name]


def recognise(dataset: Dataset, names: Iterable[str]) -> RegisteredDataset | None:
    """The registered data set that `dataset` is a copy of: the name of its file or folder says so, and it fits.

    Args:
        names: names of the files or folders it was read from, such as `fashion-mnist_train.csv`.
    """
    for row in DATASETS.values():
        pattern = re.compile(row.name_pattern, re.IGNORECASE)
        if _class_indices(row, dataset) is not None and any(map(pattern.search, names)):
            return row
    return None


def with_registered_classes(row: RegisteredDataset, dataset: Dataset) -> Dataset:
    """`dataset` with the class names and the transform of `row`; unchanged where its images or labels do not fit."""
    indices = _class_indices(row, dataset)
    if indices is None:
        return dataset
    target = dataset.target()
    table = np.array([*indices, UNKNOWN], dtype=np.int64)  # UNKNOWN (-1) points to the last entry
    return replace(
        dataset,
        targets=(Target(target.name, row.classes),),
        labels={target.name: table[dataset.labels[target.name]]},
        transform=row.transform,
    )


def _class_indices(row: RegisteredDataset, dataset: Dataset) -> list[int] | None:
    """Per class of `dataset` its index in `row.classes`, by name or number; None where the data do not fit."""
    if len(dataset.targets) != 1 or not isinstance(dataset.images, PixelImages):
        return None
    target = dataset.targets[0]
    if target.kind != "multiclass" or dataset.images.pixels.shape[1:] != row.shape:
        return None
    index = {str(i): i for i in range(len(row.classes))} | {name: i for i, name in enumerate(row.classes)}
    return [index[name] for name in target.classes] if index.keys() >= set(target.classes) else None
