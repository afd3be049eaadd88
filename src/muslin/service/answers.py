"""What the studio's pages ask for: the folder's models and pictures, their pixels, and a model's kernels.

Binary answers are a length (uint32, little endian), so many bytes of JSON, then the numbers, 8-byte aligned.
"""

import base64
import binascii
import json
import struct
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muslin.bundle import Bundle, open_bundle
from muslin.errors import DataError, MuslinError
from muslin.images import decode, encode_png, fit
from muslin.predictor import SUFFIXES
from muslin.service.files import MODEL_SUFFIXES, file_within, model_rows, pictures_in
from muslin.service.sent import Sent

MOST_SIDE = 256  # px of pixels that are sent as numbers
MOST_DRAWN = 128
MODELS_KEPT = 4


def routes(root: Path) -> list[Route]:
    """The paths below /api/ for the folder `root` (absolute, with links followed)."""
    sent = Sent()

    def models(_: Any) -> Any:
        return {"models": model_rows(root)}

    def pictures(_: Any) -> Any:
        found, more = pictures_in(root)
        return {"pictures": found, "more": more}

    def bundle_of(name: Any) -> Bundle:
        path = file_within(root, _text(name, "model"), MODEL_SUFFIXES)
        stat = path.stat()
        try:
            return _opened(path, stat.st_mtime_ns, stat.st_size)
        except MuslinError as error:
            raise type(error)(str(error).replace(str(path), path.relative_to(root).as_posix())) from error

    def model(asked: Any) -> Any:
        return _about(bundle_of(asked.get("model")))

    def pixels_of(asked: Any, at_least_px: int) -> NDArray[np.uint8]:
        kind, _, rest = _text(asked.get("picture"), "picture").partition(":")
        match kind:
            case "file":
                path = file_within(root, rest, SUFFIXES)
                return decode(path, name=rest, at_least_px=at_least_px).pixels
            case "upload":
                return decode(sent.get(rest), name="your picture", at_least_px=at_least_px).pixels
            case "golden":
                golden = bundle_of(asked.get("model")).golden_pixels
                if not rest.isdecimal() or int(rest) >= len(golden):
                    raise DataError(
                        f"The model has {len(golden)} examples; there is no example {rest[:20]!r}."
                    )
                return np.asarray(golden[int(rest)])
            case "drawn":
                return _drawn(rest)
        raise DataError(f"No picture is called {kind[:40]!r}. Choose another.")

    def thumbnail(asked: Any) -> Response:
        side = _whole(asked.get("side", "96"), 16, MOST_SIDE)
        small = _small(pixels_of(asked, side), side)
        return Response(encode_png(small), media_type="image/png", headers={"cache-control": "no-cache"})

    def pixels(asked: Any) -> Response:
        small = _small(
            pixels_of(asked.get("view") or {}, MOST_SIDE), _whole(asked.get("at_most"), 16, MOST_SIDE)
        )
        height, width, channels = small.shape
        return _packed({"rows": height, "columns": width, "channels": channels}, np.ascontiguousarray(small))

    def kernels(asked: Any) -> Response:
        found = _kernels(bundle_of((asked.get("view") or {}).get("model")))
        layer = asked.get("layer")
        if layer not in found:
            raise DataError(f"The model has no kernels of the name {str(layer)[:60]!r}.")
        outputs, inputs, rows, columns = found[layer].shape
        header = {"layer": layer, "outputs": outputs, "inputs": inputs, "rows": rows, "columns": columns}
        return _packed(header, found[layer])

    async def add(request: Request) -> Response:
        content = await request.body()
        key, decoded = await run_in_threadpool(sent.add, content)
        height, width, _ = decoded.pixels.shape
        about = {"picture": f"upload:{key}", "width": width, "height": height, "notes": list(decoded.notes)}
        return JSONResponse(about)

    return [
        Route("/api/models", _answering(models), methods=["GET"]),
        Route("/api/pictures", _answering(pictures), methods=["GET"]),
        Route("/api/pictures", add, methods=["POST"]),
        Route("/api/thumbnail", _answering(thumbnail), methods=["GET"]),
        Route("/api/model", _answering(model), methods=["POST"]),
        Route("/api/pixels", _answering(pixels), methods=["POST"]),
        Route("/api/kernels", _answering(kernels), methods=["POST"]),
    ]


