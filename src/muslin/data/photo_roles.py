"""What a photo shows of its product: its front, its back, a detail, its packaging, …"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PACKAGING, ADDITIONAL = "packaging", "additional"

ROLES = {
    "front": "front frontal vorne vorder vorderseite avant devant face anverso frente fronte davanti 正面",
    "back": "back rear rück rueck rückseite rueckseite hinten arrière dos reverso espalda retro dietro 背面",
    "side": "side profile seite seiten côté profil lado lateral lato laterale 侧面 側面",
    "detail": "detail details closeup zoom macro détail détails detalle dettaglio 细节 細節",
    "full": "full fullbody worn onmodel 全身",
    "flat": "flat flatlay 平铺 平鋪",
    PACKAGING: "packaging package verpackung emballage packung embalaje empaque confezione imballaggio 包装 包裝",
    ADDITIONAL: "additional other extra",
}
"""Per role the words that stand for it. DeepFashion's In-shop photos are called `01_1_front.jpg`, `02_4_full.jpg`, …"""

_PHOTO_WORDS = """
image images img imgs photo photos picture pictures pic pics view shot bild bilder foto fotos ansicht aufnahme vue
imagen imágenes immagine immagini imagem file filename filepath datei fichier archivo path pfad url uri link src source
href
图 图片 照片 圖片 画像 写真 사진 이미지
"""

PHOTO_WORDS = frozenset(_PHOTO_WORDS.split())
"""Words for a photo, or for how it is named."""

_ORDER = """
main primary default cover hero lead first second third fourth fifth next more alt alternate alternative gallery product
produkt produit producto haupt zusatz weitere weiteres erstes zweites drittes principal principale secondaire secundaria
id nr no num number name 主 辅
"""

_ORDER_WORDS = frozenset(_ORDER.split())
"""Words for the place of a photo among those of its product, and fillers; beside one for a photo or a role."""

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

_LAST_WORD = re.compile(r"(?:^|[_\-. ])([^\W\d_]+)[_\-. ]?\d*$")


class ProductPhoto(NamedTuple):
    """A photo of a product: how it is called, the image or why there is none, and its role."""

    name: str
    image: Any
    role: str = ""


def role_of(text: str) -> str:
    """The role that a cell names; "" for none."""
    return _ROLE_OF.get(_plain(text), "")


def role_in_name(name: str) -> str:
    """The role at the end of a file's name, without its suffix and a number: back of `shirt-back2.jpg`; "" for none."""
    match = _LAST_WORD.search(PurePosixPath(name).stem)
    return role_of(match[1]) if match else ""


def role_in_column(name: str) -> str:
    """The role in the name of a column of photos: back of `back_image` and `Rückansicht`; "" for none."""
    return next(filter(None, (role_of(part) for parts in _parts_of(name) for part in parts)), "")


def shows_product(column: str) -> bool:
    """Whether a column's name consists of words for a photo, its role and its place among others alone.

    So `mask_image`, `swatch` and `image_a` are not: they can hold another thing than a photo of the row's product.
    """
    parts = _parts_of(column)
    known = {part for each in parts for part in each}
    return all(parts) and any(part in PHOTO_WORDS or role_of(part) not in ("", ADDITIONAL) for part in known)


def known_roles(roles: Sequence[str]) -> NDArray[np.object_] | None:
    """The roles as object (count,); None where all are ""."""
    return np.array(roles, dtype=object) if any(roles) else None


def roles_of_names(names: Iterable[str]) -> NDArray[np.object_] | None:
    """The role in each file's name, object (count,); None where no name has one."""
    return known_roles([role_in_name(name) for name in names])


def shows_only_packaging(roles: NDArray[np.object_] | None, numbers: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """bool (products,): whether all photos of a product show its packaging, so that a person must look at it.

    Args:
        roles: object (photos,); None where none is known.
        numbers: integer (photos,): the product of each photo; the result is in rising order of the numbers.
    """
    _, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    is_packaging = np.zeros(len(places), dtype=bool) if roles is None else np.asarray(roles == PACKAGING)
    return np.asarray(np.bincount(places, weights=is_packaging, minlength=len(counts)) == counts)


def _parts_of(column: str) -> list[tuple[str, ...]]:
    """Per word of a column's name, without a number at its end, its known parts; empty for an unknown word."""
    from muslin.data.tables.identifier_names import words_of  # imports all kinds of tables, which photos do not need

    return [_known_parts(word) for each in words_of(column) if (word := each.rstrip("0123456789"))]


def _known_parts(word: str) -> tuple[str, ...]:
    """A known word, or the two of a compound such as `Hauptbild` and `Verpackungsfoto`; empty for any other word."""
    halves = [(word[:i], word[i:]) for i in range(1, len(word))]
    ways = [(word,), *halves, *((first.removesuffix("s"), last) for first, last in halves)]
    return next((parts for parts in ways if all(map(_is_known, parts))), ())


def _is_known(word: str) -> bool:
    return word in PHOTO_WORDS or word in _ORDER_WORDS or bool(role_of(word))


def _plain(text: str) -> str:
    """In lower case, without accents and signs."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[\W_]+", "", "".join(letter for letter in letters if not unicodedata.combining(letter)))


_ROLE_OF = {_plain(word): role for role, words in ROLES.items() for word in words.split()}
