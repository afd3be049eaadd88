"""What a photo shows of its product: its front, its back, a detail, its packaging, …"""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

ROLES = {
    "front": ("front", "frontal", "vorne", "正面"),
    "back": ("back", "rear", "rueckseite", "背面"),
    "side": ("side", "profile", "seite", "侧面"),
    "detail": ("detail", "details", "closeup", "zoom", "macro", "细节"),
    "full": ("full", "fullbody", "worn", "onmodel", "全身"),
    "flat": ("flat", "flatlay", "平铺"),
    "packaging": ("packaging", "package", "verpackung", "包装"),
    "additional": ("additional", "other", "extra"),
}
"""Per role the words that stand for it. DeepFashion's In-shop photos are called `01_1_front.jpg`, `02_4_full.jpg`, …"""

ROLE_COLUMNS = (
    "role",
    "photo_role",
    "image_role",
    "view",
    "photo_view",
    "image_view",
    "photo_type",
    "image_type",
    "pose",
)
"""Names, in lower case, of columns that can hold a photo's role."""

_ROLE_OF = {word: role for role, words in ROLES.items() for word in words}

_LAST_WORD = re.compile(r"(?:^|[_\-. ])([^\W\d_]+)[_\-. ]?\d*$")


def role_of(text: str) -> str:
    """The role that a cell names; "" for none."""
    return _ROLE_OF.get(re.sub(r"[\W_]+", "", text.casefold()), "")


def role_in_name(name: str) -> str:
    """The role at the end of a file's name, without its suffix and a number: back of `shirt-back2.jpg`; "" for none."""
    match = _LAST_WORD.search(PurePosixPath(name).stem)
    return role_of(match[1]) if match else ""


def role_in_column(name: str) -> str:
    """The role in the name of a column of photos: back of `back_image`; "" for none."""
    return next(filter(None, map(role_of, re.split(r"[\W_]+", name))), "")


def roles_of_names(names: Iterable[str]) -> NDArray[np.object_] | None:
    """The role in each file's name, object (count,); None where no name has one."""
    return known_roles([role_in_name(name) for name in names])


def known_roles(roles: Sequence[str]) -> NDArray[np.object_] | None:
    """The roles as object (count,); None where all are ""."""
    return np.array(roles, dtype=object) if any(roles) else None
