"""Every sentence that muslin says on purpose, by its code, in tables: one folder a language, one file an area.

    [pixel_count]                        # src/muslin/messages/en/data.toml
    message = "{path}, row {row:,}: {found:,} pixel values, expected {expected:,}."
    hint = "Is the file cut off?"
    status = 422                         # of HTTP, where it is not the error class's own

    >>> str(Message("pixel_count", path="labels.csv", row=17, found=783, expected=784))
    'labels.csv, row 17: 783 pixel values, expected 784. Is the file cut off?'

A placeholder is `str.format`'s, and knows these formats besides: `{names:list}` (a, b and c), `{names:or}`,
`{names:quoted}` ('a', 'b' and 'c'), `{names:commas}` (a, b, c), `{names:quoted_commas}`, `{reasons:sentences}` (one
after the other), `{reason:sentence}` (without its hint), `{share:percent}` (98.4 %), `{time_s:duration}` (1 min 20 s),
`{count:plural:image,images}` (1 image, 1,200 images), `{count:noun:row,rows}` (row, rows) and `{command:whole}` (of
any length). What stands in `[[…]]` is left out where a placeholder in it is None, empty or missing. A row may have
several hints, `hints.cut_off = "…"`, of which the caller names one.

Where the sentence or the hint names an option or a command, which a page does not have, the row has another text for
pages: `page_message`, `page_hint` (`""` for none) or `page_hints.cut_off`.
"""

import re
import string
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from muslin.text import duration, escape_controls, percent, plural, shorten_middle, word_list

LANGUAGES = ("en", "zh")

Log = Callable[[str], None]
"""Called with a sentence about the progress of something."""

MAX_EXAMPLES = 5
"""Things left out that a message names; the others are counted."""

MAX_TEXT = 200
"""Characters of a text in a message; a longer one, such as a cell with a whole file in it, lacks its middle."""

MAX_KEPT_TEXT = 40
"""Characters of the parameters of a sentence that is kept for the next time: sizes, not names of files."""

_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)


def no_log(sentence: str) -> None:
    """A Log that drops its sentences."""


class Message(str):
    """A sentence in English that also is data: its `code` in the tables, and its `params`.

    Attributes:
        code: the row.
        hint_code: which of the row's hints; None for its only one.
        params: what fills the placeholders.
    """

    code: str
    hint_code: str | None
    params: Mapping[str, Any]

    def __new__(cls, code: str, hint: str | None = None, /, **params: Any) -> "Message":
        self = super().__new__(cls, " ".join(filter(None, _sentence_and_hint(code, hint, params))))
        self.code, self.hint_code, self.params = code, hint, params
        return self

    def __reduce__(self) -> Any:
        return partial(Message, self.code, self.hint_code, **self.params), ()

    def text(self, language: str = "en", *, on_page: bool = False) -> str:
        """The sentence with its hint; in English where `language` has no such row."""
        parts = _sentence_and_hint(self.code, self.hint_code, self.params, language, on_page)
        return _WORDS[language]["space"].join(filter(None, parts))

    def sentence(self, language: str = "en", *, on_page: bool = False) -> str:
        """The sentence without its hint."""
        return _sentence_and_hint(self.code, self.hint_code, self.params, language, on_page)[0]

    def hint(self, language: str = "en") -> str:
        """What to do, or an empty text."""
        return _sentence_and_hint(self.code, self.hint_code, self.params, language)[1]

    def to_dict(self, language: str = "en", *, on_page: bool = False) -> dict[str, Any]:
        """`code`, `message`, `hint` and `params`, plain values for JSON.

        Args:
            on_page: whether a page shows it, or a client of a server, where nobody can give an option of a command.
        """
        sentence, hint = _sentence_and_hint(self.code, self.hint_code, self.params, language, on_page)
        return {
            "code": self.code,
            "message": sentence,
            "hint": hint,
            "params": plain(self.params, language, on_page=on_page),
        }


@cache
def table(language: str) -> Mapping[str, Mapping[str, Any]]:
    """Per code its row in `language`: `message`, and maybe `hint`, `hints` and `status`."""
    return tomllib.loads(_text(language))


@cache
def _text(language: str) -> str:
    """All tables of a language as one."""
    folder = Path(__file__).parent / language
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.toml")))


@cache
def _row(language: str, code: str) -> Mapping[str, Any] | None:
    """The row of `code`, parsed alone, because all tables take 30 ms, a tenth of a command's start; None for no row."""
    text = _text(language)
    start = text.find(f"\n[{code}]\n")
    if start < 0:
        return None
    row: Mapping[str, Any] = tomllib.loads(text[start : text.find("\n[", start + 1)])[code]
    return row


