"""Names of files that are made of other names."""

import hashlib
import os

MAX_STEM_BYTES = 200
"""Of a name that gets an ending: file systems take 255, with that and with what marks a file that is being written."""


def file_stem(name: str) -> str:
    """`name`; of one that leaves no room for an ending its start and a hash.

    >>> file_stem("shop"), len(file_stem("x" * 255))
    ('shop', 197)
    """
    content = os.fsencode(name)
    if len(content) <= MAX_STEM_BYTES:
        return name
    start = content[: MAX_STEM_BYTES - 20].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(content).hexdigest()[:16]}"
