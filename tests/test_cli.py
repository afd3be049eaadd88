"""The terminal edge: what it prints, where, and with which exit code."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import COMMAND, Said, refusal, run, within
from muslin.cli import cli
from muslin.data.dataset import pixel_array
from muslin.data.registry import write_csv
from muslin.data.synthetic import SyntheticDataset
from muslin.models.bundle import seal
from small_models import small_bundle

COMMANDS = (
    "get",
    "look",
    "audit",
    "train",
    "evaluate",
    "predict",
    "tag",
    "compare",
    "convert",
    "inspect",
    "explain",
    "studio",
)


@pytest.fixture
def here(drawn: SyntheticDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with garments.csv, model.muslin (it counts pixels) and two images."""
    write_csv(replace(drawn.dataset, name="garments"), tmp_path)
    seal(small_bundle(), tmp_path / "model.muslin")
    for name, gray in (("dark.png", 0), ("bright.png", 240)):
        Image.new("L", (8, 8), gray).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def usage_error(said: Said) -> str:
    assert said.code == 2
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err.splitlines()[-1]


# --- starting


def test_the_commands_are_those_that_are_promised(capfd: Any) -> None:
    said = within(capfd, "--help")
    assert said.code == 0
    assert tuple(sorted(cli.commands)) == tuple(sorted(COMMANDS))
    assert all(f"  {name} " in said.out for name in COMMANDS)
    for name in COMMANDS:
        assert within(capfd, name, "-h").out.startswith(f"Usage: muslin {name}")


def test_help_and_version_import_nothing_heavy() -> None:
    for words in (["--help"], ["--version"], ["train", "--help"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", str(COMMAND), *words], capture_output=True, text=True
        )
        assert done.returncode == 0
        imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines()}
        assert "click" in imported, "so the list is there and is read rightly"
        heavy = {"torch", "onnx", "onnxruntime", "numpy", "scipy", "sklearn", "pyarrow", "PIL", "rich"}
        assert not imported & heavy


def test_the_version_is_that_of_the_package(capfd: Any) -> None:
    from importlib.metadata import version

    assert within(capfd, "--version") == Said(0, f"muslin {version('muslin')}\n", "")


# --- wrong usage: exit code 2


@pytest.mark.parametrize(
    ("words", "last"),
    [
        ("trian", "No such command 'trian'. Did you mean 'train'?"),
        ("train x.csv --recpie quick", "--recipe"),
        ("train", "name the DATA to train on, or a run to --resume."),
        ("train x.csv --epochs 0", "0 is not in the range x>=1"),
        ("train x.csv --epochs many", "'many' is not a valid integer range"),
        ("train x.csv --seed -1", "-1 is not in the range x>=0"),
        ("train x.csv --shape 28", "give height and width, and 3 for colour: 28x28 or 32x32x3"),
        ("train x.csv --shape 0x28", "give height and width, and 3 for colour: 28x28 or 32x32x3"),
        ("look x.csv --sample 0", "0 is not in the range 1<=x<=10000"),
        ("predict x.muslin", "Missing argument 'IMAGE...'"),
        ("train --resume x --seed 0", "goes on as the run began; leave out --seed."),
        ("train --resume x --recipe quick --epochs 3", "leave out --recipe, --epochs."),
        ("train --resume x --shape 28x28 --set flip=no", "leave out --set, --shape."),
    ],
)
def test_wrong_usage_is_said_with_exit_code_2(words: str, last: str, capfd: Any, here: Path) -> None:
    assert last in usage_error(within(capfd, *words.split()))
    assert not (here / "runs").exists()


