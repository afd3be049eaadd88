"""A small server of the Open Inference Protocol that keeps every rule, and replies that break one each."""

import json
import math
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

MODEL = "Sums"

CLASSES = ("low", "middle", "high")

VERSIONS = ("1", "2")

TENSOR = {"name": "pixels", "datatype": "UINT8", "shape": [-1, 2, 3]}

OUTPUTS = {"scores": ("FP32", [-1, 3]), "label": ("BYTES", [-1])}


@dataclass(frozen=True)
class Sent:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """A reply. `header` is its JSON object, which `content` follows."""

    status: int
    header: dict[str, Any] | None = None
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return (b"" if self.header is None else json.dumps(self.header).encode()) + self.content


class RefusedError(Exception):
    """The request is wrong; the text says why."""


def reply_to(sent: Sent) -> Reply:
    """The reply that keeps every rule."""
    kind = {"content-type": "application/json"}
    try:
        status, header, content = _answer(sent)
    except RefusedError as error:
        return Reply(400, {"error": str(error)}, b"", kind)
    except LookupError as error:
        return Reply(404, {"error": f"There is no {error}."}, b"", kind)
    if content:
        size = str(len(json.dumps(header)))
        kind = {"content-type": "application/octet-stream", "inference-header-content-length": size}
    return Reply(status, header, content, kind)


def _answer(sent: Sent) -> tuple[int, dict[str, Any] | None, bytes]:
    if sent.path in ("/v2/health/live", "/v2/health/ready"):
        return 200, {sent.path.rpartition("/")[2]: True}, b""
    if sent.path == "/v2":
        extensions = ["binary_tensor_data", "classification"]
        return 200, {"name": "reference", "version": "1", "extensions": extensions}, b""
    if sent.path == "/v2/repository/index":
        raise LookupError("index")
    if sent.path == "/v2/models":
        return 200, {"models": [MODEL]}, b""
    found = re.fullmatch(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/ready|/infer|)", sent.path)
    if not found or unquote(found[1]) != MODEL or (found[2] and found[2] not in VERSIONS):
        raise LookupError(sent.path)
    if found[3] == "/ready":
        return 200, {"name": MODEL, "ready": True}, b""
    if found[3] == "/infer":
        return 200, *_infer(sent, found[2] or VERSIONS[-1])
    outputs = [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in OUTPUTS.items()]
    named = {"name": MODEL, "versions": [*VERSIONS], "platform": "python"}
    return 200, named | {"inputs": [TENSOR], "outputs": outputs, "properties": {"classes": "3"}}, b""


def _infer(sent: Sent, version: str) -> tuple[dict[str, Any], bytes]:
    request, content = _read_request(sent)
    rows = _read_rows(request, content)
    asked = request.get("outputs", [{"name": name} for name in OUTPUTS])
    whole = request.get("parameters", {}).get("binary_data_output", False)
    found, binary = [], b""
    for output in asked:
        if output["name"] not in OUTPUTS:
            raise RefusedError("outputs: unknown name")
        described, values = _predict(rows, output)
        if output.get("parameters", {}).get("binary_data", whole):
            part = _pack(described["datatype"], values)
            described["parameters"], binary = {"binary_data_size": len(part)}, binary + part
        else:
            described["data"] = values
        found.append(described)
    header = {"model_name": MODEL, "model_version": version, "parameters": {"rows": len(rows)}, "outputs": found}
    return header | ({"id": request["id"]} if "id" in request else {}), binary


def _read_request(sent: Sent) -> tuple[dict[str, Any], bytes]:
    length = sent.headers.get("inference-header-content-length", str(len(sent.body)))
    if not length.isdecimal() or int(length) > len(sent.body):
        raise RefusedError("Inference-Header-Content-Length: expected a length within the body")
    try:
        request = json.loads(sent.body[: int(length)])
    except (ValueError, RecursionError):
        raise RefusedError("body: expected JSON") from None
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list) or len(request["inputs"]) != 1:
        raise RefusedError("inputs: expected an array of one input")
    return request, sent.body[int(length) :]


def _read_rows(request: dict[str, Any], content: bytes) -> list[list[int]]:
    tensor = request["inputs"][0]
    for name in ("name", "datatype"):
        if tensor.get(name) != TENSOR[name]:
            raise RefusedError(f"inputs: unexpected {name}")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or shape[1:] != [2, 3] or type(shape[0]) is not int or shape[0] < 0:
        raise RefusedError("shape: expected [n, 2, 3]")
    size = tensor.get("parameters", {}).get("binary_data_size")
    values = tensor.get("data", []) if "parameters" not in tensor else [*content]
    if "parameters" in tensor and size != len(content):
        raise RefusedError("binary_data_size: does not fit")
    while values and isinstance(values[0], list):
        values = [value for row in values for value in row]
    if len(values) != math.prod(shape) or not all(type(value) is int and 0 <= value < 256 for value in values):
        raise RefusedError("data: does not fit shape and data type")
    return [values[start : start + 6] for start in range(0, len(values), 6)]


def _predict(rows: list[list[int]], output: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """An output without its data, and its values."""
    name, count = output["name"], output.get("parameters", {}).get("classification")
    scores = [[row[0] / 256, sum(row) / 1536, row[5] / 300] for row in rows]
    best = [sorted(range(3), key=lambda index: -row[index]) for row in scores]
    if count is not None:
        if type(count) is not int or not 1 <= count <= 3:
            raise RefusedError("classification: expected 1 to 3")
        texts = [f"{row[i]:f}:{i}:{CLASSES[i]}" for row, order in zip(scores, best, strict=True) for i in order[:count]]
        return {"name": name, "datatype": "BYTES", "shape": [len(rows), count]}, texts
    if name == "label":
        return {"name": name, "datatype": "BYTES", "shape": [len(rows)]}, [CLASSES[order[0]] for order in best]
    return {"name": name, "datatype": "FP32", "shape": [len(rows), 3]}, [value for row in scores for value in row]


def _pack(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value)) + value.encode() for value in values)
    return struct.pack(f"<{len(values)}f", *values)


Fault = Callable[[Sent, Reply], Reply]
"""What a server does to its replies."""


@contextmanager
def serving(fault: Fault | None = None) -> Iterator[str]:
    """The address of a server with a fault, or without one."""

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1  # headers and body in one packet, or each reply waits 40 ms

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            named = {name.lower(): value for name, value in self.headers.items()}
            sent = Sent(self.command, self.path, named, body)
            reply = reply_to(sent)
            reply = fault(sent, reply) if fault else reply
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def edited(pattern: str, change: Callable[[dict[str, Any]], object]) -> Fault:
    """A fault that changes the JSON of the replies with status 200 to paths that match the pattern."""

    def fault(sent: Sent, reply: Reply) -> Reply:
        if re.fullmatch(pattern, sent.path) and reply.status == 200 and reply.header:
            change(reply.header)
            size = {"inference-header-content-length": str(len(json.dumps(reply.header)))}
            is_binary = "inference-header-content-length" in reply.headers
            return replace(reply, headers=reply.headers | (size if is_binary else {}))
        return reply

    return fault


def with_status(pattern: str, status: int, old: int = 200) -> Fault:
    """A fault that replies with another status."""

    def fault(sent: Sent, reply: Reply) -> Reply:
        is_meant = re.fullmatch(pattern, sent.path) and reply.status == old
        return replace(reply, status=status) if is_meant else reply

    return fault
