"""The result of an audit: findings, each of a kind, with samples, a score and a message."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from muslin.data.audit.label_noise import PROBABLE
from muslin.messages import Message, plain, table

if TYPE_CHECKING:
    from muslin.data.audit.labels import LabelErrors
    from muslin.data.dataset import Dataset


KINDS: dict[str, Mapping[str, str]] = {
    code.removeprefix("finding_"): table("en")[code]
    for code in (
        "finding_unreadable",
        "finding_blank",
        "finding_label_conflict",
        "finding_identical",
        "finding_near_duplicate",
        "finding_group_in_two_parts",
        "finding_suspect_label",
        "finding_outlier",
        "finding_tiny",
        "finding_blurred",
        "finding_dark",
        "finding_odd_shape",
        "finding_small_class",
        "finding_imbalance",
    )
}
"""Per kind of finding, in the order in which a person should look at them, its row of `muslin.messages`.

The row has `title`, `description`, `score` (what it measures, in which unit) and `worst_score` (the lowest or
the highest).
"""


@dataclass(frozen=True)
class Sample:
    """One image of the data set.

    Attributes:
        part: its part; None if the data are not divided.
        index_in_part: its index in that part, as `muslin look --split PART --index N` counts; its index in the data
            set if the data are not divided.
        id: its id, unique in the data set.
        index: its index in the data set: `dataset.images[index]`.
        exclude: whether the finding suggests to train without it.
    """

    part: str | None
    index_in_part: int
    id: str
    index: int
    exclude: bool = False


@dataclass(frozen=True)
class Finding:
    """One possible fault.

    Attributes:
        kind: a key of KINDS.
        samples: the images it is about; if one of several is to be kept, that one first.
        score: how bad it is; KINDS has the unit, and which end is the worst.
        message: why it was found, with numbers, and as the hint what to do about it.
        leak: whether the same image, or group, is in two parts.
        target: the target whose labels it is about, if any.
        correction: of a suspect label, how a row of corrections.csv writes it and the suggested one.
    """

    kind: str
    samples: tuple[Sample, ...]
    score: float
    message: Message
    leak: bool = False
    target: str | None = None
    correction: tuple[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        label, suggested = self.correction or (None, None)
        return {
            "kind": self.kind,
            "samples": [asdict(sample) for sample in self.samples],
            "score": self.score,
            "reason": self.message.sentence(),
            "suggestion": self.message.hint(),
            "params": plain(self.message.params),
            "leak": self.leak,
            "target": self.target,
            "label": label,
            "suggested": suggested,
        }


@dataclass(frozen=True, eq=False)
class Audit:
    """The findings of an audit and what it examined.

    Attributes:
        findings: in the order of KINDS, then worst first.
        overview: the data and the checks, for JSON: counts, sizes, thresholds.
        skipped: per check that was skipped, the reason.
        seconds: time per step.
        label_errors: per target whose labels were checked, of every label the probability that it is wrong.
    """

    findings: tuple[Finding, ...]
    overview: Mapping[str, Any]
    skipped: Mapping[str, str]
    seconds: Mapping[str, float]
    label_errors: Mapping[str, "LabelErrors"] = field(default_factory=dict)

    def of(self, kind: str) -> list[Finding]:
        """The findings of one kind, worst first."""
        return [finding for finding in self.findings if finding.kind == kind]

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings of each kind that occurs."""
        return {kind: len(findings) for kind in KINDS if (findings := self.of(kind))}

    @property
    def exclusions(self) -> dict[int, list[str]]:
        """Per index of a sample that a finding suggests to exclude, the kinds of those findings."""
        kinds: dict[int, list[str]] = {}
        for finding in self.findings:
            for sample in finding.samples:
                if sample.exclude and finding.kind not in kinds.setdefault(sample.index, []):
                    kinds[sample.index].append(finding.kind)
        return dict(sorted(kinds.items()))

    @property
    def corrections(self) -> list[Finding]:
        """The suspect labels that are probably wrong, of undivided data or the training set, most probable first.

        A test set corrected to what models predict would look easier than it is.
        """
        return [
            finding
            for finding in self.of("suspect_label")
            if finding.score >= PROBABLE and finding.samples[0].part in (None, "train")
        ]

    def summary(self) -> dict[str, Any]:
        """The audit without its findings, plain values for JSON."""
        return {
            "overview": plain(self.overview),
            "counts": self.counts,
            "excluded": len(self.exclusions),
            "corrections": len(self.corrections),
            "skipped": plain(self.skipped),
            "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `kinds` says once what the scores of a kind measure."""
        kinds = {kind: {name: KINDS[kind][name] for name in ("score", "worst_score")} for kind in self.counts}
        return self.summary() | {"kinds": kinds, "findings": [each.to_dict() for each in self.findings]}


def image_finding(
    kind: str, dataset: "Dataset", index: int, score: float, *, exclude: bool = False, **params: Any
) -> Finding:
    """A finding about one image; `params` are of its message."""
    message = Message(f"finding_{kind}", **params)
    return Finding(kind, samples(dataset, [index], [index] if exclude else ()), score, message)


def samples(dataset: "Dataset", indices: Iterable[int], exclude: Collection[int] = ()) -> tuple[Sample, ...]:
    """The samples at `indices` of the data set, in that order; those also in `exclude` are marked so."""
    return tuple(
        Sample(
            part=None if dataset.parts is None else str(dataset.parts[i]),
            index_in_part=int(dataset.indices_in_part[i]),
            id=str(dataset.ids[i]),
            index=int(i),
            exclude=int(i) in exclude,
        )
        for i in indices
    )


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By kind, then the worst first, then by the first sample's index."""
    rank = {kind: i for i, kind in enumerate(KINDS)}

    def key(finding: Finding) -> tuple[int, float, int]:
        sign = -1 if KINDS[finding.kind]["worst_score"] == "highest" else 1
        first = finding.samples[0].index if finding.samples else -1
        return rank[finding.kind], sign * finding.score, first

    return tuple(sorted(findings, key=key))