# --- what cannot be done: exit code 1, one line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("get fashion-mnsit", "No data set is known as 'fashion-mnsit'. Did you mean fashion-mnist?"),
        ("look fashion-mnsit", "It is no known data set either. Did you mean fashion-mnist?"),
        ("look garments.csv --index 200", "no image 200. They are numbered 0 to 199."),
        ("look garments.csv --index -1", "no image -1. They are numbered 0 to 199."),
        ("look garments.csv --class shrit", "garments: no class 'shrit'. Did you mean shirt?"),
        ("look garments.csv --split tset", "garments: no part is called 'tset'. Did you mean test?"),
        ("look garments.csv --split test", "is not divided into parts, so there is no 'test'."),
        ("look garments.csv --format pixel-csv", "No format is called 'pixel-csv'. Did you mean pixels-csv?"),
        ("look garments.csv --target lable", "has no column 'lable'. Did you mean label?"),
        ("look garments.csv --shape 27x28", "has 784 pixel values, but an image of 27×28×1 has 756."),
        ("look garments.csv -o garments.csv/x.png", "is in the way: choose another place."),
        (
            "train garments.csv --recipe quik",
            "no recipe 'quik'. Did you mean quick? Known: brisk, photo, photo-tuned, quick, ",
        ),
        ("train garments.csv --set lerning_rate=1", "no setting 'lerning_rate'. Did you mean learning_rate?"),
        ("train garments.csv --set network=tutoral", "'tutoral' is unknown. Did you mean tutorial?"),
        ("train garments.csv --set epochs=0", "epochs: 0 is out of range: 1 to 10000."),
        ("train garments.csv --set epochs", "--set epochs: write NAME=VALUE"),
        (
            "train garments.csv --set dropout=2 --set flip=perhaps --set epochs=1.5",
            "dropout: 2 is out of range: 0 to 0.9. flip: 'perhaps' is neither yes nor no. "
            "epochs: '1.5' is not a whole number.",
        ),
        ("train garments.csv --set batch_size=512", "images are fewer than a batch of 512."),
        ("train --resume runs", "runs: no run here"),
        ("evaluate nothing.muslin garments.csv", "nothing.muslin: there is no such file."),
        ("evaluate model.muslin garments.csv", "'trouser' are classes of 'label' never seen in training."),
        (
            "evaluate model.muslin garments.csv --split trian",
            "no part is called 'trian'. Did you mean train?",
        ),
        ("predict .muslin dark.png", ".muslin: there is no such file."),
        ("predict garments.csv dark.png", "garments.csv: is not a .muslin file (no zip)."),
        ("inspect garments.csv/x", "garments.csv/x"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(words: str, line: str, capfd: Any, here: Path) -> None:
    assert line in refusal(within(capfd, *words.split()))
    assert not (here / "runs").exists()


def test_a_traceback_is_shown_to_who_asks_for_it_wherever_in_the_line(capfd: Any, here: Path) -> None:
    for words in (["--debug", "look", "nothing.csv"], ["look", "nothing.csv", "--debug"]):
        said = within(capfd, *words)
        assert said.code == 1
        assert "Traceback (most recent call last)" in said.err
        assert said.err.splitlines()[-1].startswith("muslin: nothing.csv: no such file or folder.")


def test_a_fault_of_muslins_own_is_said_to_be_one(capfd: Any, here: Path, monkeypatch: Any) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("of a\nkind")

    monkeypatch.setattr("muslin.data.read", broken)
    assert within(capfd, "look", "garments.csv") == Said(
        1, "", "muslin: ZeroDivisionError: of a kind. This is a fault of muslin; --debug shows more.\n"
    )


def test_a_full_disk_under_standard_output_is_no_fault_of_muslin(here: Path) -> None:
    for words in (["look", "garments.csv"], ["inspect", "model.muslin", "--json"]):
        with open("/dev/full", "w") as full:
            said = run(*words, cwd=here, stdout=full)
        assert said.err == (
            "muslin: what was to be printed: cannot be written (No space left on device). "
            "The disk is full: free some space.\n"
        )
        assert said.code == 1


def test_a_reader_who_has_seen_enough_gets_no_complaint(here: Path) -> None:
    images = " ".join(["dark.png"] * 500)
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} predict model.muslin {images} --json | head -n 2"],
        cwd=here, capture_output=True, text=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


# --- looking


def test_what_is_in_a_data_set_is_told_to_people_and_to_programs(
    capfd: Any, here: Path, drawn: SyntheticDataset
) -> None:
    said = within(capfd, "look", "garments.csv")
    assert said.code == 0
    assert "garments: 200 images, the first 28×28 px gray, format pixels-csv" in said.out
    assert all(f"{name} " in said.out for name in drawn.dataset.targets[0].classes)
    summary = within(capfd, "look", "garments.csv", "--json").json
    assert summary["images"] == 200
    assert summary["size"] == [28, 28, 1]
    assert summary["targets"]["label"]["classes"] == dict.fromkeys(drawn.dataset.targets[0].classes, 40)


