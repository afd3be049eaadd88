"""Links from a report to the same cell or image in the studio's mistakes room.

A report works without a network and names no machine, so each link leads to a note that says how to open the studio and
at which address it shows the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

STUDIO = "127.0.0.1:8001"
"""Where `muslin studio` is by default."""


@dataclass(frozen=True)
class StudioNote:
    """What a link leads to.

    Attributes:
        address: of the studio's page, without #; also the note's id in the report.
        words: what is shown there.
        section: the section of the report with the link, to which the note leads back.
    """

    address: str
    words: str
    section: str


@dataclass(frozen=True)
class StudioLinks:
    """The links of one report, and the notes that they lead to.

    Attributes:
        run: the name of the run's folder; "" makes no links.
        target: of a run with several targets; otherwise "".
        notes: by address; grows as links are made.
    """

    run: str
    target: str = ""
    notes: dict[str, StudioNote] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Mapping[str, Any], targets: list[str], target: str) -> "StudioLinks":
        """The links of the report of `target`; `run` is the content of `run.json`."""
        return cls(str(run.get("name") or ""), target if len(targets) > 1 else "")

    def to(self, label: str, predicted: str, section: str, image: str = "") -> str:
        """The address of a cell, or of why the image called `image` is in it; "" where there are no links."""
        if not self.run:
            return ""
        state = {"run": self.run, "target": self.target, "label": label, "predicted": predicted, "why": image}
        words = f"{label} predicted as {predicted}" if label != predicted else f"{label} predicted correctly"
        named = {"page": "mistakes"} | {name: value for name, value in state.items() if value}
        query = urlencode(named, quote_via=quote, errors="surrogateescape")
        self.notes.setdefault(query, StudioNote(query, f"{words}: {image}" if image else words, section))
        return query
