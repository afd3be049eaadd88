"""The command line: what it prints, where, and with which exit code."""

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

from command_line import COMMAND, CommandResult, error_object, invoke, refusal, run
from muslin.cli import cli
from muslin.data.convert import write_csv
from muslin.data.dataset import pixel_array
from muslin.data.synthetic import SyntheticDataset
from muslin.models.bundle import seal
from small_models import having_seen, small_bundle

COMMANDS = (
    "get",
    "recipes",
    "fetch",
    "fill",
    "export",
    "look",
    "audit",
    "train",
    "sweep",
    "evaluate",
    "predict",
    "tag",
    "colour",
    "colour-table",
    "compare",
    "convert",
    "inspect",
    "explain",
    "serve",
    "studio",
    "review",
    "similar",
)


@pytest.fixture
def here(synthetic: SyntheticDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with garments.csv, model.muslin (it counts pixels) and two images."""
    write_csv(replace(synthetic.dataset, name="garments"), tmp_path)
    bundle = small_bundle()
    seal(having_seen(bundle, bundle.golden_pixels), tmp_path / "model.muslin")
    for name, gray in (("dark.png", 0), ("bright.png", 240)):
        Image.new("L", (8, 8), gray).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- starting


def test_every_command_has_help(capfd: Any) -> None:
    result = invoke(capfd, "--help")
    assert result.code == 0
    assert sorted(cli.commands) == sorted(COMMANDS)
    assert all(f"  {name} " in result.out for name in COMMANDS)
    for name in COMMANDS:
        assert invoke(capfd, name, "-h").out.startswith(f"Usage: muslin {name}")


def test_help_and_version_import_nothing_heavy() -> None:
    for words in (["--help"], ["--version"], ["look", "--help"], ["train", "--help"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", str(COMMAND), *words], capture_output=True, text=True
        )
        assert done.returncode == 0
        imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines()}
        assert "click" in imported, "the list is there and is read"
        heavy = {"torch", "onnx", "onnxruntime", "numpy", "scipy", "sklearn", "pyarrow", "PIL", "rich"}
        assert not imported & heavy


def test_version_is_the_version_of_the_package(capfd: Any) -> None:
    from importlib.metadata import version

    assert invoke(capfd, "--version") == CommandResult(0, f"muslin {version('muslin')}\n", "")


def test_choices_agree_with_the_tables() -> None:
    from muslin.data.dataset import PARTS

    options = {(name, p.name): p for name, command in cli.commands.items() for p in command.params}
    assert {*options["evaluate", "split"].type.choices} == {*PARTS, "all"}


# --- wrong usage: exit code 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("trian", "'trian'. Did you mean 'train'?"),
        ("train x.csv --recpie quick", "--recipe"),
        ("train x.csv --epochs 0", "x>=1"),
        ("train x.csv --epochs many", "'many'"),
        ("train x.csv --seed -1", "x>=0"),
        ("train x.csv --shape 28", "28x28"),
        ("train x.csv --shape 0x28", "28x28"),
        ("train x.csv --recipe quik", "'thorough'"),
        ("train x.csv --format pixel", "'pixels'"),
        ("train x.csv --min-per-class 9 --rare-classes forget", "'drop'"),
        ("look x.csv --sample 0", "1<=x<=10000"),
        ("look x.csv --split tset", "'test'"),
        ("look x.csv --label-separator kind=/", "'none'"),
        ("audit x.csv --check near_copy", "'near_duplicate'"),
        ("convert x.csv y --to parqet", "'parquet'"),
        ("evaluate x.muslin x.csv --guarantee class", "'per-class'"),
        ("evaluate x.muslin x.csv --threshold high", "'high'"),
        ("predict x.muslin", "IMAGE..."),
    ],
)
def test_wrong_usage_exits_with_code_2(words: str, named: str, capfd: Any, here: Path) -> None:
    result = invoke(capfd, *words.split())
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err
    assert named in result.err.splitlines()[-1]
    assert not (here / "runs").exists()
    error = invoke(capfd, *words.split(), "--json").json["error"]
    assert (error["code"], error["params"]) == ("usage", {"detail": error["message"]})
    assert named in error["message"]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("--seed 0", ["--seed"]),
        ("--recipe quick --epochs 3", ["--recipe", "--epochs"]),
        ("--shape 28x28 --set flip=no -o y", ["--set", "--out", "--shape"]),
    ],
)
def test_resume_refuses_options_of_training(words: str, options: list[str], capfd: Any, here: Path) -> None:
    result = invoke(capfd, "train", "--resume", "x", *words.split(), "--json")
    error = result.json["error"]
    assert (result.code, error["code"], error["params"]) == (2, "resume_with_options", {"options": options})


def test_train_needs_data(capfd: Any, here: Path) -> None:
    result = invoke(capfd, "train", "--json")
    assert (result.code, result.json["error"]["code"]) == (2, "train_without_data")


# --- what fails: exit code 1, one line


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        ("get fashion-mnsit", "dataset_unknown", "fashion-mnist"),
        ("look fashion-mnsit", "data_unknown", "fashion-mnist"),
        ("look garments.csv --split test", "no_parts", "test"),
        ("look garments.csv --target lable", "column_unknown", "label"),
        ("look garments.csv --shape 27x28", "shape_differs", "756"),
        ("train garments.csv --set lerning_rate=1", "setting_unknown", "learning_rate"),
        ("train garments.csv --set network=tutoral", "setting_choice", "tutorial"),
        ("train garments.csv --set epochs=0", "setting_out_of_range", "10000"),
        ("train garments.csv --set epochs", "setting_syntax", "--set epochs"),
        ("train garments.csv --set dropout=2 --set flip=perhaps --set epochs=1.5", "settings_faulty", "1.5"),
        ("train garments.csv --set batch_size=512", "batch_too_large", "512"),
        ("train --resume runs", "run_missing", "runs"),
        ("evaluate nothing.muslin garments.csv", "bundle_missing", "nothing.muslin"),
        ("evaluate model.muslin garments.csv", "classes_unknown", "trouser"),
        ("predict .muslin dark.png", "bundle_missing", ".muslin"),
        ("predict garments.csv dark.png", "bundle_not_zip", "garments.csv"),
        ("inspect garments.csv/x", "bundle_missing", "garments.csv/x"),
    ],
)
def test_errors_are_one_line_and_with_json_an_object(words: str, code: str, named: str, capfd: Any, here: Path) -> None:
    assert named in refusal(invoke(capfd, *words.split()))
    error = error_object(invoke(capfd, *words.split(), "--json"))
    assert error["code"] == code
    assert named in error["message"] + error["hint"]
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--index 200", "199"),
        ("--index -1", "199"),
        ("--class shrit", "shirt"),
        ("-o garments.csv/x.png", "garments.csv/x.png"),
    ],
)
def test_look_names_what_it_cannot_show_or_write(words: str, named: str, capfd: Any, here: Path) -> None:
    assert named in refusal(invoke(capfd, "look", "garments.csv", *words.split()))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("look garments.csv --index 3 --sample 5", "options_exclusive"),
        ("look garments.csv --class-means --class shirt", "options_exclusive"),
        ("look garments.csv --sample 5 --false-colour --gray", "options_exclusive"),
        ("look garments.csv --index 3 --json", "options_exclusive"),
        ("look garments.csv -o sheet.png --json", "options_exclusive"),
        ("look garments.csv -o sheet.txt", "output_suffix"),
        ("explain model.muslin dark.png -o page.png", "output_suffix"),
        ("compare model.muslin model.muslin garments.csv -o sheet.html", "output_suffix"),
        ("tag model.muslin garments.csv -o tags.csv --language de", "option_needs"),
    ],
)
def test_no_option_is_ignored(words: str, code: str, capfd: Any, here: Path) -> None:
    as_json = [] if "--json" in words else ["--json"]
    assert error_object(invoke(capfd, *words.split(), *as_json))["code"] == code
    assert not {"sheet.txt", "sheet.html", "page.png", "tags.csv"} & {path.name for path in here.iterdir()}


def test_debug_anywhere_in_the_line_shows_a_traceback(capfd: Any, here: Path) -> None:
    for words in (["--debug", "look", "nothing.csv"], ["look", "nothing.csv", "--debug"]):
        result = invoke(capfd, *words)
        assert result.code == 1
        assert "Traceback (most recent call last)" in result.err
        assert result.err.splitlines()[-1].startswith("muslin: nothing.csv")


def test_other_exceptions_are_faults_of_muslin(capfd: Any, here: Path, monkeypatch: Any) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("of a\nkind")

    monkeypatch.setattr("muslin.data.read_and_log", broken)
    result = invoke(capfd, "look", "garments.csv", "--json")
    assert result.code == 1
    assert result.err.startswith("muslin: ZeroDivisionError: of a. ")
    error = result.json["error"]
    assert error["code"] == "internal"
    assert error["params"] == {"kind": "ZeroDivisionError", "detail": "of a"}


def test_an_interruption_exits_with_code_130(capfd: Any, here: Path, monkeypatch: Any) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("muslin.data.read_and_log", interrupted)
    result = invoke(capfd, "look", "garments.csv", "--json")
    assert (result.code, result.json["error"]["code"]) == (130, "interrupted")


def test_full_disk_under_standard_output_is_one_line(here: Path) -> None:
    for words in (["look", "garments.csv"], ["inspect", "model.muslin", "--json"]):
        with open("/dev/full", "w") as full:
            result = run(*words, cwd=here, stdout=full)
        assert "No space left on device" in refusal(result)


def test_closed_output_ends_predict_without_complaint(here: Path) -> None:
    images = " ".join(["dark.png"] * 500)
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} predict model.muslin {images} --json | head -n 2"],
        cwd=here, capture_output=True, text=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


# --- looking


def test_look_describes_a_data_set_as_text_and_json(capfd: Any, here: Path, synthetic: SyntheticDataset) -> None:
    result = invoke(capfd, "look", "garments.csv")
    assert result.code == 0
    assert "garments: 200 images, the first 28×28 px gray\ndetected: pixels" in result.out
    assert all(f"{name} " in result.out for name in synthetic.dataset.targets[0].classes)
    summary = invoke(capfd, "look", "garments.csv", "--json").json
    assert summary["images"] == 200
    assert summary["shape"] == [28, 28, 1]
    assert summary["targets"]["label"]["classes"] == dict.fromkeys(synthetic.dataset.targets[0].classes, 40)


def test_look_writes_an_image_with_its_own_pixels(capfd: Any, here: Path, synthetic: SyntheticDataset) -> None:
    assert invoke(capfd, "look", "garments.csv", "--index", 7, "-o", "seven.png").out == "wrote seven.png\n"
    with Image.open("seven.png") as image:
        assert np.array_equal(np.asarray(image), pixel_array(synthetic.dataset)[7, :, :, 0])
    invoke(capfd, "look", "garments.csv", "--index", 7, "--false-colour", "-o", "seven-in-colour.png")
    with Image.open("seven-in-colour.png") as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize(
    "words",
    [["--sample", 30], ["--class", "shirt"], ["--class-means"], ["--sample", 9, "--seed", 4, "--false-colour"], []],
    ids=lambda words: " ".join(map(str, words)) or "no option",
)
def test_look_writes_a_contact_sheet(words: list[Any], capfd: Any, here: Path) -> None:
    result = invoke(capfd, "look", "garments.csv", *words, "-o", "sheet.png")
    assert (result.code, result.err) == (0, "")
    with Image.open("sheet.png") as sheet:
        assert min(sheet.size) > 100
        assert len(sheet.convert("L").getcolors(256) or [None] * 257) > 10


@pytest.mark.parametrize("words", [["--index", 0], ["--false-colour"], ["--gray"], ["--class", "bag", "--sample", 1]])
def test_look_shows_images_as_characters(words: list[Any], capfd: Any, here: Path) -> None:
    result = invoke(capfd, "look", "garments.csv", *words)
    assert (result.code, result.err) == (0, "")
    assert len(result.out.splitlines()) > 10
    assert "200 images" not in result.out


# --- predicting, evaluating, inspecting


def test_predict_prints_a_table_or_one_line_of_json_per_image(capfd: Any, here: Path) -> None:
    result = invoke(capfd, "predict", "model.muslin", "dark.png", "bright.png")
    assert (result.code, result.err) == (0, "")
    rows = result.out.splitlines()
    assert rows[2].split()[:2] == ["dark.png", "Trouser"]
    assert rows[3].split()[:2] == ["bright.png", "Bag"]
    result = invoke(capfd, "predict", "model.muslin", "dark.png", "bright.png", "--json")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["image"] for line in lines] == ["dark.png", "bright.png"]
    for line in lines:
        assert line["error"] is None
        answer = line["predictions"]["label"]
        assert answer["probabilities"].keys() == {"Trouser", "Shirt", "Bag"}
        assert answer["probability"] == answer["probabilities"][answer["label"]]
        assert answer["runner_up_probability"] == answer["probabilities"][answer["runner_up"]]


def test_predict_continues_after_an_unreadable_image(capfd: Any, here: Path) -> None:
    Image.effect_noise((300, 300), 90).convert("RGB").save("photo.jpg")
    (here / "cut.jpg").write_bytes((here / "photo.jpg").read_bytes()[:9000])
    names = ["dark.png", "cut.jpg", "nothing.png", "photo.jpg"]
    result = invoke(capfd, "predict", "model.muslin", *names)
    assert result.code == 0
    assert "cut.jpg" in result.out
    assert "nothing.png" in result.out
    result = invoke(capfd, "predict", "model.muslin", *names, "--json")
    assert result.code == 0
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["image"] for line in lines] == names
    assert [line["error"] is None for line in lines] == [True, False, False, True]
    assert lines[3]["notes"][0]["params"].items() >= {"before": "300×300", "after": "8×8"}.items()


def test_predict_fails_if_no_image_is_readable(capfd: Any, here: Path) -> None:
    (here / "page.jpg").write_text("<html>not found</html>")
    result = invoke(capfd, "predict", "model.muslin", "page.jpg", "nothing.png")
    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert "page.jpg" in result.out
    result = invoke(capfd, "predict", "model.muslin", "page.jpg", "nothing.png", "--json")
    assert result.code == 1
    *rows, error = [json.loads(line) for line in result.out.splitlines()]
    assert [row["image"] for row in rows] == ["page.jpg", "nothing.png"]
    assert (error["error"]["code"], error["error"]["params"]) == ("all_images_unreadable", {"count": 2})


def test_predict_json_prints_each_row_before_the_next_image(capfd: Any, here: Path, monkeypatch: Any) -> None:
    from muslin.models.predictor import Predictor

    first = next(iter(Predictor.open("model.muslin").predict_iter(["dark.png"])))

    def predictions(*arguments: Any, **options: Any) -> Any:
        yield first
        assert json.loads(capfd.readouterr().out)["image"] == "dark.png"
        yield first

    monkeypatch.setattr(Predictor, "predict_iter", predictions)
    assert invoke(capfd, "predict", "model.muslin", "dark.png", "bright.png", "--json").code == 0


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
def test_train_and_predict_take_names_that_are_not_utf8(
    json_flag: list[str], synthetic: SyntheticDataset, tmp_path: Path
) -> None:
    [csv] = write_csv(replace(synthetic.dataset, name="garments"), tmp_path)
    odd = [os.fsdecode(name) for name in (b"garments\xff.csv", b"run\xff", b"black\xff.png")]
    csv.rename(tmp_path / odd[0])
    Image.new("L", (28, 28)).save(tmp_path / odd[2])
    strict = {"cwd": tmp_path, "env": os.environ | {"PYTHONIOENCODING": "utf-8:strict"}}
    settings = ("--epochs", 1, "--set", "batch_size=40")
    made = run("train", odd[0], *settings, "--out", odd[1], *json_flag, **strict)
    answered = run("predict", odd[1], odd[2], *json_flag, **strict)
    for result in (made, answered):
        assert result.code == 0, result
    if json_flag:
        assert json.loads(made.out)["run"] == odd[1]
        assert json.loads(answered.out)["image"] == odd[2]


def test_predict_takes_a_folder_of_images(capfd: Any, here: Path) -> None:
    (here / "photos" / "deep").mkdir(parents=True)
    (here / "dark.png").rename("photos/a.png")
    (here / "bright.png").rename("photos/deep/b.png")
    (here / "photos" / "notes.txt").write_text("no image")
    result = invoke(capfd, "predict", "model.muslin", "photos", "--json")
    assert [json.loads(line)["image"] for line in result.out.splitlines()] == ["photos/a.png", "photos/deep/b.png"]
    (here / "empty").mkdir()
    assert "empty: there is no image in this folder" in refusal(invoke(capfd, "predict", "model.muslin", "empty"))


def test_evaluate_prints_and_writes_metrics(capfd: Any, here: Path) -> None:
    labels = ["Trouser", "Shirt", "Bag"]
    header = "label," + ",".join(f"pixel{i + 1}" for i in range(64))
    rows = [f"{labels[i % 3]},{','.join([str(120 * (i % 3))] * 64)}" for i in range(30)]
    (here / "shades.csv").write_text("\n".join([header, *rows]) + "\n")
    result = invoke(capfd, "evaluate", "model.muslin", "shades.csv", "-o", "metrics.json")
    assert (result.code, result.err.splitlines()[-1]) == (0, "evaluated on all the data")
    metrics = json.loads((here / "metrics.json").read_text())
    printed = invoke(capfd, "evaluate", "model.muslin", "shades.csv", "--json").json
    assert metrics == printed
    assert printed["targets"]["label"]["correct"] == 20, "the model takes what is gray for bright"
    assert "66.7 %" in result.out


def test_inspect_describes_a_model(capfd: Any, here: Path) -> None:
    result = invoke(capfd, "inspect", "model.muslin")
    assert result.code == 0
    assert "target label: one of 3 classes" in result.out
    assert "Trouser, Shirt, Bag" in result.out
    inside = invoke(capfd, "inspect", "model.muslin", "--json").json
    assert inside["targets"]["label"]["classes"] == ["Trouser", "Shirt", "Bag"]
    assert inside["input"] == {"height": 8, "width": 8, "channels": 1}
    assert inside["provenance"]["seed"] == 7


def test_inspect_escapes_control_characters_of_a_model(capfd: Any, here: Path) -> None:
    layer = {"name": "\x1b[2J", "kind": "dense", "output": [3], "parameters": 7, "what": "\x1b]0;x\x07"}
    bundle = replace(small_bundle(), network={"layers": [layer]}, provenance={"train_s": 3.0, "\x1b[1m": 1})
    seal(bundle, here / "theirs.muslin")
    result = invoke(capfd, "inspect", "theirs.muslin")
    assert (result.code, result.err) == (0, "")
    assert "target label: one of 3 classes" in result.out
    assert "\x1b" not in result.out
    [layer] = invoke(capfd, "inspect", "theirs.muslin", "--json").json["network"]["layers"]
    assert layer["name"] == "\ufffd[2J", "sealing replaces control characters"


def test_get_verifies_fashion_mnist_and_names_its_origin(capfd: Any) -> None:
    result = invoke(capfd, "get", "fashion-mnist")
    assert result.code == 0
    assert "SHA-256 verified" in result.out
    printed = invoke(capfd, "get", "fashion-mnist", "--json").json
    assert printed["name"] == "fashion-mnist"
    assert (Path(printed["folder"]) / "train-images-idx3-ubyte.gz").exists() or (
        Path(printed["folder"]) / "train-images-idx3-ubyte"
    ).exists()
    assert printed["origin"] in result.out
