"""The extras of the installation, and the command that installs a missing one."""

import json
import re
import shlex
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from muslin.extras import EXTRAS, install_command, require_extra
from refusals import refuses

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def install_from(origin: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let muslin be installed as pip records it."""
    record = tmp_path / "site" / "muslin-9.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: muslin\nVersion: 9\n")
    if origin is not None:
        (record / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(record.parent)
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts"))


def test_clone_is_named_by_its_folder(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from({"url": clone.as_uri(), "dir_info": {}}, tmp_path, monkeypatch)
    assert install_command("train") == f"pip install '{clone}[train]'"


def test_editable_clone_stays_editable(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from({"url": clone.as_uri(), "dir_info": {"editable": True}}, tmp_path, monkeypatch)
    assert install_command("train") == f"pip install --editable '{clone}[train]'"


@pytest.mark.parametrize(
    "origin",
    [
        None,  # an index
        {"url": "file:///wheels/muslin-9-py3-none-any.whl", "archive_info": {}},
        {"url": "https://example.org/muslin", "vcs_info": {"vcs": "git", "commit_id": "12ab"}},
        {"url": "file:///a/clone/that/was/deleted", "dir_info": {"editable": True}},
    ],
)
def test_other_origins_keep_the_installed_muslin(
    origin: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_from(origin, tmp_path, monkeypatch)
    assert install_command("parquet") == "pip install 'muslin[parquet]'"


def test_pip_of_another_environment_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from(None, tmp_path, monkeypatch)
    for path in ("", str(tmp_path)):
        monkeypatch.setenv("PATH", path)
        assert install_command("train").startswith(f"{shlex.quote(sys.executable)} -m pip install ")


def test_environment_without_pip_is_filled_by_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_from(None, tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "pip", None)
    assert install_command("train").startswith("uv pip install --python ")


def test_missing_packages_are_named_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in EXTRAS:
        require_extra(extra)
    install_from(None, tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    install = "pip install 'muslin[train]'"
    with refuses("extra_not_installed", extra="train", packages=["torch", "scikit-learn"], install=install):
        require_extra("train")


def test_extras_require_the_packages_of_pyproject() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, packages in EXTRAS.items():
        assert {re.split(r"[\[>]", name)[0] for name in wanted[extra]} >= set(packages)
