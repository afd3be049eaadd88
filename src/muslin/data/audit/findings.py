"""What an audit says: findings, each of a kind, with the samples it is about, a score, a reason and a suggestion."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from muslin.data.dataset import Dataset


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        title: as a heading.
        about: what it is and why it matters, for a person.
        score: what the score measures, in which unit.
        worst: whether the lowest or the highest score is the worst.
    """

    title: str
    about: str
    score: str
    worst: Literal["lowest", "highest"]


KINDS: dict[str, Kind] = {
    "unreadable": Kind(
        "Unreadable",
        "These files cannot be decoded. Training would stop at them or pass over them.",
        "always 1",
        "highest",
    ),
    "blank": Kind(
        "Blank",
        "Images of one even tone: nothing can be learned from them, yet they have a label.",
        "standard deviation of the brightness, in levels of 0 to 255",
        "lowest",
    ),
    "label_conflict": Kind(
        "Same image, two labels",
        "Equal or nearly equal images under different labels: at most one of them is right.",
        "distance between the images, in levels of brightness; 0 where they are equal byte for byte",
        "lowest",
    ),
    "identical": Kind(
        "Identical",
        "Images that are equal byte for byte once decoded. Across parts they make figures look better than "
        "they are; within one they count double.",
        "how many images are equal",
        "highest",
    ),
    "near_duplicate": Kind(
        "Nearly identical",
        "The same image saved again, scaled or slightly changed. Across parts (a leak) a model is judged by "
        "what it has learned by heart.",
        "distance between the images (Euclidean, over all values that are compared), in levels of brightness",
        "lowest",
    ),
    "group_in_two_parts": Kind(
        "A group in two parts",
        "Samples of one group, such as one product or one sender, must not be in two parts: a model would be "
        "judged by what it knows from training.",
        "how many of the group's samples are outside the part where it belongs",
        "highest",
    ),
    "suspect_label": Kind(
        "Likely wrong labels",
        "A network that never saw these images says something else, and hardly ever gives so little to a "
        "label that is right. Some are merely hard: look.",
        "probability of its own label, by a network that did not learn from it, 0 to 1",
        "lowest",
    ),
    "outlier": Kind(
        "Unlike all others",
        "Images far from every other: often another subject, another style, or several things in one image.",
        "distance to its neighbours, divided by what is usual in these data",
        "highest",
    ),
    "tiny": Kind(
        "Tiny",
        "So small that detail is missing which the other images have.",
        "shorter side, px",
        "lowest",
    ),
    "blurred": Kind(
        "Blurred",
        "Even the sharpest edges are soft.",
        "steepness of the sharpest edges, per px of the image brought to 256 px",
        "lowest",
    ),
    "dark": Kind(
        "Dark",
        "Nearly all of the image is dark, so little can be told.",
        "brightness that only 1 % of the pixels exceed, 0 to 255",
        "lowest",
    ),
    "odd_shape": Kind(
        "Odd shape",
        "So long or so tall that little is left of it once it is brought to the size of the others.",
        "longer side divided by the shorter one",
        "highest",
    ),
    "small_class": Kind(
        "Small classes",
        "Too few images to learn from and to judge by.",
        "how many images the class has",
        "lowest",
    ),
    "imbalance": Kind(
        "Imbalance",
        "Some classes have many times the images of others. Accuracy then says little of the small ones.",
        "images of the largest class divided by those of the smallest",
        "highest",
    ),
}
"""In the order in which a person should look at them."""


@dataclass(frozen=True)
class Sample:
    """One image of the data set.

    Attributes:
        part: the part that it came in; None where the data are not divided.
        index: its place in that part, from 0, as `muslin look --split PART --index N` counts; in the data set where
            they are not divided.
        id: its id, unique in the data set.
        place: its place in the data set, from 0: `dataset.images[place]`.
        leave_out: whether the finding suggests to train without it.
    """

    part: str | None
    index: int
    id: str
    place: int
    leave_out: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing that may be wrong.

    Attributes:
        kind: a key of KINDS.
        samples: the images it is about; where one of several is at fault, the one to keep first.
        score: how bad; KINDS says in which unit and which end is the worst.
        reason: why it was found, with the figures.
        suggestion: what to do about it.
        leak: whether the same image, or group, is in two parts.
        target: the target whose labels it is about, where it is about those of one.
    """

    kind: str
    samples: tuple[Sample, ...]
    score: float
    reason: str
    suggestion: str
    leak: bool = False
    target: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Audit:
    """Everything an audit found, worst first within a kind, and what it looked at.

    Attributes:
        findings: in the order of KINDS, then by score.
        examined: what was looked at, for JSON: counts, sizes, thresholds.
        left_out: per check that was not made, why, and how to have it made.
        seconds: per step, how long it took.
    """

    findings: tuple[Finding, ...]
    examined: Mapping[str, Any]
    left_out: Mapping[str, str]
    seconds: Mapping[str, float]

    def of(self, kind: str) -> list[Finding]:
        """The findings of one kind, worst first."""
        return [finding for finding in self.findings if finding.kind == kind]

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind that occurs."""
        return {kind: len(found) for kind in KINDS if (found := self.of(kind))}

    @property
    def leave_out(self) -> dict[int, list[str]]:
        """Per place of a sample that some finding suggests to leave out, the kinds of those findings."""
        reasons: dict[int, list[str]] = {}
        for finding in self.findings:
            for sample in finding.samples:
                if sample.leave_out and finding.kind not in reasons.setdefault(sample.place, []):
                    reasons[sample.place].append(finding.kind)
        return dict(sorted(reasons.items()))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `kinds` says once what the scores of a kind measure."""
        return {
            "examined": dict(self.examined),
            "counts": self.counts,
            "leave_out": len(self.leave_out),
            "checks_left_out": dict(self.left_out),
            "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
            "kinds": {kind: {"score": KINDS[kind].score, "worst": KINDS[kind].worst} for kind in self.counts},
            "findings": [finding.to_dict() for finding in self.findings],
        }


def samples(
    dataset: "Dataset", indices: Iterable[int], leave_out: Collection[int] = ()
) -> tuple[Sample, ...]:
    """The samples at `indices` of the data set, in that order; those also in `leave_out` are marked so."""
    return tuple(
        Sample(
            part=None if dataset.parts is None else str(dataset.parts[i]),
            index=int(dataset.indices_in_part[i]),
            id=str(dataset.ids[i]),
            place=int(i),
            leave_out=int(i) in leave_out,
        )
        for i in indices
    )


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By kind, then the worst first, then by the first sample's place."""
    places = {kind: place for place, kind in enumerate(KINDS)}

    def key(finding: Finding) -> tuple[int, float, int]:
        downwards = KINDS[finding.kind].worst == "highest"
        first = finding.samples[0].place if finding.samples else -1
        return places[finding.kind], -finding.score if downwards else finding.score, first

    return tuple(sorted(findings, key=key))