def test_a_image_is_written_with_the_pixels_it_has(capfd: Any, here: Path, drawn: SyntheticDataset) -> None:
    assert within(capfd, "look", "garments.csv", "--index", 7, "-o", "seven.png").out == "wrote seven.png\n"
    with Image.open("seven.png") as image:
        assert np.array_equal(np.asarray(image), pixel_array(drawn.dataset)[7, :, :, 0])
    within(capfd, "look", "garments.csv", "--index", 7, "--colour", "-o", "seven-in-colour.png")
    with Image.open("seven-in-colour.png") as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize(
    "words",
    [["--sample", 30], ["--class", "shirt"], ["--mean"], ["--sample", 9, "--seed", 4, "--colour"], []],
    ids=lambda words: " ".join(map(str, words)) or "nothing said",
)
def test_a_contact_sheet_is_written(words: list[Any], capfd: Any, here: Path) -> None:
    said = within(capfd, "look", "garments.csv", *words, "-o", "sheet.png")
    assert (said.code, said.err) == (0, "")
    with Image.open("sheet.png") as sheet:
        assert min(sheet.size) > 100
        assert len(sheet.convert("L").getcolors(256) or [None] * 257) > 10


@pytest.mark.parametrize(
    "words", [["--index", 0], ["--colour"], ["--gray"], ["--class", "bag", "--sample", 1]]
)
def test_images_are_shown_as_characters(words: list[Any], capfd: Any, here: Path) -> None:
    said = within(capfd, "look", "garments.csv", *words)
    assert (said.code, said.err) == (0, "")
    assert len(said.out.splitlines()) > 10
    assert "200 images" not in said.out


# --- predicting, evaluating, inspecting


def test_a_prediction_is_a_table_for_people_and_a_line_of_json_for_programs(capfd: Any, here: Path) -> None:
    said = within(capfd, "predict", "model.muslin", "dark.png", "bright.png")
    assert (said.code, said.err) == (0, "")
    rows = said.out.splitlines()
    assert rows[2].split()[:2] == ["dark.png", "Trouser"]
    assert rows[3].split()[:2] == ["bright.png", "Bag"]
    said = within(capfd, "predict", "model.muslin", "dark.png", "bright.png", "--json")
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["image"] for line in lines] == ["dark.png", "bright.png"]
    for line in lines:
        assert line["problem"] is None
        answer = line["predictions"]["label"]
        assert answer["probabilities"].keys() == {"Trouser", "Shirt", "Bag"}
        assert answer["probability"] == answer["probabilities"][answer["label"]]
        assert answer["runner_up_probability"] == answer["probabilities"][answer["runner_up"]]


def test_one_bad_image_is_named_and_does_not_stop_the_others(capfd: Any, here: Path) -> None:
    Image.effect_noise((300, 300), 90).convert("RGB").save("photo.jpg")
    (here / "cut.jpg").write_bytes((here / "photo.jpg").read_bytes()[:9000])
    names = ["dark.png", "cut.jpg", "nothing.png", "photo.jpg"]
    said = within(capfd, "predict", "model.muslin", *names)
    assert said.code == 0
    assert "cut.jpg: is JPEG, but cut off" in said.out
    assert "nothing.png: no such file" in said.out
    said = within(capfd, "predict", "model.muslin", *names, "--json")
    assert said.code == 0
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["image"] for line in lines] == names
    assert [line["problem"] is None for line in lines] == [True, False, False, True]
    assert "scaled from 300×300 to 8×8" in lines[3]["notes"][0]


def test_no_readable_image_at_all_is_a_failure(capfd: Any, here: Path) -> None:
    (here / "page.jpg").write_text("<html>not found</html>")
    for json_flag in ([], ["--json"]):
        said = within(capfd, "predict", "model.muslin", "page.jpg", "nothing.png", *json_flag)
        assert said.code == 1
        assert "page.jpg" in said.out
        assert said.err == ("muslin: no image could be read; each one's problem is named above.\n")


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
def test_names_that_are_not_utf8_are_trained_on_and_answered(
    json_flag: list[str], drawn: SyntheticDataset, tmp_path: Path
) -> None:
    [csv] = write_csv(replace(drawn.dataset, name="garments"), tmp_path)
    odd = [os.fsdecode(name) for name in (b"garments\xff.csv", b"run\xff", b"black\xff.png")]
    csv.rename(tmp_path / odd[0])
    Image.new("L", (28, 28)).save(tmp_path / odd[2])
    strict = {"cwd": tmp_path, "env": os.environ | {"PYTHONIOENCODING": "utf-8:strict"}}
    settings = ("--epochs", 1, "--set", "batch_size=40")
    made = run("train", odd[0], *settings, "--out", odd[1], *json_flag, **strict)
    answered = run("predict", odd[1], odd[2], *json_flag, **strict)
    for said in (made, answered):
        assert said.code == 0, said
    if json_flag:
        assert json.loads(made.out)["run"] == odd[1]
        assert json.loads(answered.out)["image"] == odd[2]


