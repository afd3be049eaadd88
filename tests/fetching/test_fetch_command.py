"""`muslin fetch` at a terminal and without one."""

import os
import pty
import select
from pathlib import Path
from typing import Any

from command_line import COMMAND, error_object, invoke, start


def write_export(folder: Path) -> Path:
    path = folder / "export.csv"
    path.write_text("sku,Image Src\n1,https://cdn.example/1.jpg\n2,http://img.example:8080/2.jpg\n")
    return path


def test_without_a_terminal_hosts_are_listed_and_not_asked(tmp_path: Path) -> None:
    result = start("fetch", write_export(tmp_path), "-o", tmp_path / "shop", "--json", cwd=tmp_path)
    out, err = result.communicate()
    assert result.returncode == 1, err
    assert '"hosts_not_confirmed"' in out
    assert "cdn.example (1), img.example:8080 (1)" in out
    assert not (tmp_path / "shop").exists()


def test_host_that_the_table_lacks_is_refused(tmp_path: Path, capfd: Any) -> None:
    words = ("fetch", write_export(tmp_path), "-o", tmp_path / "shop", "--json", "--host")
    result = invoke(capfd, *words, "other.example")
    assert error_object(result)["code"] == "no_host_confirmed"
    result = invoke(capfd, *words, "http://me:secret@cdn.example/")
    assert error_object(result)["code"] == "address_credentials"


def test_person_at_a_terminal_can_say_no(tmp_path: Path) -> None:
    export = write_export(tmp_path)
    child, terminal = pty.fork()
    if child == 0:
        os.execv(COMMAND, [str(COMMAND), "fetch", str(export), "-o", str(tmp_path / "shop")])
    shown = b""
    while b"[y/N]" not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 4096)
    os.write(terminal, b"n\n")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"1 from cdn.example" in shown
    assert b"1 from img.example:8080" in shown
    assert not (tmp_path / "shop").exists()
