"""Forms as browsers and curl send them (multipart/form-data: RFC 7578), from a body that is in memory."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from muslin.errors import MuslinError

MAX_HEAD_BYTES = 8192
"""Of one field's headers; browsers send some two hundred bytes."""

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*(name|filename|filename\*)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]+))', re.IGNORECASE)
_QUOTED = re.compile(r"\\(.)|%22")


class FormField(NamedTuple):
    """One field of a form.

    Attributes:
        filename: the file's name; None for a field that is no file.
        kind: its Content-Type; "" where it has none.
    """

    name: str
    filename: str | None
    kind: str
    content: bytes


def parse_form(content_type: str, body: bytes, max_fields: int) -> list[FormField]:
    """The fields of a form, in order.

    Raises:
        MuslinError: it is cut off or malformed, or has more than `max_fields` fields.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise MuslinError("form_malformed", "no_boundary")
    delimiter = b"\r\n--" + (found[1] or found[2]).encode()
    if body.startswith(delimiter[2:]):
        place = len(delimiter) - 2
    else:  # after what RFC 2046 calls a preamble
        place = body.find(delimiter) + len(delimiter)
        if place < len(delimiter):
            raise MuslinError("form_malformed", "boundary_missing")
    fields: list[FormField] = []
    while not body.startswith(b"--", place):
        head_end = body.find(b"\r\n\r\n", place, place + MAX_HEAD_BYTES)
        end = body.find(delimiter, head_end + 4) if head_end >= 0 else -1
        if end < 0:
            raise MuslinError("form_malformed", "cut_off")
        if len(fields) == max_fields:
            raise MuslinError("too_many_fields", maximum=max_fields)
        fields.append(_field(body[place:head_end], body[head_end + 4 : end]))
        place = end + len(delimiter)
    return fields


def _field(head: bytes, content: bytes) -> FormField:
    name, filename, kind = None, None, ""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        title, _, value = line.partition(":")
        if title.lower() == "content-type":
            kind = value.strip().lower()
        elif title.lower() == "content-disposition":
            parameters = {key.lower(): _unquoted(quoted, plain) for key, quoted, plain in _PARAMETER.findall(value)}
            name, filename = parameters.get("name"), parameters.get("filename")
            if extended := parameters.get("filename*"):  # RFC 5987: charset'language'name
                filename = unquote(extended.rpartition("'")[2])
    if name is None:
        raise MuslinError("form_malformed", "nameless")
    return FormField(name, filename, kind, content)


def _unquoted(quoted: str, plain: str) -> str:
    return plain or _QUOTED.sub(lambda found: found[1] or '"', quoted)
