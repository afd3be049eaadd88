"""From an export to photos: what is asked for, what is written, and how the next run goes on."""

import csv
import gzip
import json
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muslin.errors import DataError, FetchError, StorageError
from muslin.fetching.connection import FetchLimits
from muslin.fetching.fetch_result import FetchResult
from muslin.workflows.fetch import FetchOptions, fetch, plan_fetch
from photo_host import QUICK, PhotoHost, by_turns, photo, photo_host
from refusals import refuses

CDN = "http://cdn.example"


def write_export(folder: Path, *addresses: str, name: str = "export.csv") -> Path:
    path = folder / name
    path.write_text("sku,Image Src\n" + "".join(f'{i},"{address}"\n' for i, address in enumerate(addresses)))
    return path


def fetched(
    host: PhotoHost, export: Path, *, limits: FetchLimits = QUICK, rate: float = 1000, **options: Any
) -> FetchResult:
    """A whole run: all hosts of the table are confirmed."""
    plan = plan_fetch(export, export.parent / "shop", FetchOptions(rate=rate, **options))
    return fetch(plan, [*plan.hosts, "cdn.example"], network=host.network, limits=limits)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def reasons(result: FetchResult) -> Mapping[str, str]:
    """Per address the code of its failure."""
    return {row["address"]: row["code"] for row in rows(result.failed)}


def test_photos_get_a_new_column_and_an_address_is_asked_once(tmp_path: Path) -> None:
    export = tmp_path / "export.csv"
    export.write_bytes(
        b'\xef\xbb\xbfHandle;"Body (HTML)";Image Src;Variant Image\r\n'
        b'coat;"<p>a ""red"" coat;\r\nwarm</p>";http://cdn.example/1.jpg?v=1;\r\n'
        b"coat;;http://cdn.example/2 b.png;http://cdn.example/1.jpg?v=1\r\n"
        b"hat;;http://cdn.example/none.jpg;\r\n"
    )
    with photo_host({"/1.jpg?v=1": photo(1), "/2%20b.png": photo(2, "PNG")}) as host:
        result = fetched(host, export)
    assert host.asked == {"/1.jpg?v=1": 1, "/2%20b.png": 1, "/none.jpg": 1}
    assert (result.photos, result.fetched, result.addresses, result.rows_with_photo) == (2, 2, 3, 2)
    lines = result.out.read_bytes().split(b"\r\n")
    added = [line.rpartition(b";")[2].decode() for line in lines]
    before = [line.rpartition(b";")[0] for line in lines]
    assert b"\r\n".join([before[0], lines[1], *before[2:5], b""]) == export.read_bytes(), "every byte stays"
    first, both = added[2], added[3].split("|")
    assert both[1] == first
    assert (tmp_path / "shop" / first).read_bytes() == photo(1)
    assert (tmp_path / "shop" / both[0]).read_bytes() == photo(2, "PNG")
    assert reasons(result) == {"http://cdn.example/none.jpg": "photo_refused"}


def test_second_run_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    names = [f"{CDN}/{name}.jpg" for name in ("good", "gone", "broken", "moved")]
    answers = {"/good.jpg": photo(1), "/gone.jpg": (410, {}, b""), "/moved.jpg": (404, {}, b"")}
    with photo_host({**answers, "/broken.jpg": lambda handler: None}) as host:
        export = write_export(tmp_path, *names)
        first = fetched(host, export)
        assert (first.fetched, first.photos) == (1, 1)
        host.asked.clear()
        host.answers["/broken.jpg"] = photo(2)
        second = fetched(host, export)
        assert host.asked == {"/broken.jpg": 1}, "what the server refused is not asked for again"
        assert (second.fetched, second.kept) == (1, 1)
        host.answers["/moved.jpg"] = photo(3)
        third = fetched(host, export, again=True)
        assert (third.fetched, third.photos) == (1, 3)
        (tmp_path / "shop" / rows(third.out)[0]["photo"]).unlink()
        assert fetched(host, export).fetched == 1, "a photo that was deleted"


