"""The audit as an HTML page on which a person decides what to exclude. It works offline."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from muslin.data.audit.findings import KINDS, Audit, Finding, Sample
from muslin.data.dataset import Dataset
from muslin.errors import ImageError
from muslin.messages import table
from muslin.reporting.colours import DARK, LIGHT
from muslin.reporting.image_grids import data_uri
from muslin.reporting.report.page import TEMPLATES
from muslin.reporting.samples import label_text
from muslin.reporting.svg.svg import FONT
from muslin.storage.atomic import write_atomically
from muslin.text import duration, percent, plural

FINDINGS_PER_KIND = 60
"""Whoever has looked at this many and still finds faults should correct the data, not click on."""

IMAGES_PER_FINDING = 6
IMAGE_PX = 240
PAGE_BYTES = 3_600_000
"""For the images and words of all findings together, so that the page stays below 5 MB."""

HIDDEN_BYTES = 1_000_000
"""For the names of samples that findings suggest to exclude but that are not shown."""


@dataclass(frozen=True)
class FindingImage:
    """A sample of a finding as shown; `uri` is empty if the image cannot be decoded."""

    sample: Sample
    label: str
    uri: str
    is_small: bool


@dataclass(frozen=True)
class FindingCard:
    """A finding as shown, with the first of its images."""

    finding: Finding
    images: tuple[FindingImage, ...]

    @property
    def hidden(self) -> int:
        """The number of its images that are not shown."""
        return len(self.finding.samples) - len(self.images)


@dataclass(frozen=True)
class FindingSection:
    """Findings under one heading; `total` also counts those for which there is no room."""

    key: str
    title: str
    description: str
    score: str
    cards: tuple[FindingCard, ...]
    total: int

    @property
    def is_single(self) -> bool:
        """Whether each finding is about one image, so that two findings fit side by side."""
        return all(len(card.images) == 1 for card in self.cards)


def write_audit_page(path: Path, dataset: Dataset, audit: Audit) -> None:
    """Write the page: findings by kind, worst first, with images and keys to decide what to exclude.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    html = audit_html(dataset, audit)
    write_atomically(path, html.encode(errors="replace"))  # a file name need not be Unicode


def audit_html(dataset: Dataset, audit: Audit) -> str:
    """The page as HTML. Only the images that are shown are decoded again."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plural": plural, "percent": percent, "duration": duration}
    sections = _finding_sections(dataset, audit)
    hidden, dropped = _hidden_exclusions(dataset, audit, sections)
    script = (TEMPLATES / "audit.js").read_text(encoding="utf-8")
    findings = json.dumps([finding.to_dict() for finding in audit.findings]).encode()
    data = json.dumps({"key": hashlib.sha256(findings).hexdigest()[:16], "hidden": hidden})
    return environment.get_template("audit.html.j2").render(
        audit=audit,
        overview=audit.overview,
        sections=sections,
        dropped=dropped,
        kinds=KINDS,
        # "<" never ends the element that holds it; autoescaping would spoil the JSON
        data=data.replace("<", "\\u003c"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        light=LIGHT,
        dark=DARK,
        font=FONT,
    )


def _grouped_findings(audit: Audit) -> list[tuple[str, str, str, str, list[Finding]]]:
    """Key, title, description, meaning of the score and findings of each section: the leaks, then the kinds."""
    copies = ("identical", "near_duplicate")
    leaks = [finding for kind in copies for finding in audit.of(kind) if finding.leak]
    words = table("en")["audit_leaks"]
    score = "; of identical ones, ".join(KINDS[kind].words["score"] for kind in reversed(copies))
    groups = [("leak", words["title"], words["message"], score, leaks)]
    for kind, row in KINDS.items():
        rest = [finding for finding in audit.of(kind) if not (kind in copies and finding.leak)]
        groups.append((kind, row.words["title"], row.words["description"], row.words["score"], rest))
    return [group for group in groups if group[-1]]


def _finding_sections(dataset: Dataset, audit: Audit) -> list[FindingSection]:
    """The worst of every group, then the second worst of every group, and so on while there is room."""
    groups = _grouped_findings(audit)
    cards: list[list[FindingCard]] = [[] for _ in groups]
    room = PAGE_BYTES
    for rank in range(FINDINGS_PER_KIND):
        for (*_, findings), shown in zip(groups, cards, strict=True):
            if room <= 0 or rank >= len(findings):
                continue
            samples = findings[rank].samples[:IMAGES_PER_FINDING]
            card = FindingCard(findings[rank], tuple(_finding_image(dataset, s) for s in samples))
            room -= 1500 + sum(len(image.uri) + 3 * len(image.sample.id) + 600 for image in card.images)
            shown.append(card)
    return [
        FindingSection(key, title, description, score, tuple(shown), len(findings))
        for (key, title, description, score, findings), shown in zip(groups, cards, strict=True)
    ]


def _finding_image(dataset: Dataset, sample: Sample) -> FindingImage:
    names = [(target.name, label_text(dataset, sample.index, target.name)) for target in dataset.targets[:3]]
    label = names[0][1] if len(names) == 1 else ", ".join(f"{name} {text}" for name, text in names)
    try:
        pixels = dataset.images[sample.index]
    except ImageError:
        return FindingImage(sample, label, "", False)
    return FindingImage(sample, label, data_uri(pixels, IMAGE_PX), max(pixels.shape[:2]) <= 64)


def _hidden_exclusions(
    dataset: Dataset, audit: Audit, sections: Sequence[FindingSection]
) -> tuple[list[tuple[str, str]], int]:
    """Part and id of the suggested exclusions that are not shown, and the number for which there is no room."""
    shown = {image.sample.index for section in sections for card in section.cards for image in card.images}
    names = [
        ("" if dataset.parts is None else str(dataset.parts[i]), str(dataset.ids[i]))
        for i in audit.exclusions
        if i not in shown
    ]
    size = 0
    for count, (part, id_) in enumerate(names):
        size += len(part) + len(id_) + 10
        if size > HIDDEN_BYTES:
            return names[:count], len(names) - count
    return names, 0
