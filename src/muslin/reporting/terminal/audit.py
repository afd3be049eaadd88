"""An audit as a table for the terminal."""

from typing import TextIO

from muslin.data.audit.findings import KINDS, Audit
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import plural


def print_audit(audit: Audit, file: TextIO | None = None) -> None:
    """Print a table of the findings by kind, and a line for every check that was skipped."""
    console, overview = console_for(file), audit.overview
    images, findings = plural(overview["images"], "image"), plural(len(audit.findings), "finding")
    print_lines(console, f"{overview['data']}: {images}, {findings}")
    if audit.findings:
        headings = ("", "findings", "in two parts", "to exclude")
        print_table(console, "frrr", headings, (_kind_row(audit, kind) for kind in audit.counts))
    for check in overview["label_checks_per_target"].values():
        print_lines(console, f"Labels: {check['expected']}.")
    if not overview["near_duplicate_search_complete"]:
        print_lines(console, "Too many near-duplicates to list them all. Exclude these, then audit again.")
    for kind, reason in audit.skipped.items():
        print_lines(console, f"Skipped: {KINDS[kind]['title'].lower()}. {reason}")


def _kind_row(audit: Audit, kind: str) -> tuple[str, ...]:
    findings = audit.of(kind)
    leaks = sum(finding.leak for finding in findings)
    excluded = len({s.index for finding in findings for s in finding.samples if s.exclude})
    return KINDS[kind]["title"], *(f"{n:,}" if n else "" for n in (len(findings), leaks, excluded))
