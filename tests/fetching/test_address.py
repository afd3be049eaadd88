"""Addresses as cells have them, and what is refused."""

import pytest

from muslin.errors import FetchError
from muslin.fetching.address import parse_address, parse_redirect, parse_site
from muslin.fetching.address_cells import texts_in
from refusals import refuses


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://cdn.example/a.jpg", "https://cdn.example/a.jpg"),
        ("HTTPS://CDN.Example.:443/a.jpg#top", "https://cdn.example/a.jpg"),
        ("//cdn.example/a.jpg?v=1&w=2", "https://cdn.example/a.jpg?v=1&w=2"),
        ("http://cdn.example:80", "http://cdn.example/"),
        ("http://cdn.example:8080?x", "http://cdn.example:8080/?x"),
        ("https://cdn.example/a b/ü,c.jpg", "https://cdn.example/a%20b/%C3%BC,c.jpg"),
        ("https://cdn.example/a%20b%zz.jpg", "https://cdn.example/a%20b%25zz.jpg"),
        ("https://cdn.example/\\a|b.jpg", "https://cdn.example/%5Ca|b.jpg"),
        ("https://bücher.example/1.jpg", "https://xn--bcher-kva.example/1.jpg"),
        ("https://a_b.cdn-1.example/1.jpg", "https://a_b.cdn-1.example/1.jpg"),
        ("http://93.184.216.34/1.jpg", "http://93.184.216.34/1.jpg"),
        ("http://[2606:2800:220:1:0::1]:8080/1.jpg", "http://[2606:2800:220:1::1]:8080/1.jpg"),
    ],
)
def test_address_has_one_form(text: str, url: str) -> None:
    assert parse_address(text).url == url
    assert parse_address(url).url == url


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "address_not_http"),
        ("coat.jpg", "address_not_http"),
        ("ftp://cdn.example/a.jpg", "address_not_http"),
        ("data:image/png;base64,AAAA", "address_not_http"),
        ("file:///etc/passwd", "address_not_http"),
        ("https:/cdn.example/a.jpg", "address_not_http"),
        ("https://user:secret@cdn.example/a.jpg", "address_credentials"),
        ("https://@cdn.example/a.jpg", "address_credentials"),
        ("https:///a.jpg", "address_host"),
        ("https://localhost/a.jpg", "address_host"),
        ("https://intranet/a.jpg", "address_host"),
        ("https://2130706433/a.jpg", "address_host"),
        ("https://0x7f.0.0.1/a.jpg", "address_host"),
        ("https://127.1/a.jpg", "address_host"),
        ("https://010.0.0.1/a.jpg", "address_host"),
        ("https://cdn..example/a.jpg", "address_host"),
        ("https://-cdn.example/a.jpg", "address_host"),
        ("https://cdn.example\\evil.example/a.jpg", "address_host"),
        ("https://cdn.example:https/a.jpg", "address_host"),
        ("https://cdn.ex%61mple/a.jpg", "address_host"),
        ("https://[fe80::1%25eth0]/a.jpg", "address_host"),
        ("https://[::1", "address_host"),
        ("https://cdn.example:0/a.jpg", "address_port"),
        ("https://cdn.example:65536/a.jpg", "address_port"),
        ("https://cdn.example/\x1b[31m.jpg", "address_characters"),
        ("https://cdn.example/a.jpg\r\nHost: evil", "address_characters"),
        ("https://cdn.example/" + "a" * 5000, "address_too_long"),
    ],
)
def test_odd_address_is_refused(text: str, code: str) -> None:
    with refuses(code, FetchError):
        parse_address(text)


def test_password_is_not_told() -> None:
    with refuses("address_credentials", FetchError, host="cdn.example") as _:
        parse_address("https://user:secret@cdn.example/a.jpg")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("b.jpg", "https://cdn.example/x/b.jpg"),
        ("/b.jpg", "https://cdn.example/b.jpg"),
        ("?w=1", "https://cdn.example/x/a.jpg?w=1"),
        ("//img.example/b.jpg", "https://img.example/b.jpg"),
        ("http://img.example/b.jpg", "http://img.example/b.jpg"),
    ],
)
def test_redirect_is_read_from_where_it_stands(location: str, url: str) -> None:
    assert parse_redirect(location, parse_address("https://cdn.example/x/a.jpg")).url == url


def test_site_is_the_host_with_an_unusual_port() -> None:
    texts = ["cdn.example", "CDN.example:443", "https://cdn.example/a.jpg", "cdn.example:8080", "//cdn.example:8080/"]
    assert [parse_site(text) for text in texts] == ["cdn.example"] * 3 + ["cdn.example:8080"] * 2
    assert parse_address("http://cdn.example/").site == parse_address("https://cdn.example/").site


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("", []),
        ("https://a.example/1.jpg", ["https://a.example/1.jpg"]),
        (" https://a.example/1.jpg, https://a.example/2.jpg ,", ["https://a.example/1.jpg", "https://a.example/2.jpg"]),
        (
            "https://a.example/w_1,h_2/a b.jpg|//b.example/2.jpg",
            ["https://a.example/w_1,h_2/a b.jpg", "//b.example/2.jpg"],
        ),
        ("https://a.example/1.jpg\nhttp://a.example/2.jpg", ["https://a.example/1.jpg", "http://a.example/2.jpg"]),
        ("https://a.example/?u=https://b.example/1.jpg", ["https://a.example/?u=https://b.example/1.jpg"]),
        (
            '["https://a.example/1.jpg", "https://a.example/2.jpg"]',
            ["https://a.example/1.jpg", "https://a.example/2.jpg"],
        ),
        (("https://a.example/1.jpg", "b.jpg"), ["https://a.example/1.jpg", "b.jpg"]),
        ("coat.jpg, hat.jpg", ["coat.jpg, hat.jpg"]),
    ],
)
def test_cell_can_have_several_addresses(cell: str | tuple[str, ...], texts: list[str]) -> None:
    assert texts_in(cell) == texts
