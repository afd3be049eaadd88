"""Forms as clients send them, and damaged ones."""

import httpx
import pytest

from muslin.errors import MuslinError
from muslin.server.multipart import FormField, parse_form
from refusals import refuses

KIND = "multipart/form-data; boundary=b0und"


def test_form_of_httpx_is_read_as_it_was_made() -> None:
    content = bytes(range(256)) + b"\r\n--b0un\r\n--\r\n\r\n"
    files = [("image", ('qu"ote.png', content, "image/png")), ("product[é 1]", ("ü.jpg", b"", "image/jpeg"))]
    request = httpx.Request("POST", "http://x/", files=files)
    assert parse_form(request.headers["content-type"], request.read(), 5) == [
        FormField("image", 'qu"ote.png', "image/png", content),
        FormField("product[é 1]", "ü.jpg", "image/jpeg", b""),
    ]


def test_quoted_boundary_and_odd_headers_are_read() -> None:
    body = (
        b"--a b\r\ncontent-disposition: form-data; filename=a;name=image\r\n\r\nx"
        b'\r\n--a b\r\nContent-Disposition: form-data; name="two\\""\r\n\r\n\r\n--a b--\r\nepilogue'
    )
    found = parse_form('multipart/form-data; boundary="a b"', body, 5)
    assert found == [FormField("image", "a", "", b"x"), FormField('two"', None, "", b"")]


def test_form_of_an_old_client_is_read() -> None:
    body = (
        b"\r\n--=_Part/1\r\nContent-Type: IMAGE/PNG; name=x\r\nContent-Transfer-Encoding: binary\r\n"
        b'Content-Disposition: form-data; name="image"; filename="gr\xfcn%22.png"\r\n\r\nabc\r\n--=_Part/1--\r\n'
    )
    found = parse_form("Multipart/Form-Data; charset=utf-8; Boundary==_Part/1", body, 1)
    assert found == [FormField("image", 'gr\ufffdn".png', "image/png", b"abc")]


@pytest.mark.parametrize(
    ("kind", "body", "hint"),
    [
        ("multipart/form-data", b"", "no_boundary"),
        (KIND, b"", "boundary_missing"),
        (KIND, b"--other\r\n", "boundary_missing"),
        (KIND, b"--b0und", "cut_off"),
        (KIND, b"--b0und\r\nContent-Disposition: form-data; name=a\r\n", "cut_off"),
        (KIND, b"--b0und\r\nContent-Disposition: form-data; name=a\r\n\r\nabc", "cut_off"),
        (KIND, b"--b0und\r\nContent-Disposition: form-data; name=a\r\n\r\nabc\r\n--b0und", "cut_off"),
        (KIND, b"ignore me--b0und--", "cut_off"),
        (f"{KIND}{300 * 'x'}", b"--b0und--", "boundary_missing"),
        (
            KIND,
            b"--b0und\r\nContent-Disposition: form-data; name=a\r\n\r\n%b\r\n--b0und--" % (9 * b"\r\n--b0undX"),
            "cut_off",
        ),
        (KIND, b"--b0und\r\nX: %b\r\n\r\nabc\r\n--b0und--" % (9000 * b"x"), "cut_off"),
        (KIND, b"--b0und\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--b0und--", "nameless"),
    ],
)
def test_damaged_form_is_refused_with_the_reason(kind: str, body: bytes, hint: str) -> None:
    with pytest.raises(MuslinError) as error:
        parse_form(kind, body, 5)
    assert (error.value.code, error.value.hint_code) == ("form_malformed", hint)


def test_form_with_too_many_fields_is_refused() -> None:
    body = 6 * b"--b0und\r\nContent-Disposition: form-data; name=a\r\n\r\nabc\r\n" + b"--b0und--"
    with refuses("too_many_fields", maximum=5):
        parse_form(KIND, body, 5)
