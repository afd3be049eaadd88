"""muslin as a user runs it: a process of its own, or, for the many small cases, its `main` within this one."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muslin.cli import main

COMMAND = Path(sys.executable).with_name("muslin")
"""As pip installs it beside the interpreter that runs the tests."""


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output, which holds nothing else."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Finished:
    """A run that a command made, and what it said meanwhile."""

    folder: Path
    said: Said


def start(*words: object, cwd: Path, **options: Any) -> "subprocess.Popen[str]":
    """`muslin WORDS…` as a process; its standard output and error are pipes unless `options` says otherwise."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen([str(COMMAND), *map(str, words)], cwd=cwd, text=True, **(pipes | options))


def run(*words: object, cwd: Path, timeout_s: float = 600, **options: Any) -> Said:
    """`muslin WORDS…` as a process, to its end."""
    with start(*words, cwd=cwd, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            raise
    return Said(process.returncode, out or "", err or "")


def within(capfd: "pytest.CaptureFixture[str]", *words: object) -> Said:
    """`muslin WORDS…` within this process: the same parsing, printing and exit code, without the start."""
    capfd.readouterr()
    before, sys.argv = sys.argv, ["muslin", *map(str, words)]
    try:
        with pytest.raises(SystemExit) as left:
            main()
    finally:
        sys.argv = before
    return Said(left.value.code if isinstance(left.value.code, int) else 1, *capfd.readouterr())


def refusal(said: Said, *, code: int = 1) -> str:
    """The one line with which a command said no: the exit code is right, and nothing else was printed."""
    assert said.code == code, said
    assert said.out == "", said
    lines = said.err.splitlines()
    assert len(lines) == 1, said
    assert lines[0].startswith("muslin: "), said
    assert "Traceback" not in said.err, said
    assert "fault of muslin" not in said.err, said
    return lines[0].removeprefix("muslin: ")


def environment(**changes: str) -> Mapping[str, str]:
    """This process's environment with some variables changed."""
    return os.environ | changes


def last_line(text: str) -> str:
    """What a program that starts muslin would parse."""
    return text.splitlines()[-1]


def words_after(mark: str, text: str) -> Sequence[str]:
    """The command that a message proposes after `mark`, as a shell would split it."""
    return shlex.split(text.rsplit(mark, 1)[1])
