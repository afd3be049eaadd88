"""An explanation in a few lines for the terminal."""

from collections.abc import Mapping
from typing import Any, TextIO

from muslin.reporting.terminal.console import console_for, printable
from muslin.text import percent


def print_explanation(found: Mapping[str, Any], file: TextIO | None = None) -> None:
    """What `muslin explain --json` writes, in a few lines per target: the answer, its evidence, the trust tests."""
    console = console_for(file)
    for name, one in found["explanations"].items():
        answer, label = found["predictions"][name], one["class"]
        share = percent(answer["probabilities"][label])
        asked = f"{name}: {label}" if len(found["explanations"]) > 1 else label
        console.print(f"{printable(asked)} {share}", soft_wrap=True)
        for evidence in one["attributions"]:
            if evidence["class"] == label:
                what = "score" if evidence["versus"] is None else f"score above that of {evidence['versus']}"
                console.print(
                    printable(
                        f"  {what} {evidence['score']:.4f}: cells of {evidence['layer']} "
                        f"{evidence['sum'] - evidence['bias']:+.4f}, bias {evidence['bias']:+.4f} "
                        f"({evidence['why'].split(':')[0]})"
                    ),
                    soft_wrap=True,
                )
        for test in (one["sanity_checks"] or {}).values():
            if isinstance(test, Mapping):
                console.print(
                    f"  {'passed' if test['passed'] else 'doubtful'}: {printable(test['text'])}",
                    soft_wrap=True,
                )
        if one["problem"]:
            console.print(f"  {printable(one['problem'])}", soft_wrap=True)
    for sentence in (*found["notes"], *found["unsupported"]):
        console.print(printable(sentence), soft_wrap=True)
