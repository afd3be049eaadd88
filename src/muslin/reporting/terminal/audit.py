"""An audit as a table for the terminal."""

from typing import TextIO

from muslin.data.audit.findings import KINDS, Audit
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import plural


def print_audit(audit: Audit, file: TextIO | None = None) -> None:
    """Print a table of the findings by kind, and a line for every check that was skipped."""
    console = console_for(file)
    overview = audit.overview
    console.print(
        f"{printable(overview['data'])}: {plural(overview['images'], 'image')}, "
        f"{plural(len(audit.findings), 'finding')}"
    )
    if audit.findings:
        table = plain_table()
        table.add_column("", overflow="fold")
        for heading in ("findings", "in two parts", "to exclude"):
            table.add_column(heading, justify="right", no_wrap=True)
        for kind, count in audit.counts.items():
            findings = audit.of(kind)
            leaks = sum(finding.leak for finding in findings)
            excluded = len({s.index for finding in findings for s in finding.samples if s.exclude})
            cells = (f"{n:,}" if n else "" for n in (count, leaks, excluded))
            table.add_row(KINDS[kind].words["title"], *cells)
        console.print(table)
    if not overview["near_pairs_complete"]:
        console.print("Too many near-duplicates to list them all. Exclude these, then audit again.")
    for kind, reason in audit.skipped.items():
        console.print(f"Skipped: {KINDS[kind].words['title'].lower()}. {printable(reason)}", soft_wrap=True)