def test_update_transfers_only_what_has_changed(tmp_path: Path) -> None:
    def dated(handler: Any) -> Any:
        unchanged = handler.headers.get("If-None-Match") == '"1"'
        return (304, {"ETag": '"1"'}, b"") if unchanged else (200, {"ETag": '"1"'}, photo(1))

    with photo_host({"/a.jpg": dated, "/b.jpg": by_turns(photo(2), photo(3)), "/c.jpg": photo(4)}) as host:
        export = write_export(tmp_path, *(f"{CDN}/{name}.jpg" for name in "abc"))
        before = rows(fetched(host, export).out)
        host.answers["/c.jpg"] = (500, {}, b"")
        result = fetched(host, export, update=True)
    after = rows(result.out)
    assert (result.photos, result.fetched) == (3, 1)
    assert [a["photo"] == b["photo"] for a, b in zip(before, after, strict=True)] == [True, False, True]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, {"Content-Type": "image/jpeg"}, b"<!doctype html><p>not here"), "image_format"),
        ((200, {}, b""), "image_empty"),
        ((200, {}, photo(1)[:200]), "image_cut_off"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(10_000_000))), "photo_encoded"),
        ((200, {"Content-Length": "20000001"}, b""), "photo_too_large"),
        ((403, {}, b"<html>" * 50_000), "photo_refused"),
        ((206, {}, photo(1)), "photo_refused"),
        ((304, {}, b""), "photo_refused"),
        ((301, {"Location": "http://other.example/1.jpg"}, b""), "redirect_not_confirmed"),
        ((301, {"Location": "http://user@cdn.example/1.jpg"}, b""), "address_credentials"),
        ((301, {"Location": "ftp://cdn.example/1.jpg"}, b""), "address_not_http"),
        ((301, {"Location": "http://[::1]/1.jpg"}, b""), "host_not_public"),
        ((302, {"Location": "/photo.jpg"}, b""), "redirects_too_many"),
        ((301, {}, b""), "photo_refused"),
    ],
)
def test_what_is_no_photo_is_refused_with_the_reason(answer: Any, code: str, tmp_path: Path) -> None:
    with photo_host({"/photo.jpg": answer, "/good.jpg": photo(5)}) as host:
        result = fetched(host, write_export(tmp_path, f"{CDN}/photo.jpg", f"{CDN}/good.jpg"))
    assert (result.photos, reasons(result)) == (1, {f"{CDN}/photo.jpg": code})


def test_redirects_are_followed_to_confirmed_hosts(tmp_path: Path) -> None:
    hop = (302, {"Location": "//img.example/b.jpg"}, b"")
    with photo_host({"/a.jpg": hop, "/b.jpg": photo(1)}) as host:
        host.answers["/b.jpg"] = by_turns((307, {"Location": "c.jpg"}, b""), photo(1))
        host.answers["/c.jpg"] = photo(2)
        plan = plan_fetch(write_export(tmp_path, f"{CDN}/a.jpg"), tmp_path / "shop", FetchOptions(rate=1000))
        result = fetch(plan, ["cdn.example", "img.example"], network=host.network, limits=QUICK)
    assert result.photos == 1
    assert sorted(request["Host"] for request in host.requests) == ["cdn.example", "img.example", "img.example"]
    assert all(request["User-Agent"].startswith("muslin/") for request in host.requests)
    assert all(request["Accept-Encoding"] == "identity" for request in host.requests)


