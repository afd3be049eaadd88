"""Every message's words, read once; and that the tables, the code and the languages agree."""

import ast
import pickle
import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muslin import errors, messages
from muslin.cli import cli
from muslin.messages import LANGUAGES, MAX_TEXT, Message, filled, table, templates

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src/muslin"
EXAMPLES: dict[str, dict[str, Any]] = {
    code: example for file in HERE.glob("*.toml") for code, example in tomllib.loads(file.read_text()).items()
}
"""Per code the parameters of an example, maybe a `hint`, and the sentence it must become."""

ONLY_CLI = {
    "csv_of_photos", "min_per_class_invalid", "own_column_target", "port_in_use", "rare_action_unknown",
    "rare_without_minimum", "seen_images_missing", "serve_host_name", "serve_proxy", "serve_root_path", "shape_lost",
    "threshold_overruled", "update_columns_missing",
}  # fmt: skip
"""Messages on options of the command line that no page has."""


@pytest.mark.parametrize("code", sorted(table("en")))
def test_message_reads_as_written(code: str) -> None:
    example = EXAMPLES[code]
    assert str(Message(code, example.get("hint"), **example["params"])) == example["text"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_row_parsed_alone_is_that_of_the_table(language: str) -> None:
    for code, row in table(language).items():
        alone = messages._row(language, code)
        assert alone == {name: value for name, value in row.items() if name != "names"}, code  # a table of its own


def test_examples_are_of_codes_that_exist() -> None:
    assert set(EXAMPLES) <= set(table("en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_code_is_in_two_files(language: str) -> None:
    codes = [
        code for file in (SOURCE / "messages" / language).glob("*.toml") for code in tomllib.loads(file.read_text())
    ]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_a_row_in_every_language(language: str) -> None:
    assert table(language).keys() == table("en").keys()


def test_translations_have_the_same_fields_hints_and_placeholders() -> None:
    for code, row in table("zh").items():
        english = table("en")[code]
        assert row.keys() == english.keys() - {"status", "worst_score"}, code
        assert row.get("hints", {}).keys() == english.get("hints", {}).keys(), code
        assert _placeholders(row) == _placeholders(english), code


def test_chinese_rows_are_in_chinese() -> None:
    for code, row in table("zh").items():
        for english, chinese in zip(_texts(table("en")[code]), _texts(row), strict=True):
            words = re.sub(r"\{.*?\}", "", english)
            assert not re.search("[a-z]", words) or re.search(r"[\u4e00-\u9fff]", chinese), code


@pytest.mark.parametrize("code", sorted(EXAMPLES))
def test_chinese_row_can_be_filled(code: str) -> None:
    example = EXAMPLES[code]
    text = Message(code, example.get("hint"), **example["params"]).text("zh")
    assert not re.search(r"\[\[|\]\]|plural", text)


TERMINAL_ONLY = [SOURCE / name for name in ("studio/connections.py", "studio/server.py")]
"""What a server says in the terminal from which it was started."""


def _page_texts(row: Any) -> Iterator[str]:
    """Sentences and hints of a row as pages show them."""
    for hint in row.get("hints") or (None,):
        yield from templates(row, hint, on_page=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_name_no_option_and_no_command(language: str) -> None:
    commands = {name for name in cli.commands if name not in ("studio", "review")}
    pattern = re.compile(
        rf"(?<![\w-])--[a-z]|\bmuslin ({'|'.join(sorted(commands))})\b|muslin review (?!serve|store)|{{command"
    )
    only_cli = tomllib.loads((SOURCE / f"messages/{language}/cli.toml").read_text()).keys() | ONLY_CLI
    named = [code for code, row in table(language).items() if pattern.search(" ".join(_page_texts(row)))]
    assert set(named) <= only_cli


def test_chinese_messages_have_chinese_punctuation() -> None:
    western = re.compile(r"[\u4e00-\u9fff][,:;?!(]|[,:;?!)][\u4e00-\u9fff]")
    for code, row in table("zh").items():
        for text in _page_texts(row):
            assert not western.search(re.sub(r"\{[^{}]*\}", "{}", text)), code


def test_page_texts_stand_beside_those_that_they_replace() -> None:
    for code, row in table("en").items():
        assert row.get("page_hints", {}).keys() <= row.get("hints", {}).keys(), code
        assert "page_hint" not in row or "hint" in row or "page_message" in row, code


def test_reason_within_a_sentence_is_that_of_pages_too() -> None:
    reason = Message("bundle_not_zip", path="a.muslin")
    outer = Message("job_inputs_changed", path="x", reason=reason)
    shown = Message("run_exists", path="runs/a").to_dict(on_page=True)
    assert shown["hint"] == table("en")["run_exists"]["page_hint"]
    assert filled("{reason}", {"reason": reason}, on_page=True) == reason.text(on_page=True) != reason
    assert outer.to_dict(on_page=True)["params"]["reason"] == reason.to_dict(on_page=True)
    assert outer.to_dict("zh")["params"]["reason"] == reason.to_dict("zh") != reason.to_dict()


def test_optional_parts_are_left_out_without_their_parameter() -> None:
    template = "no recipe {name}.[[ Did you mean {nearest}?]]"
    assert filled(template, {"name": "quik", "nearest": None}) == "no recipe quik."
    assert filled(template, {"name": "quik", "nearest": "quick"}) == "no recipe quik. Did you mean quick?"


def test_sentence_of_an_error_is_made_once_and_when_read() -> None:
    class Counted:
        shown = 0

        def __str__(self) -> str:
            self.shown += 1
            return "a.jpg"

        def __format__(self, spec: str) -> str:
            return str(self)

    name = Counted()
    error = errors.ImageError("no_such_photo", path=name)
    assert (error.code, error.params, error.status, name.shown) == ("no_such_photo", {"path": name}, 404, 0)
    assert repr(error) == f"ImageError({str(error)!r})"
    assert (str(error), error.message.code, name.shown) == (str(Message("no_such_photo", path="a.jpg")), error.code, 1)


def test_error_is_the_same_after_pickling() -> None:
    error = errors.ImageError("git_pointer", "lfs", path="a.jpg")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, copy.hint_code, copy.params) == (
        errors.ImageError,
        str(error),
        "lfs",
        error.params,
    )
    assert str(error.with_params(path="b.jpg", row=3)) == str(error)


def test_long_texts_lose_their_middle() -> None:
    text = f"a{10_000 * 'x'}z"
    for template in ("{name}", "{name!r}", "{names:list}", "{names:quoted}"):
        sentence = filled(template, {"name": text, "names": [text]})
        assert len(sentence) <= MAX_TEXT
        assert (sentence.strip("'")[0], sentence.strip("'")[-1]) == ("a", "z")
    assert filled("{command:whole}", {"command": text}) == text


def test_raised_codes_exist_and_get_their_parameters() -> None:
    faults = []
    for file in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if not _makes_a_message(call) or not isinstance(call.args[0], ast.Constant):
                continue
            code = str(call.args[0].value)
            if code not in table("en"):
                faults.append(f"{file.name}:{call.lineno}: no row {code!r}")
            elif all(keyword.arg for keyword in call.keywords):  # without **params, all are there to be read
                given = {keyword.arg for keyword in call.keywords}
                missing = _required(table("en")[code]) - given - {"path", "where"}  # which an outer layer may add
                faults += [f"{file.name}:{call.lineno}: {code} lacks {name}" for name in sorted(missing)]
    assert faults == []


def test_what_work_logs_is_a_message_in_any_language() -> None:
    faults = []
    for file in SOURCE.rglob("*.py"):
        if file.parent.name == "cli" or file in TERMINAL_ONLY:
            continue
        for call in ast.walk(ast.parse(file.read_text())):
            name = getattr(call, "func", None)
            is_log = getattr(name, "attr", getattr(name, "id", "")) in ("log", "_log", "log_seldom")
            if is_log and isinstance(call, ast.Call) and call.args and _is_text(call.args[0]):
                faults.append(f"{file.relative_to(SOURCE)}:{call.lineno}")
    assert faults == []


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_every_code_is_raised_somewhere() -> None:
    texts = "".join(file.read_text() for file in SOURCE.rglob("*.py"))
    assert [code for code in table("en") if f'"{code}"' not in texts] == []


def _makes_a_message(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("Message", "Stopped") or (name.endswith("Error") and hasattr(errors, name))


def _texts(row: Any) -> list[str]:
    names = ("message", "hint", "page_message", "page_hint")
    hints = [*row.get("hints", {}).values(), *row.get("page_hints", {}).values()]
    return [*(row.get(name, "") for name in names), *hints]


def _placeholders(row: Any) -> set[str]:
    return {name for text in _texts(row) for _, name, _, _ in string.Formatter().parse(text) if name}


def _required(row: Any) -> set[str]:
    """The placeholders outside of `[[…]]`."""
    from muslin.messages import _OPTIONAL

    plain = [_OPTIONAL.sub("", text) for text in _texts({**row, "hints": {}})]
    return {name for text in plain for _, name, _, _ in string.Formatter().parse(text) if name}
