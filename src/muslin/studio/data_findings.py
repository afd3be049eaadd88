"""The findings of a data set's last audit, as `muslin audit` and the studio's job write them into `audits/`."""

from pathlib import Path
from typing import Any

from muslin.data.audit.findings import KINDS
from muslin.errors import BundleError, DataError
from muslin.messages import Message
from muslin.models.json_schema import parse_json
from muslin.storage.boundary import UNBOUNDED
from muslin.storage.file_names import file_stem
from muslin.studio.data_sets import OpenData

FOLDER = "audits"
MAX_AUDIT_BYTES = 100_000_000
MAX_FINDINGS = 5000
MAX_SAMPLES = 12
"""Images of one finding that are shown: a cluster of copies can have thousands."""


def audit_folder(name: str) -> Path:
    """Where a studio's audit of a data set lies, below its folder.

    The name is the whole one, so that data sets of one name in two folders have two, and the folder of none lies within
    that of another.
    """
    return Path(FOLDER, name).with_name(f"{file_stem(Path(name).name)}.audit")


def findings_of(root: Path, opened: OpenData) -> dict[str, Any]:
    """Per kind its findings, worst first, each with the indices of its images; none where there was no audit.

    The last audit counts, also one of the command line. That lies below the last part of the data's name, and counts
    where it has the same images.

    Raises:
        DataError: the audit's file is damaged.
    """
    own = (audit_folder(opened.name), Path(FOLDER, opened.name))
    places = {*own, Path(FOLDER, Path(opened.name).name)}
    for folder in sorted(places, key=lambda place: _changed(root / place / "audit.json"), reverse=True):
        path = root / folder / "audit.json"
        try:
            with UNBOUNDED.open(path) as file:
                content = file.read(MAX_AUDIT_BYTES)
            record = parse_json(content)
            if folder not in own and not _is_of(record, opened):
                continue
            found = [_finding(opened, each) for each in record["findings"][:MAX_FINDINGS]]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (BundleError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise DataError("audit_damaged", path=(folder / "audit.json").as_posix()) from error
        return _findings(root, path, record, found)
    return {"audit": None, "counts": {}, "skipped": {}, "findings": []}


def _changed(path: Path) -> float:
    """When a file was changed; 0 for none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_of(record: Any, opened: OpenData) -> bool:
    """Whether an audit of the command line is one of these data."""
    ids = [str(sample["id"]) for each in record["findings"] for sample in each["samples"]]
    return bool(record["overview"]["images"] == len(opened)) and None not in map(opened.index_of, ids)


def _findings(root: Path, path: Path, record: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
    known = [each for each in found if each["images"]]
    counts = {kind: n for kind in KINDS if (n := sum(each["kind"] == kind for each in known))}
    return {
        "audit": {"folder": path.parent.relative_to(root).as_posix(), "is_old": len(known) < len(found)},
        "counts": counts,
        "skipped": {str(kind): str(reason) for kind, reason in record.get("skipped", {}).items()},
        "findings": known,
    }


def _finding(opened: OpenData, found: dict[str, Any]) -> dict[str, Any]:
    """A finding for a page; images that the data no longer have are left out."""
    kind, params = str(found["kind"]), found.get("params") or {}
    samples = found["samples"][:MAX_SAMPLES]
    indices = [(opened.index_of(str(sample["id"])), bool(sample.get("exclude"))) for sample in samples]
    return {
        "kind": kind,
        "score": float(found["score"]),
        "message": _message(kind, params, str(found.get("reason", ""))),
        "target": found.get("target"),
        "label": found.get("label"),
        "suggested": found.get("suggested"),
        "images": [index for index, _ in indices if index is not None],
        "exclude": [index for index, is_excluded in indices if index is not None and is_excluded],
        "more": max(0, len(found["samples"]) - MAX_SAMPLES),
    }


def _message(kind: str, params: dict[str, Any], reason: str) -> Message | str:
    """Why it was found, for the page's language; as the file has it where it lacks what the sentence is made of."""
    if kind not in KINDS:
        return reason
    message = Message(f"finding_{kind}", **params)
    try:
        message.to_dict("zh")
    except (LookupError, ValueError, TypeError, AttributeError):
        return reason
    return message
