"""Forms as browsers and curl send them (multipart/form-data: RFC 7578), from a body that is in memory."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from muslin.errors import MuslinError

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


class FormField(NamedTuple):
    """One field of a form.

    Attributes:
        filename: the file's name; None for a field that is not a file.
        kind: its Content-Type without parameters; "" where it has none.
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
    boundary = (found[1] or found[2] or "" if found else "").encode("latin-1")
    if not boundary:
        raise MuslinError("form_malformed", "no_boundary")
    fields: list[FormField] = []
    try:
        for field in _fields(boundary, body):
            if len(fields) == max_fields:
                raise MuslinError("too_many_fields", maximum=max_fields)
            fields.append(field)
    except MultipartError:
        hint = "cut_off" if b"--" + boundary in body else "boundary_missing"
        raise MuslinError("form_malformed", hint) from None
    return fields


def _fields(boundary: bytes, body: bytes) -> Iterator[FormField]:
    # as Latin-1, because some clients send names that are not UTF-8
    parser = PushMultipartParser(boundary, header_charset="latin-1")
    content = b""
    for event in parser.parse(body):
        if isinstance(event, MultipartSegment):
            segment, content = event, b""
        elif event is not None:
            content = event  # in one piece, as the body is
        elif not segment.name:
            raise MuslinError("form_malformed", "nameless")
        else:
            filename = None if segment.filename is None else _utf8(segment.filename)
            yield FormField(_utf8(segment.name), filename, segment.content_type or "", content)
    parser.close()


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")
