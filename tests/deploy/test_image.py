"""The Dockerfile: its instructions fit the repository, and the image that they make serves."""

import json
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from muslin.cli import cli
from muslin.models.bundle import seal
from small_models import small_bundle

DEPLOY = Path(__file__).parents[2] / "deploy"

MAX_MEGABYTES = 450


def test_instructions_of_the_image_fit_the_repository() -> None:
    script = runpy.run_path(str(DEPLOY / "try-image"))
    rows = script["instructions"]((DEPLOY / "Dockerfile").read_text())
    sources = [rest.split()[:-1] for kind, rest in rows if kind == "COPY" and "--from" not in rest]
    assert all((DEPLOY.parent / source).exists() for words in sources for source in words)
    (entrypoint,) = [json.loads(rest) for kind, rest in rows if kind == "ENTRYPOINT"]
    cli.commands["serve"].make_context("serve", [*entrypoint[2:], "model.muslin"])
    assert [rest for kind, rest in rows if kind == "USER"] == ["muslin"]


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("mmdebstrap") or os.getuid() != 0, reason="needs mmdebstrap and root")
def test_image_serves_within_its_size(tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "small.muslin")
    done = subprocess.run([DEPLOY / "try-image", tmp_path / "small.muslin"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size = re.search(r"^image: (\d+) MB", done.stdout, re.MULTILINE)
    assert size
    assert int(size[1]) < MAX_MEGABYTES
    assert "user 10001" in done.stdout
    assert "exit status after SIGTERM: 0" in done.stdout
