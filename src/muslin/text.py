"""Numbers, durations and lists as people read them; the same in messages, the terminal, the plots and the report."""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

UNSAFE_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters other than tabs and line ends, bidirectional controls, and lone surrogates."""

CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that steer a terminal, end a line or turn the direction of what follows, and lone surrogates."""

ORDINARY_CHARACTERS = "\t\n\r\u061c\u200e\u200f"
"""Those of CONTROL_CHARACTERS that ordinary text has: tabs, line ends, and direction marks of Arabic and Hebrew."""

MAX_NAME_CHARACTERS = 500
"""Length of a target's or a class's name in a model."""


def is_safe_name(name: str) -> bool:
    """Whether a target or class of a model can have this name."""
    return len(name) <= MAX_NAME_CHARACTERS and not UNSAFE_CHARACTERS.search(name)


def escape_controls(text: str, keep: str = "") -> str:
    r"""`text` with each of CONTROL_CHARACTERS escaped as in Python's strings, except those in `keep`.

    >>> print(escape_controls("red\x1b[31m"))
    red\x1b[31m
    """
    return CONTROL_CHARACTERS.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)


def percent(share: float, digits: int = 1) -> str:
    """0.91234 as `91.2 %`. A share that is not quite 1 or 0 does not become it: 0.99996 is `>99.9 %`.

    >>> percent(0.91234)
    '91.2 %'
    """
    rounded, least = round(share * 100, digits), 10.0**-digits
    if rounded == 100 and share < 1:
        return f">{100 - least:.{digits}f} %"
    if rounded == 0 and share > 0:
        return f"<{least:.{digits}f} %"
    return f"{rounded + 0.0:.{digits}f} %"  # zero without a sign


def number_text(value: float, spec: str = ".4g") -> str:
    """A number in this format with a true minus; zero, also one that rounds to it, has no sign.

    >>> number_text(-0.25), number_text(-0.0), number_text(-0.04, "+.1f")
    ('−0.25', '0', '0.0')
    """
    text = format(value, spec)
    return format(0.0, spec.lstrip("+")) if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def interval_text(interval: tuple[float, float], digits: int = 1) -> str:
    """(0.9066, 0.9177) as `90.7 to 91.8 %`; ends that are not quite 0 or 1 as in `percent`."""
    low, high = (percent(end, digits) for end in interval)
    return f"{low.removesuffix(' %')} to {high}"


def short_interval(interval: tuple[float, float], digits: int = 1) -> str:
    """(0.9066, 0.9177) as `90.7–91.8`, in per cent."""
    return "–".join(percent(end, digits).removesuffix(" %") for end in interval)


def plural(n: int, noun: str, plural: str | None = None) -> str:
    """`1 image`, `9,123 images`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def short_count(n: int) -> str:
    """389,376 as `389 k`, 4,207,000 as `4.2 M`; below 10,000 in full."""
    for limit, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if n >= limit:
            scaled = n / (1000 if unit == "k" else limit)
            return f"{scaled:.1f} {unit}" if scaled < 10 else f"{scaled:,.0f} {unit}"
    return f"{n:,}"


def duration(seconds: float) -> str:
    """14.2 as `14.2 s`, 754 as `12 min 34 s`, 7500 as `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 59.95 else "1 min"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    units = {"h": hours, "min": minutes} if hours else {"min": minutes, "s": rest}
    return " ".join(f"{count} {unit}" for unit, count in units.items() if count)


def word_list(names: Sequence[str], last: str = " and ", comma: str = ", ") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, final = names or ("",)
    return f"{comma.join(first)}{last}{final}" if first else final


def shorten_middle(text: str, width: float, measure: Callable[[str], float] = len) -> str:
    """`text`, or its two ends around `…` where it is wider than `width`, because names often differ at the end.

    >>> shorten_middle("a rather long name number 17", 12)
    'a rath…er 17'
    """
    if measure(text) <= width:
        return text

    def with_letters(count: int) -> str:
        return f"{text[: (count + 1) // 2].rstrip()}…{text[len(text) - count // 2 :].lstrip()}"

    fitting = bisect_right(range(len(text)), width, key=lambda count: measure(with_letters(count))) - 1
    return with_letters(max(0, fitting))


def wrap_lines(text: str, width: float, measure: Callable[[str], float] = len) -> list[str]:
    """`text` in lines of at most `width`, broken at spaces; a word that is wider has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measure(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
