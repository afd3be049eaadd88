"""Forms as browsers and curl send them (multipart/form-data: RFC 7578), from a body that is in memory."""

from typing import TYPE_CHECKING, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from muslin.errors import MuslinError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


class FormField(NamedTuple):
    """One field of a form.

    Attributes:
        filename: the file's name; None for a field that is not a file.
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
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise MuslinError("form_malformed", "no_boundary")
    fields = _Fields(max_fields)
    state = None
    try:
        parser = MultipartParser(boundary, fields.callbacks())
        if not _has_stray_delimiter(body, b"\r\n--" + boundary):
            parser.write(body)
            state = parser.state
    except FormParserError:
        pass
    if state != MultipartState.END:
        raise MuslinError("form_malformed", "cut_off" if b"--" + boundary in body else "boundary_missing")
    return fields.found


def _has_stray_delimiter(body: bytes, delimiter: bytes) -> bool:
    """Whether a delimiter is inside of a field, which RFC 2046 forbids.

    The parser would read on after each of them byte by byte, a second for two megabytes of them.
    """
    return body.count(delimiter) > body.count(delimiter + b"\r\n") + body.count(delimiter + b"--")


class _Fields:
    """What the parser finds: `found` has each field that is complete."""

    def __init__(self, max_fields: int) -> None:
        self.found: list[FormField] = []
        self._max_fields = max_fields
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = self._content = b""

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_content,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.found) == self._max_fields:
            raise MuslinError("too_many_fields", maximum=self._max_fields)
        self._headers, self._content = {}, b""

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _end(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition"))[1]
        if b"name" not in options:
            raise MuslinError("form_malformed", "nameless")
        filename = _name(options[b"filename"]) if b"filename" in options else None
        kind = self._headers.get(b"content-type", b"").decode("latin-1").strip().lower()
        self.found.append(FormField(_name(options[b"name"]), filename, kind, self._content))


def _name(value: bytes) -> str:
    return value.decode("utf-8", "replace").replace("%22", '"')  # as browsers send a quotation mark
