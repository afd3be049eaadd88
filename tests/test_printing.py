"""Whatever a name holds, no control character of it reaches a terminal."""

import io
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muslin.cli import main
from muslin.errors import DataError
from muslin.printing import EscapingStream, echo, escaped_output, log
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.reporting.terminal.progress import tagging_progress
from muslin.text import CONTROL_CHARACTERS, escape_controls

NASTY = (
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x9b31m",
    "\u202egnp.exe",
    "a\tb",
    "a\r\nb",
    "\u2028",
    "caf\udce9",
    "\x00",
    "\x7f",
)
anything = st.text(st.characters(codec=None))
names = anything | st.sampled_from(NASTY) | st.builds("{}{}".format, anything, st.sampled_from(NASTY))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steering(printed: str) -> list[str]:
    """The control characters in what was printed, but line ends."""
    return CONTROL_CHARACTERS.findall(printed.replace("\n", ""))


def printed_by(action: Callable[[], Any]) -> str:
    """What `action` prints to standard output and error, both a file in UTF-8."""
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="utf-8", write_through=True)
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = stream
    try:
        action()
    finally:
        sys.stdout, sys.stderr = before
    stream.flush()
    return content.getvalue().decode()


@settings(deadline=None)
@given(names)
def test_escaped_text_is_of_one_line_and_keeps_its_letters(name: str) -> None:
    shown = escape_controls(name)
    assert not CONTROL_CHARACTERS.search(shown)
    assert escape_controls(shown) == shown
    assert (shown == name) == (not CONTROL_CHARACTERS.search(name))


@settings(deadline=None)
@given(names)
def test_sentences_lines_and_tables_show_control_characters(name: str) -> None:
    def action() -> None:
        echo(name)
        log(name)
        console = console_for()
        print_lines(console, name)
        print_table(console, "fl", (name, "n"), [(name, "1"), ([name, name], "2"), None, (name, name)])
        console.print(name, style="bold")

    assert steering(printed_by(action)) == []


@settings(deadline=None)
@given(names)
def test_colours_on_a_terminal_are_the_console_s_own(name: str) -> None:
    terminal = Terminal()
    console = console_for(terminal)
    console.print(name, style="bold red")
    print_table(console, "f", ("name",), [(name,)])
    assert steering(re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())) == []


@settings(deadline=None)
@given(names)
def test_warnings_and_tracebacks_show_control_characters(name: str) -> None:
    def action() -> None:
        with escaped_output():
            sys.stderr.write(warnings.formatwarning(name, UserWarning, "muslin.py", 1))
            sys.excepthook(ValueError, ValueError(name), None)
            sys.stderr.writelines([name])

    assert steering(printed_by(action)) == []


def test_standard_streams_have_no_second_exit_and_come_back() -> None:
    before = sys.stdout, sys.stderr
    with escaped_output():
        assert not hasattr(sys.stdout, "buffer")
        assert not hasattr(sys.stderr, "buffer")
        assert isinstance(sys.stdout, EscapingStream)
    assert (sys.stdout, sys.stderr) == before


def test_a_progress_bar_shows_control_characters_of_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    with tagging_progress() as on_progress:
        on_progress(1, 3)
        for name in NASTY[:4]:
            log(name)
            sys.stderr.write(f"{name}\n")
    shown = terminal.getvalue()
    assert "\x1b[2K" in shown, "the bar draws its line again"
    without_bar = re.sub(r"\x1b\[(\?25[lh]|[0-9;]*m|[12]K|1A)|\r", "", shown)
    assert without_bar.count(r"\x1b]0;owned\x07") == 2
    assert steering(without_bar) == []


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("flags", [(), ("--json",), ("--debug",)])
def test_command_line_shows_control_characters_of_arguments(
    name: str, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["look", name], ["inspect", name], ["train", f"--{name}"], [name], ["get", name]):
        monkeypatch.setattr(sys, "argv", ["muslin", *words, *flags])

        def action() -> None:
            with pytest.raises(SystemExit):
                main()

        assert steering(printed_by(action)) == []


@settings(deadline=None)
@given(names, names)
def test_a_message_is_one_line(path: str, reason: str) -> None:
    error = DataError("file_unreadable", path=path, reason=reason)
    assert not CONTROL_CHARACTERS.search(str(error.message))
