"""The schemas of `run.json` and `history.jsonl`, which are checked before anything is done with a run."""

import re

from muslin.models.json_schema import COUNT, SHARE, AnyOf, Array, Choice, Number, Object

UNSAFE_IN_RECORD = re.compile("\0")
"""What no text of a record holds; names of files may be odd otherwise."""

MAX_THREADS = 1024

_TEXT_OR_NONE = AnyOf((None, str))
_TEXTS = AnyOf((None, str, [str]))

READ_OPTIONS = {
    "format": _TEXT_OR_NONE,
    "shape": AnyOf((None, Array(Number(1, 2**16, int), 2, 3))),
    "target": _TEXTS,
    "images": _TEXT_OR_NONE,
    "image_column": _TEXTS,
    "group": _TEXT_OR_NONE,
    "product": _TEXT_OR_NONE,
    "split_column": _TEXT_OR_NONE,
    "label_separator": _TEXTS,
    "crop_to_boxes": AnyOf((None, bool)),
    "levels": AnyOf((None, COUNT)),
    "junk": _TEXTS,
    "min_per_class": AnyOf((COUNT, _TEXTS)),
    "rare_classes": _TEXTS,
    "all_targets": bool,
    "model_targets": _TEXTS,
    "allow_outside": bool,
}
"""The options of `muslin.read` that a run records."""

SOURCE = Object(
    {"data": str, "test": _TEXT_OR_NONE, "read_options": Object(READ_OPTIONS, allows_additional=False)},
    required=frozenset(["data", "test", "read_options"]),
)

_DATA = {
    "name": str,
    "format": str,
    "origin": str,
    "fingerprint": str,
    "split": str,
    "split_sizes": {str: COUNT},
    "classes": {str: [str]},
}

_SAMPLING = {"drawn_at_random": {str: COUNT}, "no_class": {str: COUNT}}

_RECORD = {
    "name": str,
    "status": Choice(("training", "finished")),
    "recipe": Object({"name": str, "method": str}, required=frozenset(["name", "method"])),
    "recipe_reason": _TEXT_OR_NONE,
    "expected_s": AnyOf((None, Number(0, 1e9))),
    "seed": Number(0, 2**32 - 1, int),
    "command": str,
    "started": str,
    "parameters": COUNT,
    "epochs": COUNT,
    "source": AnyOf((None, SOURCE)),
    "exclude": AnyOf((None, {"path": str, "n": COUNT})),
    "corrections": AnyOf((None, {"path": str, "n": COUNT})),
    "max_unreadable": SHARE,
    "data": Object(_DATA | _SAMPLING, required=frozenset(_DATA)),
    "compute": {
        "threads": Number(1, MAX_THREADS, int),
        "precision": Choice(("float32", "bfloat16")),
        "memory_reused": bool,
    },
    "machine": Object({"processor": str}),
    "versions": {str: str},
}

RESULTS = frozenset(["images_seen", "train_s", "test", "validation"])
"""What a finished run adds to its record."""

_OPTIONAL = {
    "start_model": Object({"path": str, "sha256": str}, required=frozenset(["path", "sha256"])),
    "calibration_reason": _TEXT_OR_NONE,
    "snapshots": bool,
    "images_seen": AnyOf((None, COUNT)),
    "train_s": Number(0, 1e9),
}

RECORD = Object(_RECORD | _OPTIONAL, required=frozenset(_RECORD))

HISTORY_ROW = Object({"epoch": Number(1, 2**31, int), "elapsed_s": Number(0, 1e9)}, required=frozenset(["epoch"]))
