"""muslin as a user runs it: as a process, or, for the many small cases, its `main` in this process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muslin.cli import main

COMMAND = Path(sys.executable).with_name("muslin")
"""The command that pip installs beside the interpreter that runs the tests."""


@dataclass(frozen=True)
class CommandResult:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output, which holds nothing else."""
        return json.loads(self.out)


@dataclass(frozen=True)
class FinishedRun:
    """The folder of a run that a command made, and the result of the command."""

    folder: Path
    result: CommandResult


def start(*words: object, cwd: Path, **options: Any) -> "subprocess.Popen[str]":
    """`muslin WORDS…` as a process; its standard output and error are pipes unless `options` says otherwise."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen([str(COMMAND), *map(str, words)], cwd=cwd, text=True, **(pipes | options))


def run(*words: object, cwd: Path, timeout_s: float = 600, **options: Any) -> CommandResult:
    """`muslin WORDS…` as a process, until it ends."""
    with start(*words, cwd=cwd, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            raise
    return CommandResult(process.returncode, out or "", err or "")


def invoke(capfd: "pytest.CaptureFixture[str]", *words: object) -> CommandResult:
    """`muslin WORDS…` in this process: the same parsing, printing and exit code, without the time to start."""
    capfd.readouterr()
    before, sys.argv = sys.argv, ["muslin", *map(str, words)]
    try:
        with pytest.raises(SystemExit) as left:
            main()
    finally:
        sys.argv = before
    return CommandResult(left.value.code if isinstance(left.value.code, int) else 1, *capfd.readouterr())


def refusal(result: CommandResult, *, code: int = 1) -> str:
    """The one line with which a command failed: the exit code is right, and nothing else was printed."""
    assert result.code == code, result
    assert result.out == "", result
    return _error_line(result)


def error_object(result: CommandResult, *, code: int = 1) -> Any:
    """The error that a command with `--json` printed: `code`, `message`, `hint` and `params`."""
    assert result.code == code, result
    error = result.json["error"]
    assert error.keys() == {"code", "message", "hint", "params"}, result
    assert " ".join(error["message"].split()) in _error_line(result), "people read the same sentence"
    return error


def _error_line(result: CommandResult) -> str:
    lines = result.err.splitlines()
    assert len(lines) == 1, result
    assert lines[0].startswith("muslin: "), result
    assert "Traceback" not in result.err, result
    assert "bug in muslin" not in result.err, result
    return lines[0].removeprefix("muslin: ")


def environment(**changes: str) -> Mapping[str, str]:
    """This process's environment with some variables changed."""
    return os.environ | changes


def last_line(text: str) -> str:
    """The line that a program which starts muslin parses."""
    return text.splitlines()[-1]
