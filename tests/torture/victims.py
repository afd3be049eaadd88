"""Every command that writes, as something to disturb: how to go on with it, and what must come of it."""

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from downloads import cached_files, download_job
from fork_server import Job
from inputs import (
    ADDING_CONSTANTS,
    FINE_TUNE,
    LINEAR_PROBE,
    PRODUCTS,
    SGD,
    TAGGING_CONSTANTS,
    TRAINING_CONSTANTS,
    Inputs,
)
from safetensors.numpy import load_file

from muslin.data.tables import open_table
from muslin.models.bundle import open_bundle
from muslin.review.store import Store
from muslin.similarity.index import open_index
from muslin.storage.row_cache import CHECK_BYTES, KEY_BYTES, SUFFIX
from muslin.workflows.review_init import InitOptions, init
from muslin.workflows.tag import TagOptions, tag
from similar_shop import similar_shop
from wholeness import Watch


@dataclass(frozen=True)
class Victim:
    """A command to disturb.

    Attributes:
        job: what a user types next in an empty folder, or in one where the command did not end well.
        check: raises an exception where a file that is there is not whole.
        outcome: what must be equal however often the command was disturbed.
        watched: the folders in which it writes, in that folder.
    """

    job: Callable[[Path], Job]
    check: Callable[[Path], object]
    outcome: Callable[[Path], Any]
    watched: tuple[str, ...] = ("",)


# ── Trainings ────────────────────────────────────────────────────────────────────────────────────────────

TRAININGS = {
    "sgd": ("garments", [*SGD, "--epochs", "4"]),
    "linear_probe": ("photos", LINEAR_PROBE),
    "fine_tune": ("photos", [*FINE_TUNE, "--epochs", "2"]),
}


def training(inputs: Inputs, kind: str) -> Victim:
    """A training with an empty cache of features."""
    data, words = TRAININGS[kind]

    def job(folder: Path) -> Job:
        run = folder / "run"
        words_next = ["train", "--resume", run, "--json"]
        if not (run / "run.json").exists():
            words_next = ["train", getattr(inputs, data), *words, "--out", run, "--json"]
        constants = dict(TRAINING_CONSTANTS)
        if kind != "sgd":  # a backbone's checkpoint is too large to be written so often
            del constants["muslin.learn.training_loop:CHECKPOINT_EVERY_S"]
        return Job(words_next, folder, inputs.environment(folder / "cache"), constants=constants)

    def check(folder: Path) -> None:
        Watch(folder / "run").look()
        cached_features(folder)

    return Victim(job, check, training_outcome, ("run", "cache"))


def training_outcome(folder: Path) -> dict[str, Any]:
    """Everything that must not depend on interruptions."""
    run = folder / "run"
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    bundle = open_bundle(run / "model.muslin")
    history = [json.loads(row) for row in (run / "history.jsonl").read_text().splitlines()]
    checkpoint = load_file(run / "checkpoint.safetensors") if (run / "checkpoint.safetensors").exists() else {}
    return {
        "model": bundle.model,
        "weights": bundle.weights,
        "checkpoint": {name: value.tobytes() for name, value in checkpoint.items()},
        "history": [{**row, "elapsed_s": None} for row in history],
        "evaluation": (run / "evaluation.json").read_bytes(),
        "features": cached_features(folder),
    }


