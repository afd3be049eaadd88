"""The files of the server's page: all are there, all are used, and none names an address of another place."""

import json
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from muslin.messages import LANGUAGES
from muslin.server.app import PAGE
from muslin.server.openapi import OPERATIONS
from muslin.web.page_files import SHARED, page_texts
from server_process import Served, running_server

SCRIPTS = {path: path.read_text() for path in sorted(PAGE.glob("*.js"))}
OWN = "".join(SCRIPTS.values())
MAX_BYTES = 80_000  # of the page with all that it loads


@pytest.mark.parametrize("prefix", ["", "/shop"])
def test_page_loads_all_its_files_from_below_its_own_address(small_model: Path, prefix: str) -> None:
    with running_server(str(small_model), *(["--root-path", prefix] if prefix else [])) as served:
        check_files_of_page(served, prefix)


def check_files_of_page(served: Served, prefix: str) -> None:
    index = served.client.get(f"{prefix}/")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    waiting = [name for name in re.findall(r'(?:href|src)="([^"]+)"', index.text) if name != "favicon.ico"]
    waiting += [f"static/texts/{language}.json" for language in LANGUAGES]
    loaded: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in loaded:
            continue
        response = served.client.get(f"{prefix}/{name}")
        assert response.status_code == 200, name
        loaded[name] = response.text
        found = re.findall(r'^(?:import|export) .*from "(.+)";', response.text, re.MULTILINE)
        assert all(each.startswith(("./", "../")) for each in found), name
        waiting += [urljoin(name, each) for each in found]
    assert {"static/main.js", "static/components/camera.js", "static/colours.css"} <= loaded.keys()
    assert not re.search(r"https?://(?!www\.w3\.org)", index.text + OWN)
    assert sum(map(len, loaded.values())) + len(index.text) < MAX_BYTES


def test_unknown_file_of_the_page_is_refused(served: Served) -> None:
    for name in ("none.js", "..%2fapp.py", "index.html", "texts/fr.json"):
        response = served.client.get(f"/static/{name}")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "page_missing")


def test_every_text_is_there_in_each_language_and_used() -> None:
    tables = [json.loads((PAGE / f"texts/{language}/serve.json").read_text()) for language in LANGUAGES]
    gaps = [{key: set(re.findall(r"\{\w+\}", text)) for key, text in table.items()} for table in tables]
    assert gaps[0] == gaps[1]
    asked = set(re.findall(r"""["'`]([\w.]+)["'`]""", OWN))
    starts = tuple(re.findall(r"`(try\.\w+\.)\$\{", OWN))
    unused = {key.removesuffix(".one") for key in tables[0]} - asked
    assert sorted(key for key in unused if not key.startswith(starts)) == []
    assert {key for key in asked if key.startswith("try.")} <= tables[0].keys()
    shared = set(re.findall(r"""\bt\(["']([^"'.]+)["']""", OWN))
    assert shared <= page_texts((SHARED, PAGE), "en").keys()


def test_every_request_is_described_on_the_page() -> None:
    texts = json.loads((PAGE / "texts/en/serve.json").read_text())
    prefix = "try.does."
    described = {key.removeprefix(prefix): text for key, text in texts.items() if key.startswith(prefix)}
    summaries = {f"{method} {path}": operation.summary for (method, path), operation in OPERATIONS.items()}
    assert described == {key: text for key, text in summaries.items() if "{version}" not in key}


def test_chinese_texts_use_the_words_of_the_studio() -> None:
    others = "图像(?!分类)|计算机|您|分数(?!据)|方案|范围外|复核"
    texts = json.loads((PAGE / "texts/zh/serve.json").read_text()).values()
    assert [text for text in texts if re.search(others, text) or not re.search(r"[\u4e00-\u9fff]", text)] == []


def test_every_style_is_used() -> None:
    rules = re.sub(r"/\*.*?\*/", "", (PAGE / "serve.css").read_text(), flags=re.DOTALL)
    selectors = re.findall(r"[^{}]+(?=\{)", rules)
    names = {name for selector in selectors for name in re.findall(r"\.([a-zA-Z][\w-]*)", selector)}
    scripts = "".join(path.read_text() for path in SHARED.rglob("*.js")) + OWN
    assert sorted(names - set(re.findall(r"[\w-]+", scripts)) - {"accept", "review", "out_of_scope"}) == []


def test_each_script_of_the_page_is_short() -> None:
    assert {path.name: len(text.splitlines()) for path, text in SCRIPTS.items() if text.count("\n") > 160} == {}


def test_page_routes_are_beside_those_of_the_api(served: Served) -> None:
    assert served.client.get("/favicon.ico").status_code == 204
    assert served.client.get("/v1/models").status_code == 200
    assert Path(PAGE, "index.html").exists()