def _answering(work: Callable[[Any], Any]) -> Callable[[Request], Awaitable[Response]]:
    """`work` in a thread, on what was asked: a JSON object, or the words after the address's question mark."""

    async def answer(request: Request) -> Response:
        asked: Any = dict(request.query_params)
        if request.method == "POST":
            try:
                asked = json.loads(await request.body())
            except (ValueError, RecursionError) as error:
                raise DataError("The request is not JSON.") from error
        if not isinstance(asked, dict) or not isinstance(asked.get("view") or {}, dict):
            raise DataError("The request is not a JSON object.")
        found = await run_in_threadpool(work, asked)
        return found if isinstance(found, Response) else JSONResponse(found)

    return answer


def _about(bundle: Bundle) -> dict[str, Any]:
    tests = bundle.provenance.get("tests")
    return {
        "targets": [{"name": t.name, "classes": list(t.classes), "kind": t.kind} for t in bundle.targets],
        "input": list(bundle.preprocessing.shape),
        "golden": len(bundle.golden_pixels),
        "parameters": bundle.network.get("parameters"),
        "tests": tests if isinstance(tests, dict) else {},
        "kernels": [
            {"layer": name, "outputs": k.shape[0], "inputs": k.shape[1], "size": list(k.shape[2:])}
            for name, k in _kernels(bundle).items()
        ],
    }


def _kernels(bundle: Bundle) -> dict[str, NDArray[np.float32]]:
    """Per convolution its kernels, float32 (outputs, inputs, rows, columns), in the order of the network."""
    from safetensors.numpy import load

    weights = load(bundle.weights)
    order = [str(layer.get("name")) for layer in bundle.network.get("layers", ()) if isinstance(layer, dict)]
    found = {
        name.removesuffix(".weight"): np.ascontiguousarray(value, dtype=np.float32)
        for name, value in weights.items()
        if name.endswith(".weight") and value.ndim == 4
    }
    return dict(
        sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))
    )


@lru_cache(MODELS_KEPT)
def _opened(path: Path, modified_ns: int, size: int) -> Bundle:
    """The bundle at `path`; the other two tell whether it is still the same file."""
    return open_bundle(path)


def _drawn(text: str) -> NDArray[np.uint8]:
    """A drawing in a link: raw gray bytes of a square picture in base64 without padding."""
    try:
        values = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise DataError("The drawing in the link was cut off. Draw it again.") from error
    side = round(len(values) ** 0.5)
    if not 0 < side <= MOST_DRAWN or side * side != len(values):
        raise DataError("The drawing in the link was cut off. Draw it again.")
    return np.frombuffer(values, np.uint8).reshape(side, side, 1)


def _small(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """`pixels` scaled down so that the longest side is at most `side`; never up."""
    height, width, channels = pixels.shape
    if max(height, width) <= side:
        return pixels
    scale = side / max(height, width)
    return fit(pixels, (max(1, round(height * scale)), max(1, round(width * scale)), channels))[0]


def _packed(header: dict[str, Any], values: NDArray[Any]) -> Response:
    text = json.dumps(header | {"dtype": str(values.dtype)}).encode()
    text += b" " * (-(4 + len(text)) % 8)
    return Response(
        struct.pack("<I", len(text)) + text + values.tobytes(), media_type="application/octet-stream"
    )


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"The request names no {name}.")
    return value


def _whole(value: Any, low: int, high: int) -> int:
    try:
        return min(max(int(value), low), high)
    except (TypeError, ValueError) as error:
        raise DataError(f"{str(value)[:40]!r} is not a whole number.") from error
