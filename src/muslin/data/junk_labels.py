"""Labels that name no class, such as `Not sure`: read as unlabelled where the user says so, and proposed otherwise."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target, class_counts
from muslin.errors import DataError
from muslin.messages import Message, examples

_NAMES = """
?|-|--|n/a|na|nan|null|tbd|todo|not sure|unsure|unclear|don't know|dont know|do not know
can't tell|cannot tell|unknown|undefined|unspecified|uncategorized|uncategorised|unlabeled
unlabelled|unclassified|unassigned|other|others|other/unknown|misc|misc.|miscellaneous|skip
skipped|ignore|none of these|none of the above|no label|invalid|nicht sicher|unsicher|unklar
weiß nicht|weiss nicht|unbekannt|sonstige|sonstiges|andere|anderes|überspringen|keine angabe
k. a.|k.a.|ohne angabe|nicht zugeordnet|verschiedenes|pas sûr|pas sur|incertain|ne sait pas
inconnu|inconnue|autre|autres|passer|ignorer|divers|non classé|no estoy seguro|no sé|no se sabe
desconocido|desconocida|otro|otra|otros|otras|omitir|saltar|varios|sin clasificar|non so
incerto|sconosciuto|sconosciuta|altro|altri|altre|salta|varie|não sei|incerteza|desconhecido
desconhecida|outro|outra|outros|outras|pular|diversos|weet niet|onzeker|onbekend|anders|overig
overige|overslaan|nie wiem|niepewne|nieznane|nieznany|inne|inny|inna|pomiń|vet ej|osäker|okänd
annat|övrigt|hoppa över|ved ikke|ukendt|andet|vet ikke|ukjent|annet|en tiedä|tuntematon|muu
muut|ohita|nevím|neznámé|jiné|ostatní|přeskočit|nem tudom|ismeretlen|egyéb|nu știu|necunoscut
altele|emin değilim|bilinmiyor|diğer|atla|не знаю|не уверен|неизвестно|другое|прочее|пропустить
не знам|друго|невідомо|інше|δεν ξέρω|άγνωστο|άλλο|不确定|不確定|不知道|未知|其他|其它|跳过|跳過
未分类|未分類|わからない|不明
その他|スキップ|모름|알 수 없음|기타|건너뛰기|غير معروف|أخرى|لا أعرف|אחר|לא ידוע|tidak yakin|tidak tahu|lainnya
lewati|không rõ|không biết|khác|bỏ qua|ไม่แน่ใจ|ไม่ทราบ|อื่นๆ|पता नहीं|अन्य
"""


def drop_junk_labels(dataset: Dataset, junk: str | Sequence[str], *, strict: bool = True) -> Dataset:
    """`dataset` with the labels called `junk` read as UNKNOWN; `fixes` counts them, and names those that do not occur.

    Names are compared without case. A multilabel target loses such labels, and an image with no other is unlabelled.

    Args:
        junk: names, or several separated by commas; a name with a comma in it counts as one where a class has it.
        strict: raise where fewer than two classes (multilabel: no label) would remain; otherwise such a target stays
            unchanged.

    Raises:
        DataError: too few classes would remain.
    """
    classes = {_key(name) for target in dataset.targets for name in target.classes}
    names = [name for text in ([junk] if isinstance(junk, str) else junk) for name in _names(text, classes)]
    keys = {_key(name) for name in names}
    targets, labels, fixes = [], dict(dataset.labels), list(dataset.fixes)
    for target in dataset.targets:
        dropped = [i for i, name in enumerate(target.classes) if _key(name) in keys]
        left = len(target.classes) - len(dropped)
        is_enough = left >= (1 if target.kind == "multilabel" else 2)
        if dropped and strict and not is_enough:
            shown = [target.classes[i] for i in dropped]
            raise DataError("junk_is_almost_all", name=dataset.name, target=target.name, names=shown, n=left)
        if dropped and is_enough:
            fixes.append(_dropped_message(target, dropped, class_counts(target, labels[target.name])))
            target, labels[target.name] = _without(target, labels[target.name], dropped)
        targets.append(target)
    if missing := [name for name in names if _key(name) not in classes]:
        fixes.append(Message("junk_not_found", **examples(missing)))
    return replace(dataset, targets=tuple(targets), labels=labels, fixes=tuple(fixes))


def junk_proposals(dataset: Dataset) -> list[Message]:
    """Per target a note on classes that are called as labels which are none, if two classes would remain without."""
    notes = []
    for target in dataset.targets:
        suspect = [i for i, name in enumerate(target.classes) if _key(name) in JUNK_NAMES]
        if suspect and len(target.classes) - len(suspect) >= 2:
            names = [target.classes[i] for i in suspect]
            params = {"count": int(class_counts(target, dataset.labels[target.name])[suspect].sum()), "names": names}
            notes.append(Message("labels_may_be_junk", target=target.name, option=",".join(names), **params))
    return notes


def _names(text: str, classes: set[str]) -> list[str]:
    return [text] if _key(text) in classes else [name.strip() for name in text.split(",") if name.strip()]


def _key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


JUNK_NAMES = frozenset(_key(name) for line in _NAMES.split("\n") for name in line.split("|") if name)
"""What people call a label that is none, in several languages: not sure, unknown, other, skip."""


def _dropped_message(target: Target, dropped: Sequence[int], counts: NDArray[np.int64]) -> Message:
    names: Mapping[str, Any] = examples(f"{target.classes[i]} ({counts[i]:,})" for i in dropped)
    return Message("labels_made_unknown", **{**names, "target": target.name, "count": int(counts[dropped].sum())})


def _without(
    target: Target, labels: NDArray[np.integer[Any]], dropped: Sequence[int]
) -> tuple[Target, NDArray[np.integer[Any]]]:
    kept = np.setdiff1d(np.arange(len(target.classes)), dropped)
    names = tuple(target.classes[i] for i in kept)
    if target.kind == "multilabel":
        columns = labels[:, kept].copy()
        columns[(labels[:, dropped] == 1).any(axis=1) & ~(columns == 1).any(axis=1)] = UNKNOWN
        return Target(target.name, names, "multilabel"), columns
    table = np.full(len(target.classes) + 1, UNKNOWN, dtype=np.int64)  # UNKNOWN (-1) points to the last entry
    table[kept] = np.arange(len(kept))
    return Target(target.name, names), table[labels]