def examples(names: Iterable[str | int]) -> dict[str, Any]:
    """The parameters `count`, `names` (the first MAX_EXAMPLES) and `more` of a message about things left out.

    >>> examples(["a.jpg", "b.jpg"])
    {'count': 2, 'names': ['a.jpg', 'b.jpg'], 'more': None}
    """
    names = list(names)
    return {"count": len(names), "names": names[:MAX_EXAMPLES], "more": max(len(names) - MAX_EXAMPLES, 0) or None}


def filled(template: str, params: Mapping[str, Any], language: str = "en", *, on_page: bool = False) -> str:
    """`template` with its placeholders filled, and without the `[[…]]` that lack something."""
    if "{" not in template and "[[" not in template:
        return template

    def optional(found: re.Match[str]) -> str:
        names = [name for _, name, _, _ in string.Formatter().parse(found[1]) if name]
        return found[1] if all(params.get(name) not in (None, "", (), []) for name in names) else ""

    return _Formatter(language, on_page).vformat(_OPTIONAL.sub(optional, template), (), params)


def plain(value: Any, language: str = "en", *, on_page: bool = False) -> Any:
    """`value` for JSON: messages in `language`; what is no number, text or list is written as text."""
    if value is None or type(value) is str:  # most values are, and the next questions take a microsecond
        return value
    if isinstance(value, Message):
        return value.to_dict(language, on_page=on_page)
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(item, language, on_page=on_page) for name, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item, language, on_page=on_page) for item in value]
    return str(value)


def _sentence_and_hint(
    code: str, hint: str | None, params: Mapping[str, Any], language: str = "en", on_page: bool = False
) -> tuple[str, str]:
    if all(type(value) is str and len(value) <= MAX_KEPT_TEXT for value in params.values()):
        return _kept_sentence(code, hint, tuple(params.items()), language, on_page)
    return _filled_row(code, hint, params, language, on_page)


@lru_cache(1000)
def _kept_sentence(
    code: str, hint: str | None, params: tuple[tuple[str, str], ...], language: str, on_page: bool
) -> tuple[str, str]:
    """As `_filled_row`: a server tells of the same sizes for each of many images."""
    return _filled_row(code, hint, dict(params), language, on_page)


def _filled_row(
    code: str, hint: str | None, params: Mapping[str, Any], language: str, on_page: bool
) -> tuple[str, str]:
    row = _row(language, code)
    if row is None:
        language, row = "en", table("en")[code]
    sentence, advice = templates(row, hint, on_page=on_page)
    return filled(sentence, params, language, on_page=on_page), filled(advice, params, language, on_page=on_page)


def templates(row: Mapping[str, Any], hint: str | None, *, on_page: bool) -> tuple[str, str]:
    """The sentence of a row, and the hint that is called `hint` or its only one, for a page or for the command line."""
    places = ("page_", "") if on_page else ("",)
    sentence = next(row[f"{place}message"] for place in places if f"{place}message" in row)
    if hint:
        return sentence, next(row[f"{place}hints"][hint] for place in places if hint in row.get(f"{place}hints", {}))
    return sentence, next((row[f"{place}hint"] for place in places if f"{place}hint" in row), "")


_WORDS = {
    "en": {"and": " and ", "or": " or ", "comma": ", ", "space": " "},
    "zh": {"and": " 和 ", "or": " 或 ", "comma": "、", "space": ""},
}


class _Formatter(string.Formatter):
    def __init__(self, language: str, on_page: bool) -> None:
        self.language, self.on_page, self.words = language, on_page, _WORDS[language]

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        return kwargs.get(key, f"{{{key}}}")  # what an outer layer has yet to add stays as it is written

    def format_field(self, value: Any, format_spec: str) -> str:
        """The text of a parameter on one line: control characters in names are shown as Python writes them."""
        return escape_controls(self._format(value, format_spec))

    def _format(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Message):  # a reason within a sentence
            shown = value.sentence if format_spec == "sentence" else value.text
            return shown(self.language, on_page=self.on_page)
        kind, _, words = format_spec.partition(":")
        if kind == "sentences":
            return self.words["space"].join(self._format(each, "") for each in value)
        if kind in ("list", "or", "quoted", "commas", "quoted_commas"):
            told = [self._format(each, "") if isinstance(each, Message) else each for each in value]
            texts = map(repr if kind.startswith("quoted") else str, told)
            last = "or" if kind == "or" else "comma" if kind.endswith("commas") else "and"
            names = [shorten_middle(text, MAX_TEXT) for text in texts]
            return word_list(names, self.words[last], self.words["comma"])
        if kind == "percent":
            return percent(value)
        if kind == "duration":
            return duration(value)
        if kind == "plural":
            one, _, many = words.partition(",")
            return plural(value, one, many or one)
        if kind == "noun":
            one, _, many = words.partition(",")
            return one if value == 1 else many
        if isinstance(value, str):
            return value if kind == "whole" else shorten_middle(value, MAX_TEXT)
        return str(super().format_field(value, format_spec))
