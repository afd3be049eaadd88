"""What `run.json` and `history.jsonl` can hold. A record is checked before anything is done with it."""

import re

from muslin.models.json_schema import COUNT, SHARE, Choice, Either, Items, Known, Number

UNSAFE_IN_RECORD = re.compile("\0")
"""What no text of a record holds; names of files may be odd otherwise."""

_TEXT_OR_NONE = Either((None, str))
_TEXTS = Either((None, str, [str]))

READ_OPTIONS = {
    "format": _TEXT_OR_NONE,
    "shape": Either((None, Items(Number(1, 2**16, int), 2, 3))),
    "target": _TEXTS,
    "images": _TEXT_OR_NONE,
    "image_column": _TEXT_OR_NONE,
    "group": _TEXT_OR_NONE,
    "split_column": _TEXT_OR_NONE,
    "label_separator": _TEXTS,
    "crop_to_boxes": Either((None, bool)),
    "levels": Either((None, COUNT)),
    "min_per_class": Either((COUNT, _TEXTS)),
    "rare_classes": _TEXTS,
    "all_targets": bool,
    "allow_outside": bool,
}
"""The options of `muslin.read` that a run records."""

SOURCE = Known(
    {"data": str, "test": _TEXT_OR_NONE, "read_options": Known(READ_OPTIONS, allows_others=False)},
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

_RECORD = {
    "name": str,
    "status": Choice(("training", "finished")),
    "recipe": Known({"name": str, "method": str}, required=frozenset(["name", "method"])),
    "recipe_reason": _TEXT_OR_NONE,
    "expected_s": Either((None, Number(0, 1e9))),
    "seed": Number(0, 2**32 - 1, int),
    "command": str,
    "started": str,
    "parameters": COUNT,
    "epochs": COUNT,
    "source": Either((None, SOURCE)),
    "exclude": Either((None, {"path": str, "n": COUNT})),
    "max_unreadable": SHARE,
    "data": Known(_DATA, required=frozenset(_DATA)),
    "compute": {"threads": Number(1, 1024, int), "precision": Choice(("float32", "bfloat16")), "memory_reused": bool},
    "machine": Known({"processor": str}),
    "versions": {str: str},
}

RESULTS = frozenset(["images_seen", "train_s", "test"])
"""What a finished run adds to its record."""

RECORD = Known(_RECORD | {"images_seen": Either((None, COUNT)), "train_s": Number(0, 1e9)}, required=frozenset(_RECORD))

HISTORY_ROW = Known({"epoch": Number(1, 2**31, int), "elapsed_s": Number(0, 1e9)}, required=frozenset(["epoch"]))
