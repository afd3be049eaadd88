"""Write the tables of dependencies.md in this folder.

    python docs/explanation/dependencies.py            # write the page from what is recorded
    python docs/explanation/dependencies.py --record   # first record the packages that are installed here
    python docs/explanation/dependencies.py --check    # write nothing; exit 1 if the page is stale

The dependencies are those of pyproject.toml, the reasons stand in dependencies.toml, and versions, licences, sizes and
what a package brings along are recorded in dependencies.json. So the page is the same on every machine, whatever is
installed there, and checking it needs no network. A package that is not installed keeps its record.
"""

import json
import math
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1] / "pyproject.toml"
COMMAND = "python docs/explanation/dependencies.py"

SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "UNKNOWN": "unknown",
}
"""The short names of licences that older metadata write out."""

Records = Mapping[str, Mapping[str, Any]]
"""Per package its `version`, `licence`, `size_mb` and `needs`: the packages that it brings along on Linux."""


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"], ["--record"]):
        print(f"usage: {COMMAND} [--check | --record]", file=sys.stderr)
        return 2
    if arguments == ["--record"]:
        text = json.dumps(record(requirements(PROJECT), recorded(HERE)), indent=1, sort_keys=True)
        (HERE / "dependencies.json").write_text(text + "\n", encoding="utf-8")
    if faults := problems(HERE, PROJECT):
        print("\n".join(faults), file=sys.stderr)
        return 1
    page = HERE / "dependencies.md"
    old = page.read_text(encoding="utf-8")
    new = filled(old, tables(HERE, PROJECT))
    if arguments == ["--check"]:
        if new != old:
            print(f"docs/explanation/dependencies.md is stale. Run: {COMMAND}", file=sys.stderr)
        return int(new != old)
    page.write_text(new, encoding="utf-8")
    return 0


def requirements(project: Path) -> dict[str, list[Requirement]]:
    """What each extra requires, in order of names; `base` is every installation. muslin's own extras are left out."""
    described = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    groups = {"base": described["dependencies"], **described["optional-dependencies"]}
    return {
        group: sorted((each for each in map(Requirement, texts) if each.name != "muslin"), key=lambda each: each.name)
        for group, texts in groups.items()
    }


def reasons(folder: Path) -> dict[str, dict[str, str]]:
    return tomllib.loads((folder / "dependencies.toml").read_text(encoding="utf-8"))


def recorded(folder: Path) -> Records:
    file = folder / "dependencies.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


# --- what is installed here


def record(wanted: Mapping[str, list[Requirement]], known: Records) -> Records:
    """The records of what `wanted` needs: of installed packages made again, of others as they are `known`."""
    made: dict[str, Mapping[str, Any]] = {}
    listed = [each for group in wanted.values() for each in group]
    extras = {each.name: each.extras for each in listed}
    left = [each.name for each in listed]
    while left:
        if (name := canonical(left.pop())) not in made:
            try:
                made[name] = record_of(metadata.distribution(name), extras.get(name, set()))
            except metadata.PackageNotFoundError:
                if name not in known:
                    raise
                made[name] = known[name]
            left += made[name]["needs"]
    return made


def record_of(package: metadata.Distribution, extras: set[str]) -> Mapping[str, Any]:
    files = [Path(str(file.locate())) for file in package.files or []]
    needs = [Requirement(text) for text in package.requires or []]
    return {
        "version": package.version.partition("+")[0],
        "licence": licence_of(package),
        "size_mb": round(sum(file.stat().st_size for file in files if file.is_file()) / 1e6, 1),
        "needs": sorted({canonical(need.name) for need in needs if is_needed(need, extras)}),
    }


