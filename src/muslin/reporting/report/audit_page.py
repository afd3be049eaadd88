"""The audit as a page for a person who decides, which works without a network; and as a table for the terminal."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from muslin.data.audit.findings import KINDS, Audit, Finding, Sample
from muslin.data.dataset import Dataset
from muslin.errors import ImageError
from muslin.reporting.colours import DARK, LIGHT
from muslin.reporting.image_grids import data_uri
from muslin.reporting.report.page import TEMPLATES
from muslin.reporting.samples import label_text
from muslin.reporting.svg.svg import FONT
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.storage.atomic import write_atomically
from muslin.text import duration, percent, plural

FINDINGS_SHOWN = 60
"""Of each kind at most; who has looked at so many and still finds faults should mend the data, not click on."""

IMAGES_SHOWN = 6
"""Of one finding."""

IMAGE_PX = 240
PAGE_BYTES = 3_600_000
"""For the images and words of all findings together, so that the page stays below 5 MB."""

BEYOND_BYTES = 1_000_000
"""For the names of samples that are suggested to be left out but not shown."""


@dataclass(frozen=True)
class Shot:
    """A sample of a finding as it is shown; `uri` is empty where the image cannot be decoded."""

    sample: Sample
    label: str
    uri: str
    is_small: bool


@dataclass(frozen=True)
class Card:
    """A finding as it is shown, with the first of its images."""

    finding: Finding
    shots: tuple[Shot, ...]

    @property
    def more(self) -> int:
        """How many of its images are not shown."""
        return len(self.finding.samples) - len(self.shots)


@dataclass(frozen=True)
class Section:
    """Findings that are looked at together; `total` counts also those for which there is no room."""

    key: str
    title: str
    about: str
    score: str
    cards: tuple[Card, ...]
    total: int

    @property
    def is_single(self) -> bool:
        """Whether each finding is about one image, so that two findings fit side by side."""
        return all(len(card.shots) == 1 for card in self.cards)


def write_page(path: Path, dataset: Dataset, audit: Audit) -> None:
    """Write the page: findings by kind, the worst first, with images and keys to choose what is left out.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    write_atomically(path, page(dataset, audit).encode(errors="replace"))  # a file's name need not be Unicode


def page(dataset: Dataset, audit: Audit) -> str:
    """The page as HTML. Images are decoded once more, only those that are shown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plural": plural,
        "percent": percent,
        "duration": duration,
        "sentence": _sentence,
    }
    sections = _sections(dataset, audit)
    beyond, dropped = _beyond(dataset, audit, sections)
    script = (TEMPLATES / "audit.js").read_text(encoding="utf-8")
    findings = json.dumps([finding.to_dict() for finding in audit.findings]).encode()
    return environment.get_template("audit.html.j2").render(
        audit=audit,
        examined=audit.examined,
        sections=sections,
        suggested=len(audit.leave_out),
        dropped=dropped,
        kinds=KINDS,
        # "<" never ends the element that holds it; autoescaping would spoil the JSON
        data=json.dumps({"key": hashlib.sha256(findings).hexdigest()[:16], "beyond": beyond}).replace(
            "<", "\\u003c"
        ),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        light=LIGHT,
        dark=DARK,
        font=FONT,
        titles={kind: KINDS[kind].title for kind in KINDS},
    )


def _sentence(reason: str) -> str:
    """With a full stop, and no end of line between a number and its per cent."""
    return f"{reason.removesuffix('.')}.".replace(" %", "\u00a0%")


def _grouped(audit: Audit) -> list[tuple[str, str, str, str, list[Finding]]]:
    """Key, title, explanation, meaning of the score and findings of each section: the kinds, and leaks of their own."""
    leaks = [f for kind in ("identical", "near_duplicate") for f in audit.of(kind) if f.leak]
    groups = [
        (
            "leak",
            "The same image in two parts",
            "Leaks: what a model is judged by, it has seen in training. Identical images first, then the nearest.",
            f"{KINDS['near_duplicate'].score}; of identical ones, {KINDS['identical'].score}",
            leaks,
        )
    ]
    for kind, about in KINDS.items():
        rest = [f for f in audit.of(kind) if f.kind not in ("identical", "near_duplicate") or not f.leak]
        groups.append((kind, about.title, about.about, about.score, rest))
    return [group for group in groups if group[-1]]


def _sections(dataset: Dataset, audit: Audit) -> list[Section]:
    """The worst of every group, then the second worst of every group, and so on while there is room."""
    groups = _grouped(audit)
    cards: list[list[Card]] = [[] for _ in groups]
    left = PAGE_BYTES
    for rank in range(FINDINGS_SHOWN):
        for (*_, findings), shown in zip(groups, cards, strict=True):
            if left <= 0 or rank >= len(findings):
                continue
            finding = findings[rank]
            card = Card(finding, tuple(_shot(dataset, s) for s in finding.samples[:IMAGES_SHOWN]))
            left -= 1500 + sum(len(shot.uri) + 3 * len(shot.sample.id) + 600 for shot in card.shots)
            shown.append(card)
    return [
        Section(key, title, about, score, tuple(shown), len(findings))
        for (key, title, about, score, findings), shown in zip(groups, cards, strict=True)
    ]


def _shot(dataset: Dataset, sample: Sample) -> Shot:
    names = [(target.name, label_text(dataset, sample.place, target.name)) for target in dataset.targets[:3]]
    label = names[0][1] if len(names) == 1 else ", ".join(f"{name} {text}" for name, text in names)
    try:
        pixels = dataset.images[sample.place]
    except ImageError:
        return Shot(sample, label, "", False)
    return Shot(sample, label, data_uri(pixels, IMAGE_PX), max(pixels.shape[:2]) <= 64)


def _beyond(dataset: Dataset, audit: Audit, sections: Sequence[Section]) -> tuple[list[tuple[str, str]], int]:
    """Part and id of what is suggested to be left out but not shown, and how many there is no room for."""
    shown = {shot.sample.place for section in sections for card in section.cards for shot in card.shots}
    names = [
        ("" if dataset.parts is None else str(dataset.parts[i]), str(dataset.ids[i]))
        for i in audit.leave_out
        if i not in shown
    ]
    size = 0
    for place, (part, id_) in enumerate(names):
        size += len(part) + len(id_) + 10
        if size > BEYOND_BYTES:
            return names[:place], len(names) - place
    return names, 0


def print_audit(audit: Audit, file: TextIO | None = None) -> None:
    """A table of what was found, a line for every check that was not made, and what to do next."""
    console = console_for(file)
    examined = audit.examined
    console.print(
        f"{printable(examined['data'])}: {plural(examined['images'], 'image')}, "
        f"{plural(len(audit.findings), 'finding')}"
    )
    if audit.findings:
        table = plain_table()
        table.add_column("", overflow="fold")
        table.add_column("findings", justify="right", no_wrap=True)
        table.add_column("in two parts", justify="right", no_wrap=True)
        table.add_column("to leave out", justify="right", no_wrap=True)
        for kind, count in audit.counts.items():
            found = audit.of(kind)
            leaks = sum(finding.leak for finding in found)
            out = len({s.place for finding in found for s in finding.samples if s.leave_out})
            table.add_row(
                KINDS[kind].title, f"{count:,}", f"{leaks:,}" if leaks else "", f"{out:,}" if out else ""
            )
        console.print(table)
    if not examined["near_pairs_complete"]:
        console.print("too many nearly identical images to list them all: leave these out, then audit again")
    for kind, why in audit.left_out.items():
        console.print(f"not examined: {KINDS[kind].title.lower()}, since {printable(why)}", soft_wrap=True)