def test_a_folder_of_images_is_predicted(capfd: Any, here: Path) -> None:
    (here / "photos" / "deep").mkdir(parents=True)
    (here / "dark.png").rename("photos/a.png")
    (here / "bright.png").rename("photos/deep/b.png")
    (here / "photos" / "notes.txt").write_text("no image")
    said = within(capfd, "predict", "model.muslin", "photos", "--json")
    assert [json.loads(line)["image"] for line in said.out.splitlines()] == [
        "photos/a.png",
        "photos/deep/b.png",
    ]
    (here / "empty").mkdir()
    assert "empty: there is no image in this folder" in refusal(
        within(capfd, "predict", "model.muslin", "empty")
    )


def test_an_evaluation_is_told_and_written(capfd: Any, here: Path) -> None:
    labels = ["Trouser", "Shirt", "Bag"]
    header = "label," + ",".join(f"pixel{i + 1}" for i in range(64))
    rows = [f"{labels[i % 3]},{','.join([str(120 * (i % 3))] * 64)}" for i in range(30)]
    (here / "shades.csv").write_text("\n".join([header, *rows]) + "\n")
    said = within(capfd, "evaluate", "model.muslin", "shades.csv", "-o", "figures.json")
    assert (said.code, said.err) == (0, "judged on all the data\n")
    figures = json.loads((here / "figures.json").read_text())
    told = within(capfd, "evaluate", "model.muslin", "shades.csv", "--json").json
    assert figures == told
    assert told["targets"]["label"]["right"] == 20, "the model takes what is gray for bright"
    assert "right on 20 of 30: 66.7 %" in said.out


def test_what_is_inside_a_model_is_told(capfd: Any, here: Path) -> None:
    said = within(capfd, "inspect", "model.muslin")
    assert said.code == 0
    assert "answers label: one of 3 classes" in said.out
    assert "Trouser, Shirt, Bag" in said.out
    inside = within(capfd, "inspect", "model.muslin", "--json").json
    assert inside["targets"]["label"]["classes"] == ["Trouser", "Shirt", "Bag"]
    assert inside["input"] == {"height": 8, "width": 8, "channels": 1}
    assert inside["provenance"]["seed"] == 7


@pytest.mark.parametrize(
    ("network", "provenance"),
    [
        ({}, {}),
        ({"layers": {}, "parameters": "many"}, {"recipe": ["a"], "data": "mine", "test": 0.9, "versions": 3}),
        (
            {"layers": [1, None, {"name": 5, "output": 3}]},
            {"test": {"label": {"accuracy": "high"}}, "train_s": "long"},
        ),
        (
            {"layers": [{"name": "\x1b[2J", "output": ["\x1b"], "parameters": 7}]},
            {"train_s": 3, "\x1b[1m": 1, "recipe": "\x1b[31mred"},
        ),
    ],
)
def test_a_model_made_by_others_shows_what_is_known_and_does_not_steer_the_terminal(
    network: dict[str, Any], provenance: dict[str, Any], capfd: Any, here: Path
) -> None:
    seal(replace(small_bundle(), network=network, provenance=provenance), here / "theirs.muslin")
    said = within(capfd, "inspect", "theirs.muslin")
    assert (said.code, said.err) == (0, "")
    assert "answers label: one of 3 classes" in said.out
    assert "\x1b" not in said.out
    assert within(capfd, "inspect", "theirs.muslin", "--json").json["network"] == network


def test_fashion_mnist_is_obtained_and_where_from_is_said(capfd: Any) -> None:
    said = within(capfd, "get", "fashion-mnist")
    assert said.code == 0
    assert "SHA-256 verified" in said.out
    told = within(capfd, "get", "fashion-mnist", "--json").json
    assert told["name"] == "fashion-mnist"
    assert (Path(told["folder"]) / "train-images-idx3-ubyte.gz").exists() or (
        Path(told["folder"]) / "train-images-idx3-ubyte"
    ).exists()
    assert told["origin"] in said.out
