"""How much a model can accept at which precision, as a table for the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from muslin.evaluation.precision_choice import Acceptance, AcceptanceRow, choose_precision
from muslin.messages import Message
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import escape_controls, percent, plural, short_interval

if TYPE_CHECKING:
    from muslin.reporting.terminal.escaping_console import EscapingConsole

NOTE_ON_HIGHEST = "highest possible"


def print_acceptance(acceptance: Acceptance, *, of: str = "image") -> None:
    """Print the table of each target, `of` images or products."""
    for name, rows in acceptance.items():
        if rows:
            out = console_for()
            target = f"{escape_controls(name)}: " if len(acceptance) > 1 else ""
            out.print(
                f"\n{target}predictions that can be accepted of {plural(rows[0].n, f'calibration {of}')}", style="bold"
            )
            print_acceptance_rows(rows, out)


def print_tag_precision(acceptance: Acceptance, *, of: str = "photo") -> None:
    """Print which precision `tag` chooses where the user names none, and the share that it accepts at it.

    Args:
        of: what is accepted: photos or products.
    """
    precision = choose_precision(acceptance)
    for name, rows in acceptance.items():
        params: dict[str, Any] = {"target": name if len(acceptance) > 1 else None, "unit": f"{of}s"}
        highest = next((row for row in rows if row.is_highest), None)
        for row in rows:
            if row.precision != precision:
                continue
            code, share = ("tag_precision", row.share) if row.accepted else ("tag_precision_none", None)
            if highest and not row.accepted:
                params["highest"], share = highest.precision, highest.share
            print_lines(console_for(), Message(code, **params, precision=precision, share=share))


def print_acceptance_rows(rows: Sequence[AcceptanceRow], out: "EscapingConsole") -> None:
    """Print one target's table without a title."""
    print_table(out, "rrrl", ("precision", "accepted", "share, 95 % interval", ""), map(_cells, rows))


def _cells(row: AcceptanceRow) -> tuple[str, ...]:
    share = f"{percent(row.share)} ({short_interval(row.interval)})" if row.accepted else "–"
    return f"{100 * row.precision:g} %", f"{row.accepted:,}", share, NOTE_ON_HIGHEST if row.is_highest else ""
