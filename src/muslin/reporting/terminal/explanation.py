"""An explanation in a few lines for the terminal."""

from collections.abc import Mapping
from functools import partial
from typing import Any, TextIO

from muslin.reporting.terminal.console import console_for, print_lines
from muslin.text import number_text, percent


def print_explanation(explanation: Mapping[str, Any], file: TextIO | None = None) -> None:
    """What `muslin explain --json` writes, in a few lines per target: prediction, attributions, sanity checks."""
    put = partial(print_lines, console_for(file))

    for name, one in explanation["explanations"].items():
        label, probabilities = one["class"], explanation["predictions"][name]["probabilities"]
        title = f"{name}: {label}" if len(explanation["explanations"]) > 1 else label
        put(f"{title} {percent(probabilities[label])}")
        for attribution in one["attributions"]:
            if attribution["class"] == label:
                versus, exact = attribution["versus"], "exact" if attribution["is_exact"] else "approximate"
                score = "score" if versus is None else f"score above that of {versus}"
                put(
                    f"  {score} {attribution['score']:.4f}: cells of {attribution['layer']} "
                    f"{number_text(attribution['sum'] - attribution['bias'], '+.4f')}, "
                    f"bias {number_text(attribution['bias'], '+.4f')} ({exact})"
                )
        for check in (one["sanity_checks"] or {}).values():
            if isinstance(check, Mapping):
                put(f"  {'passed' if check['passed'] else 'doubtful'}: {check['text']}")
        if one["error"]:
            put(f"  {one['error']}")
    put(*explanation["notes"], *explanation["unsupported"])