def endless(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")


def dripping(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.05)


def silent(handler: Any) -> None:
    handler.rfile.read(1)  # until the client leaves


@pytest.mark.parametrize(
    ("answer", "code", "limit"),
    [
        (endless, "photo_too_large", {"max_bytes": 1_000_000}),
        (dripping, "photo_too_slow", {"photo_s": 0.4}),
        (silent, "photo_stalled", {"idle_s": 0.2}),
    ],
)
def test_endless_and_slow_answers_are_left(answer: Any, code: str, limit: dict[str, Any], tmp_path: Path) -> None:
    limits = replace(QUICK, **limit)
    with photo_host({"/a.jpg": answer}) as host:
        result = fetched(host, write_export(tmp_path, f"{CDN}/a.jpg"), limits=limits)
    assert reasons(result) == {f"{CDN}/a.jpg": code}


def test_hosts_that_are_down_are_given_up(tmp_path: Path) -> None:
    def cut(handler: Any) -> None:
        return None

    answers: dict[str, Any] = {f"/{i}.jpg": cut for i in range(500)}
    with photo_host({**answers, "/good.jpg": photo(1)}) as host:
        addresses = [f"http://down.example/{i}.jpg" for i in range(500)]
        result = fetched(host, write_export(tmp_path, *addresses, f"{CDN}/good.jpg"))
    assert result.photos == 1
    assert sum(host.asked.values()) < 20
    assert result.failures["host_given_up"][0] > 480


def test_busy_hosts_are_asked_again_after_the_time_they_name(tmp_path: Path) -> None:
    full = (503, {"Retry-After": "900"}, b"")
    answers = {"/a.jpg": by_turns((429, {"Retry-After": "1"}, b""), photo(1)), "/full.jpg": full}
    with photo_host(answers) as host:
        addresses = [f"http://full.example/full.jpg?{i}" for i in range(50)]
        host.answers |= {f"/full.jpg?{i}": full for i in range(50)}
        result = fetched(host, write_export(tmp_path, f"{CDN}/a.jpg", *addresses))
    assert result.photos == 1
    assert host.asked["/a.jpg"] == 2
    assert sum(host.asked.values()) < 12, "those of a few connections"
    assert set(reasons(result).values()) == {"host_busy", "host_given_up"}


def test_only_confirmed_hosts_are_asked(tmp_path: Path) -> None:
    export = write_export(tmp_path, f"{CDN}/a.jpg", "http://cdn.example:8080/b.jpg", "http://img.example/c.jpg")
    plan = plan_fetch(export, tmp_path / "shop")
    assert plan.hosts == {"cdn.example": 1, "cdn.example:8080": 1, "img.example": 1}
    with photo_host({"/a.jpg": photo(1), "/b.jpg": photo(1), "/c.jpg": photo(1)}) as host:
        with refuses("no_host_confirmed", FetchError):
            fetch(plan, ["evil.example"], network=host.network)
        result = fetch(plan, ["cdn.example"], network=host.network, limits=QUICK)
        assert host.asked == {"/a.jpg": 1}
        assert set(reasons(result).values()) == {"host_not_confirmed"}
        again = fetch(plan_fetch(export, tmp_path / "shop"), ["cdn.example"], network=host.network)
    assert (again.kept, again.fetched) == (1, 0), "nothing is left to ask, and that is no error"


def test_tables_that_muslin_did_not_write_stay(tmp_path: Path) -> None:
    with photo_host({"/a.jpg": photo(1)}) as host:
        export = write_export(tmp_path, f"{CDN}/a.jpg")
        result = fetched(host, export)
        result.out.write_text("corrected by hand")
        with refuses("output_exists", StorageError):
            fetched(host, export)
        assert result.out.read_text() == "corrected by hand"
        fetched(host, export, overwrite=True)
        inside = write_export(tmp_path / "shop", f"{CDN}/a.jpg", name="products.csv")
        with refuses("output_is_input", StorageError):
            plan_fetch(inside, tmp_path / "shop", FetchOptions(overwrite=True))


def test_columns_are_found_by_name_and_by_content(tmp_path: Path) -> None:
    table = [
        {
            "Link": "https://shop.example/coat",
            "Bild-Adresse": "https://cdn.example/a.JPG?x=1",
            "Images": "",
            "note": "x",
        },
        {"Link": "https://shop.example/hat", "Bild-Adresse": "", "Images": "https://cdn.example/id/7", "note": "y"},
    ]
    export = tmp_path / "export.jsonl"
    export.write_text("".join(json.dumps(row) + "\n" for row in table))
    assert plan_fetch(export, tmp_path / "shop").columns == ("Bild-Adresse", "Images")
    assert plan_fetch(export, tmp_path / "shop", FetchOptions(columns=["Link"])).columns == ("Link",)
    with refuses("no_addresses", DataError, columns=["note"]):
        plan_fetch(export, tmp_path / "shop", FetchOptions(columns=["note"]))
    export.write_text(json.dumps(table[0] | {"Bild-Adresse": ""}))
    with refuses("no_addresses", DataError, others=["Link"]):
        plan_fetch(export, tmp_path / "shop")
    export.write_text(json.dumps({"Images": "https://localhost/a.jpg, https://me:pw@cdn.example/b.jpg"}))
    with refuses("addresses_refused", DataError, columns=["Images"], count=2, row=1):
        plan_fetch(export, tmp_path / "shop")
    assert not (tmp_path / "shop").exists(), "a plan writes nothing"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for cdn.example, which signed itself."""
    folder = tmp_path_factory.mktemp("certificates")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cdn.example"]
    files = ["-addext", "subjectAltName=DNS:cdn.example", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(["openssl", *words, *files], check=True, capture_output=True)
    return folder


def test_encrypted_host_is_known_by_its_certificate(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    asked_for: set[str | None] = set()
    context.sni_callback = lambda connection, name, own: asked_for.add(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "cert.pem"))
    answers = {"/a.jpg": photo(1), "/b.jpg": photo(2), "/c.jpg": (302, {"Location": "http://cdn.example/a.jpg"}, b"")}
    with photo_host(answers, context) as host:
        addresses = [f"https://{name}.example/{path}.jpg" for name in ("cdn", "other") for path in "abc"]
        result = fetched(host, write_export(tmp_path, *addresses))
    assert result.photos == 2
    assert host.connections <= 2 + 2 * 2, "connections are kept"
    assert asked_for == {"cdn.example", "other.example"}
    assert reasons(result) == {
        "https://cdn.example/c.jpg": "redirect_unencrypted",
        **{f"https://other.example/{path}.jpg": "certificate_invalid" for path in "abc"},
    }
