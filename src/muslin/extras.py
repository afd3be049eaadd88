"""The extras of the installation: the packages that each brings, and the command that installs a missing one."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from muslin.errors import MissingPartError

EXTRAS = {
    "client": {"httpx": "httpx"},
    "fetch": {"httpcore": "httpcore"},
    "train": {"torch": "torch", "scikit-learn": "sklearn", "scipy": "scipy"},
    "parquet": {"pyarrow": "pyarrow"},
    "ray": {"ray": "ray", "grpcio": "grpc"},
    "review": {"sqlalchemy": "sqlalchemy", "psycopg": "psycopg"},
}
"""Per extra its packages, and per package the module that is imported; `pyproject.toml` has the versions."""


def require_extra(extra: str) -> None:
    """Refuse to go on without the packages of `extra`. Imports none of them, so it is quick.

    Raises:
        MissingPartError: a package is not installed.
    """
    missing = [package for package, module in EXTRAS[extra].items() if find_spec(module) is None]
    if missing:
        raise MissingPartError("extra_not_installed", extra=extra, packages=missing, install=install_command(extra))


def install_command(extra: str) -> str:
    """The command that adds `extra` to this installation: from the clone that it came from, if it is still there.

    Otherwise pip keeps the installed muslin, whether it came from a wheel or an index, and adds what is missing.
    """
    import shlex  # here, because a prediction has no need of what this module looks up

    folder, is_editable = _source()
    if folder is None or not (folder / "pyproject.toml").exists():
        return shlex.join([*_pip_install(), f"muslin[{extra}]"])
    return shlex.join([*_pip_install(), *["--editable"] * is_editable, f"{folder}[{extra}]"])


def _source() -> tuple[Path | None, bool]:
    """The folder that muslin was installed from, or runs in; and whether the installation is editable.

    Source: PyPA, Recording the Direct URL Origin of installed distributions (`direct_url.json`).
    """
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    try:
        origin = json.loads(distribution("muslin").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # in a folder on PYTHONPATH
        return Path(__file__).parents[2], True
    if "dir_info" not in origin:
        return None, False
    return Path(url2pathname(urlparse(origin["url"]).path)), origin["dir_info"].get("editable", False)


def _pip_install() -> list[str]:
    """How this environment installs: its own pip, by the short name where the shell finds it; without pip, uv."""
    import shutil
    import sysconfig

    if find_spec("pip") is None:
        return ["uv", "pip", "install", "--python", sys.executable]
    found = shutil.which("pip")
    is_ours = found is not None and os.path.samefile(Path(found).parent, sysconfig.get_path("scripts"))
    return [*(["pip"] if is_ours else [sys.executable, "-m", "pip"]), "install"]
