"""The audit as an HTML page on which a person decides what to exclude. It works offline."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from muslin.data.audit.findings import KINDS, Audit, Finding, Sample
from muslin.data.dataset import Dataset
from muslin.errors import ImageError
from muslin.messages import table
from muslin.reporting.image_grids import data_uri, is_small
from muslin.reporting.report.page import TEMPLATES, render_page
from muslin.reporting.samples import label_text
from muslin.storage.outputs import Output
from muslin.strict_json import json_text

FINDINGS_PER_KIND = 60
"""Whoever has looked at this many and still finds faults should correct the data, not click on."""

IMAGES_PER_FINDING = 6
IMAGE_PX = 240
PAGE_BYTES = 3_600_000
"""For the images and words of all findings together, so that the page stays below 5 MB."""

HIDDEN_BYTES = 1_000_000
"""For the names of samples that findings suggest to exclude but that are not shown."""


class FindingImage(NamedTuple):
    """A sample of a finding as shown; `uri` is empty if the image cannot be decoded."""

    sample: Sample
    label: str
    uri: str = ""
    is_small: bool = False


FindingCard = tuple[Finding, list[FindingImage]]
"""A finding as shown, with the first of its images."""

FindingGroup = tuple[str, Mapping[str, str], list[Finding]]
"""Key, words (title, description, what the score means) and findings of a section, the worst first."""


def write_audit_page(out: str | Path | Output, dataset: Dataset, audit: Audit) -> None:
    """Write the page as a new file: findings by kind, worst first, with images and keys to decide what to exclude.

    Raises:
        StorageError: the file exists, the disk is full or the place cannot be written.
    """
    html = audit_html(dataset, audit)
    Output.of(out).write(html)


def audit_html(dataset: Dataset, audit: Audit) -> str:
    """The page as HTML. Only the images that are shown are decoded again."""
    groups = _grouped_findings(audit)
    cards = _finding_cards(dataset, [findings for *_, findings in groups])
    shown = {image.sample.index for section in cards for _, images in section for image in images}
    hidden, dropped = _hidden_exclusions(dataset, [i for i in audit.exclusions if i not in shown])
    findings = json_text([finding.to_dict() for finding in audit.findings]).encode()
    return render_page(
        "audit.html.j2",
        audit=audit,
        overview=audit.overview,
        sections=[
            (key, words, len(found), section) for (key, words, found), section in zip(groups, cards, strict=True)
        ],
        dropped=dropped,
        kinds=KINDS,
        data={"key": hashlib.sha256(findings).hexdigest()[:16], "hidden": hidden},
        script=(TEMPLATES / "audit.js").read_text(encoding="utf-8"),
    )


def _grouped_findings(audit: Audit) -> list[FindingGroup]:
    """The leaks, then the kinds of findings."""
    copies = ("identical", "near_duplicate")
    leaks = [finding for kind in copies for finding in audit.of(kind) if finding.leak]
    words = table("en")["audit_leaks"]
    score = "; of identical ones, ".join(KINDS[kind]["score"] for kind in reversed(copies))
    groups: list[FindingGroup] = [
        ("leak", {"title": words["title"], "description": words["message"], "score": score}, leaks)
    ]
    for kind, row in KINDS.items():
        rest = [finding for finding in audit.of(kind) if not (kind in copies and finding.leak)]
        groups.append((kind, row, rest))
    return [group for group in groups if group[-1]]


def _finding_cards(dataset: Dataset, groups: Sequence[Sequence[Finding]]) -> list[list[FindingCard]]:
    """The worst of every group, then the second worst of every group, and so on while there is room."""
    cards: list[list[FindingCard]] = [[] for _ in groups]
    room = PAGE_BYTES
    for rank in range(FINDINGS_PER_KIND):
        for findings, shown in zip(groups, cards, strict=True):
            if room > 0 and rank < len(findings):
                samples = findings[rank].samples[:IMAGES_PER_FINDING]
                images = [_finding_image(dataset, sample) for sample in samples]
                room -= 1500 + sum(len(image.uri) + 3 * len(image.sample.id) + 600 for image in images)
                shown.append((findings[rank], images))
    return cards


def _finding_image(dataset: Dataset, sample: Sample) -> FindingImage:
    names = [(target.name, label_text(dataset, sample.index, target.name)) for target in dataset.targets[:3]]
    label = names[0][1] if len(names) == 1 else ", ".join(f"{name} {text}" for name, text in names)
    try:
        pixels = dataset.images[sample.index]
    except ImageError:
        return FindingImage(sample, label)
    return FindingImage(sample, label, data_uri(pixels, IMAGE_PX), is_small(pixels))


def _hidden_exclusions(dataset: Dataset, exclusions: Sequence[int]) -> tuple[list[tuple[str, str]], int]:
    """Part and id of the exclusions for which there is room, and the number of the others."""
    parts = [""] * len(dataset) if dataset.parts is None else dataset.parts
    names = [(str(parts[i]), str(dataset.ids[i])) for i in exclusions]
    sizes = np.cumsum([len(part) + len(id_) + 10 for part, id_ in names])
    n_listed = int((sizes <= HIDDEN_BYTES).sum())
    return names[:n_listed], len(names) - n_listed
