"""The output of training: one object for programs, plain lines in a pipe, a live line on a terminal."""

import fcntl
import json
import os
import pty
import re
import struct
import termios
from pathlib import Path
from typing import Any

import pytest

from command_line import FinishedRun, environment, start
from muslin.workflows.run_folder import Run

LINE = re.compile(
    r"epoch \d+/4  loss \d\.\d{3} accuracy \d+\.\d% of [\d,]+"
    r"  validation loss \d\.\d{3} accuracy \d+\.\d% of [\d,]+ \(\d+\.\d–\d+\.\d\)"
    r"  [\d,]+ images/s  \d+\.\d s left"
)


def test_train_json_is_one_object(sliced_run: FinishedRun) -> None:
    assert len(sliced_run.result.out.splitlines()) == 1
    summary = sliced_run.result.json
    folder = sliced_run.folder
    assert summary["run"] == "run"
    assert (folder.parent / summary["model"]).samefile(folder / "model.muslin")
    assert (folder.parent / summary["report"]).samefile(folder / "report.html")
    assert summary["recipe"] == "quick"
    assert summary["seed"] == 0
    assert summary["epochs"] == 4
    assert summary["train_s"] > 0
    assert summary["parameters"] > 10_000
    test = summary["test"]["label"]
    assert test["n"] == 600
    low, high = test["interval"]
    assert 0 < low < test["accuracy"] < high < 1
    assert test["accuracy"] > 0.7, "a few seconds of training on real clothes"
    assert summary["test"] == Run(folder).record["test"]


def test_in_a_pipe_standard_error_has_one_line_per_epoch(sliced_run: FinishedRun) -> None:
    choice, *lines = sliced_run.result.err.splitlines()
    assert choice == "recipe quick: suits images of about 28 px. Slower: --recipe tutorial"
    lines = [line for line in lines if line.startswith("epoch ")]
    assert len(lines) == 4
    assert all(LINE.fullmatch(line) for line in lines), lines
    history = Run(sliced_run.folder).history
    for line, row in zip(lines, history, strict=True):
        assert f"loss {row['train_loss']:.3f}" in line
        assert f"validation loss {row['validation_loss']:.3f}" in line


@pytest.mark.parametrize("columns", [80, pytest.param(120, marks=pytest.mark.long)])
def test_on_a_terminal_a_live_line_shows_progress(columns: int, garments: Path, tmp_path: Path) -> None:
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, columns, 0, 0))
    words = ["train", garments, "--epochs", 6, "--set", "batch_size=16", "--out", tmp_path / "run", "--json"]
    with start(*words, cwd=tmp_path, stderr=theirs, env=environment(TERM="xterm")) as process:
        os.close(theirs)
        shown = _all_of(terminal)
        assert process.stdout
        summary = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert summary["epochs"] == 6
    assert "\x1b[2K" in shown, "a line that is drawn again"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    moments = re.findall(
        r"epoch (\d)/6.*?loss (\d\.\d{3})\s+accuracy (\d+\.\d)%\s+([\d,]+) images/s\s+(\S+ \S+?) left", plain, re.S
    )
    assert len(set(moments)) > 6, "it also moves within an epoch"
    width = max(len(line) for line in re.split(r"[\r\n]+", plain) if "images/s" in line)
    assert width <= columns, "a line that is wider than the terminal cannot be drawn over"


def _all_of(terminal: int) -> str:
    content = b""
    try:
        while block := os.read(terminal, 65536):
            content += block
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return content.decode()


def test_the_last_lines_show_accuracy_and_files(sliced_run: FinishedRun, capfd: Any) -> None:
    from command_line import invoke

    said = invoke(capfd, "train", "--resume", sliced_run.folder)
    test = sliced_run.result.json["test"]["label"]
    assert said.out.splitlines()[0].startswith(f"accuracy {100 * test['accuracy']:.1f} % on 600 test images (")
    assert f"model   {sliced_run.folder}/model.muslin" in said.out
    assert f"report  {sliced_run.folder}/report.html" in said.out