def is_needed(need: Requirement, extras: set[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def licence_of(package: metadata.Distribution) -> str:
    """The licence by its expression, its classifier, or a short text; `unknown` for none of them."""
    described = package.metadata
    classifiers = [text for text in described.get_all("Classifier") or [] if text.startswith("License :: OSI")]
    text = described.get("License") or ""
    name = described.get("License-Expression") or " and ".join(text.split(" :: ")[-1] for text in classifiers) or text
    return SPDX.get(name, name) if "\n" not in name and len(name) < 120 else "unknown"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- the page


def problems(folder: Path, project: Path) -> list[str]:
    """What does not fit together: pyproject.toml, the reasons, and the records."""
    wanted, why, known = requirements(project), reasons(folder), recorded(folder)
    listed = {each.name: each for group in wanted.values() for each in group}
    faults = [f"dependencies.toml has no reason for {name}" for name in sorted(listed.keys() - why.keys())]
    faults += [f"dependencies.toml has {name}, which is no dependency" for name in sorted(why.keys() - listed.keys())]
    needed = closure(listed, known)
    faults += [f"dependencies.json lacks {name}. Run: {COMMAND} --record" for name in sorted(needed - known.keys())]
    faults += [f"dependencies.json has {name}, which nothing needs" for name in sorted(known.keys() - needed)]
    for name, requirement in sorted(listed.items()):
        if name in known and not requirement.specifier.contains(known[name]["version"]):
            faults.append(f"{name} {known[name]['version']} is recorded, required is {requirement}")
    return faults


def closure(names: Iterable[str], known: Records) -> set[str]:
    """`names` and all packages that they bring along."""
    found: set[str] = set()
    left = list(names)
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            left += known.get(name, {}).get("needs", [])
    return found


def tables(folder: Path, project: Path) -> dict[str, str]:
    """What stands between the marks of the page, by their names."""
    wanted, why, known = requirements(project), reasons(folder), recorded(folder)
    names = {group: [each.name for each in needed] for group, needed in wanted.items()}
    base = closure(names["base"], known)
    others = closure(
        [each for group in ("client", "fetch", "parquet", "ray", "review", "train") for each in names[group]], known
    )
    parts = {
        "base": (names["base"], set()),
        "client": (names["client"], base),
        "fetch": (names["fetch"], base),
        "parquet": (names["parquet"], base),
        "ray": (names["ray"], base),
        "review": (names["review"], base),
        "train": (names["train"], base | closure(names["parquet"], known)),
        "dev": (names["dev"], base | others),
    }
    return {group: group_table(own, before, why, known) for group, (own, before) in parts.items()}


def group_table(own: list[str], before: set[str], why: Mapping[str, Mapping[str, str]], known: Records) -> str:
    """The table of the packages `own`, and a sentence of what they bring along beyond `before`."""
    lines = ["| package | why | licence | alone |", "| --- | --- | --- | ---: |"]
    if has_keepers := any("kept_by" in why[name] for name in own):
        lines = [f"{lines[0]} kept by |", f"{lines[1]} --- |"]
    for name in own:
        licence = why[name].get("licence", known[name]["licence"])
        title = f"{name} {'.'.join(known[name]['version'].split('.')[:2])}"
        cells = [title, why[name]["why"], licence, megabytes([name], known)]
        cells += [why[name].get("kept_by", "")] * has_keepers
        lines.append(f"| {' | '.join(cells)} |")
    brought = closure(own, known) - before - set(own)
    if brought:
        lines += ["", *textwrap.wrap(brought_along(own, brought, known), 120, break_on_hyphens=False)]
    total = megabytes(closure(own, known) - before, known)
    return "\n".join([*lines, "", f"Together {total}."])


def brought_along(own: list[str], brought: set[str], known: Records) -> str:
    by = {name: sorted(first_brought(name, own, known) & brought) for name in own}
    names = "; ".join(f"{', '.join(names)} ({name})" for name, names in by.items() if names)
    licences = ", ".join(sorted({known[name]["licence"] for name in brought}))
    return f"They bring along {names}: {megabytes(brought, known)} together, under {licences}."


def first_brought(name: str, own: list[str], known: Records) -> set[str]:
    """What `name` brings along and no package before it in `own` does."""
    return closure([name], known) - closure(own[: own.index(name)], known)


def megabytes(names: Iterable[str], known: Records) -> str:
    # math.fsum: the order of a set must not decide how x.5 MB is rounded
    return f"{max(round(math.fsum(known[name]['size_mb'] for name in names)), 1):,} MB"


def filled(page: str, made: Mapping[str, str]) -> str:
    """`page` with each of `made` between its marks."""
    for name, text in made.items():
        start, end = f"<!-- packages: {name} -->", "<!-- /packages -->"
        before, mark, rest = page.partition(start)
        assert mark, f"dependencies.md has no {start}"
        page = f"{before}{mark}\n{text}\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