def cached_features(folder: Path) -> dict[bytes, bytes]:
    """By a photo's digest; each file must be whole."""
    features: dict[bytes, bytes] = {}
    for path in sorted((folder / "cache").rglob(f"features/*/[!.]*{SUFFIX}")):
        content = path.read_bytes()
        keys, rows = 8, 8 + int.from_bytes(content[:8], "little") * (KEY_BYTES + 8)
        ends = np.frombuffer(content[:rows], "<u8")[-(rows - 8) // (KEY_BYTES + 8) :]
        assert hashlib.sha256(content).hexdigest()[:32] == path.stem
        for place, end in enumerate(ends.tolist()):
            start = rows + (int(ends[place - 1]) if place else 0)
            key = content[keys + place * KEY_BYTES :][:KEY_BYTES]
            features[key] = content[start + CHECK_BYTES : rows + end]
    return features


# ── Other commands ───────────────────────────────────────────────────────────────────────────────────────


def tagging(inputs: Inputs, suffix: str, *more: object) -> Victim:
    catalogue, name = inputs.catalogue(suffix), f"tagged.{suffix}"

    def job(folder: Path) -> Job:
        words = ["tag", inputs.model, catalogue, "--images", inputs.folder / "images", "-o", name, "--resume", *more]
        return Job([*words, "--json"], folder, inputs.environment(folder / "cache"), constants=TAGGING_CONSTANTS)

    def outcome(folder: Path) -> bytes:
        assert not (folder / f"{name}.partial").exists()
        return (folder / name).read_bytes()

    def check(folder: Path) -> None:
        if (folder / name).exists():
            assert len(list(open_table(folder / name).rows(()))) == PRODUCTS

    return Victim(job, check, outcome)


def tagging_update(inputs: Inputs) -> Victim:
    """`muslin tag --update`, where the previous output has the first half of the products."""
    catalogue, previous, name = inputs.catalogue("csv"), inputs.folder / "previous.csv", "tagged.csv"
    if not previous.exists():
        half = inputs.folder / "half.csv"
        half.write_bytes(b"".join(catalogue.read_bytes().splitlines(keepends=True)[: 1 + PRODUCTS // 2]))
        read_options = {"images": inputs.folder / "images"}
        tag(inputs.model, half, previous, TagOptions(update=True, read_options=read_options))

    def job(folder: Path) -> Job:
        if not (folder / name).exists():
            shutil.copy(previous, folder / name)
        words = ["tag", inputs.model, catalogue, "--images", inputs.folder / "images", "-o", name]
        environment = inputs.environment(folder / "cache")
        return Job([*words, "--update", "--resume", "--json"], folder, environment, constants=TAGGING_CONSTANTS)

    def outcome(folder: Path) -> bytes:
        assert not (folder / f"{name}.partial").exists()
        return (folder / name).read_bytes()

    def check(folder: Path) -> None:
        content = (folder / name).read_bytes()
        assert content == previous.read_bytes() or len(list(open_table(folder / name).rows(()))) == PRODUCTS

    return Victim(job, check, outcome)


def review_add(inputs: Inputs) -> Victim:
    """`muslin review add` into a store without products."""
    catalogue, empty = inputs.catalogue("csv"), inputs.folder / "empty.db"
    if not empty.exists():
        init(str(empty), inputs.model, InitOptions(spot_checks=0.2), who="Ada")

    def job(folder: Path) -> Job:
        if not (folder / "shop.db").exists():
            shutil.copy(empty, folder / "shop.db")
        words = ["review", "add", "shop.db", catalogue, "--images", inputs.folder / "images", "--json"]
        return Job(words, folder, inputs.environment(folder / "cache"), constants=ADDING_CONSTANTS)

    def outcome(folder: Path) -> list[Any]:
        with Store.open(folder / "shop.db") as store:
            items = [store.items(target.name, sort="added", count=PRODUCTS) for target in store.targets]
            return [*store.products(), *items]

    def check(folder: Path) -> None:
        with TemporaryDirectory() as copy:  # SQLite needs room beside a database to open it
            for path in folder.glob("shop.db*"):
                shutil.copy(path, copy)
            check_store(Path(copy) / "shop.db")

    def check_store(path: Path) -> None:
        with Store.open(path) as store:
            names = [product.name for product in store.products()]
            readable = sum(product.error is None for product in store.products())
            assert len(names) == len(set(names))
            assert {len(store.items(target.name, count=PRODUCTS + 1)) for target in store.targets} == {readable}

    return Victim(job, check, outcome)


def indexing(inputs: Inputs) -> Victim:
    """`muslin similar build`, and again over the index that is there."""
    shop = inputs.folder / "similar shop"
    if not shop.exists():
        similar_shop(shop, products=30)

    def job(folder: Path) -> Job:
        words = ["similar", "build", shop / "products.csv", "--images", shop / "photos", "-o", "shop.index", "--json"]
        words += ["--update"] if (folder / "shop.index").exists() else ["--model", shop / "model.muslin"]
        return Job(words, folder, inputs.environment(folder / "cache"), constants=TAGGING_CONSTANTS)

    def check(folder: Path) -> None:
        if (folder / "shop.index").exists():
            assert len(open_index(folder / "shop.index").photos) == 90

    def outcome(folder: Path) -> bytes:
        assert files(folder).keys() == {"shop.index"}
        return (folder / "shop.index").read_bytes()

    return Victim(job, check, outcome)


def download(inputs: Inputs, tiny: dict[str, Any], *words: object) -> Victim:
    """`muslin get`; with `--csv out` also the tables that it writes there."""
    known: dict[str, bytes] = {}

    def check(folder: Path) -> None:
        for path in (folder / "cache/muslin/tiny").glob("[!.]*"):
            assert hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == tiny["files"][path.stem]
        if known:  # the next `get` removes what a killed one was writing
            found = {name: content for name, content in files(folder).items() if not name.endswith(".part")}
            assert found == {name: known[name] for name in found}, "a table is there, but not whole"

    def outcome(folder: Path) -> dict[str, bytes]:
        known.update(files(folder))
        assert len(known) == (2 if words else 0)
        return cached_files(folder) | files(folder)

    return Victim(lambda folder: download_job(inputs, tiny, folder, *words), check, outcome, ("",))


WRITERS = {
    "evaluate": ["evaluate", "MODEL", "LABELLED", "-o", "metrics.json"],
    "look": ["look", "GARMENTS", "-o", "sheet.png"],
    "audit": ["audit", "GARMENTS", "--check", "identical", "-o", "audit"],
    "explain": ["explain", "OTHER", "PHOTO", "-o", "page.html"],
    "compare": ["compare", "MODEL", "OTHER", "LABELLED", "--split", "all", "-o", "sheet.png"],
    "compare targets": [
        "compare",
        "PAIR",
        "OTHER_PAIR",
        "LABELLED_PAIR",
        "--split",
        "all",
        "-o",
        "sheet.png",
        "--overwrite",
    ],
    "folders": ["convert", "GARMENTS", "out", "--to", "folders"],
    "csv": ["convert", "GARMENTS", "out", "--to", "csv"],
    "idx": ["convert", "GARMENTS", "out", "--to", "idx"],
    "parquet": ["convert", "GARMENTS", "out.parquet", "--to", "parquet"],
}
"""Commands that write what is there whole or not at all. Two files of one command are replaced one after the other."""


def writer(inputs: Inputs, kind: str) -> Victim:
    places = {
        "MODEL": inputs.model, "OTHER": inputs.other_model, "LABELLED": inputs.labelled, "GARMENTS": inputs.garments,
        "PHOTO": next(inputs.photos.rglob("*.png")), "PAIR": inputs.pair[0], "OTHER_PAIR": inputs.pair[1],
        "LABELLED_PAIR": inputs.labelled_pair,
    }  # fmt: skip
    words = [places.get(word, word) for word in WRITERS[kind]]
    known: dict[str, bytes] = {}

    def job(folder: Path) -> Job:
        more = [] if kind in ("look", "explain") else ["--json"]
        return Job([*words, *more], folder, inputs.environment(folder / "cache"))

    def check(folder: Path) -> None:
        if known:
            found = files(folder)
            assert found == {name: known[name] for name in found}, "a file is there, but not whole"

    def outcome(folder: Path) -> dict[str, bytes]:
        found = files(folder)
        assert found
        known.update(found)
        return found

    return Victim(job, check, outcome)


def files(folder: Path) -> dict[str, bytes]:
    """By name what the files hold, without the cache and without the seconds that an audit took."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    if content := found.get("audit/audit.json"):
        found["audit/audit.json"] = json.dumps(json.loads(content) | {"seconds": None}).encode()
    if content := found.get("audit/audit.html"):
        assert content.strip().endswith(b"</html>")
        found["audit/audit.html"] = re.sub(rb'row">time</th><td>.*?</td>', b"", content)
    return {name: content for name, content in found.items() if not name.startswith("cache")}


CONTINUED = (
    "train sgd", "train linear_probe", "train fine_tune", "tag csv", "tag xlsx", "tag parquet", "tag jsonl",
    "tag update", "tag processes", "get", "get csv", "review add", "similar build",
)  # fmt: skip
"""Commands that keep finished work and go on with it."""

NAMES = (*CONTINUED, *WRITERS)


def commands(names: Iterable[str], short: Collection[str]) -> list[Any]:
    """Parameters of a test: all `names`, of which the short form takes those in `short`."""
    return [pytest.param(name, marks=() if name in short else pytest.mark.long) for name in names]


def victim(name: str, inputs: Inputs, tiny: dict[str, Any]) -> Victim:
    """One of NAMES. `tiny` are the fields of a registered data set."""
    command, _, kind = name.partition(" ")
    match command:
        case "train":
            return training(inputs, kind)
        case "tag":
            if kind == "processes":
                return tagging(inputs, "csv", "--on", "local:2")
            return tagging_update(inputs) if kind == "update" else tagging(inputs, kind)
        case "review":
            return review_add(inputs)
        case "similar":
            return indexing(inputs)
        case "get":
            return download(inputs, tiny, *(["--csv", "out", "--overwrite"] if kind else []))
    return writer(inputs, name)
