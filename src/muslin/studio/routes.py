"""What the studio's pages ask for: each path parses its request, calls `muslin.explain` and packs the answer.

A request names its view (model, image, what was changed) in full, so that all state is in the page's link; what was
worked out for the last few views is kept. Arrays travel as a JSON header followed by their bytes: see `packed`.
"""

import base64
import binascii
import gzip
import io
import json
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muslin.errors import DataError, RecipeError
from muslin.explain.arithmetic import arithmetic
from muslin.explain.attribution import Attribution, attribution_layers
from muslin.explain.feature_map_sheets import feature_map_sheet, kernel_sheet
from muslin.explain.inspection import InspectedModel, Inspection, accuracy_before_and_after
from muslin.explain.layers import VIEWS, LayeredModel, ViewName
from muslin.images import decode, encode_png
from muslin.models.predictor import IMAGE_SUFFIXES, MODEL_FILE
from muslin.studio.model_files import MODEL_SUFFIXES, file_within, images_in, model_rows
from muslin.studio.uploads import UploadCache

MODELS_KEPT, VIEWS_KEPT = 3, 6
MOST_DRAWN_PX = 128
MOST_VALUES = 4096
MOST_SIDE_PX = 512
JUDGED = 500  # images for an accuracy, unless asked otherwise

Body = Mapping[str, Any]


def routes(folder: Path) -> list[Route]:
    """All paths below /api/, over the files in `folder`."""
    desk = Workspace(folder.resolve())

    def get(path: str, answer: Callable[[Mapping[str, str]], Any]) -> Route:
        async def handle(request: Request) -> Response:
            return _response(request, await run_in_threadpool(answer, request.query_params))

        return Route(path, handle, methods=["GET"])

    def post(path: str, answer: Callable[[Body], Any]) -> Route:
        async def handle(request: Request) -> Response:
            try:
                body = json.loads(await request.body())
            except (ValueError, RecursionError) as error:
                raise HTTPException(400, "The request is not JSON.") from error
            if not isinstance(body, dict):
                raise HTTPException(400, "The request is not a JSON object.")
            return _response(request, await run_in_threadpool(answer, body))

        return Route(path, handle, methods=["POST"])

    async def upload(request: Request) -> Response:
        content = await request.body()
        return JSONResponse(await run_in_threadpool(desk.upload, content))

    return [
        get("/api/models", lambda query: {"models": model_rows(desk.root)}),
        get("/api/images", desk.pictures),
        Route("/api/images", upload, methods=["POST"]),
        get("/api/thumbnail", desk.thumbnail),
        post(
            "/api/model",
            lambda body: model_summary(_text(body, "model"), desk.inspected(_text(body, "model"))),
        ),
        post("/api/look", lambda body: look(desk.view(body), desk.plain(body))),
        post("/api/effects", lambda body: desk.view(body).effects()),
        post(
            "/api/sheet",
            lambda body: feature_map_sheet(desk.view(body).trace, _text(body, "layer"), _tta_view(body)),
        ),
        post("/api/values", lambda body: values(desk.view(body), body)),
        post("/api/values.npy", lambda body: npy(desk.view(body), body)),
        post("/api/kernels", lambda body: kernel_sheet(desk.view(body).model.layered, _text(body, "layer"))),
        post("/api/pixels", lambda body: pixels(desk.view(body), body)),
        post("/api/arithmetic", lambda body: arithmetic_of(desk.view(body), body)),
        post("/api/attribution", lambda body: attribution_of(desk.view(body), body)),
        post("/api/sanity_checks", lambda body: sanity_checks_of(desk.view(body), body)),
        post("/api/accuracy", desk.accuracy),
    ]


def packed(header: Mapping[str, Any], values: NDArray[Any]) -> bytes:
    """uint32 (little endian) length of the header; the header as JSON, padded with spaces so that the values begin at
    a multiple of 8 bytes; the values, little endian, in C order.
    """
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-(4 + len(text)) % 8)
    ordered = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return struct.pack("<I", len(text)) + text + ordered.tobytes()


def _response(request: Request, answer: Any) -> Response:
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, tuple):
        content, kind = packed(*answer), "application/octet-stream"
    else:
        content, kind = json.dumps(_finite(answer), ensure_ascii=False).encode(), "application/json"
    headers = {"cache-control": "no-store"}
    if len(content) > 1000 and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, 1)
        headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(content, media_type=kind, headers=headers)


def _finite(value: Any) -> Any:
    """JSON has no word for what is no number: null stands for it."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inside) for inside in value]
    return value


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise HTTPException(400, f"{name} is missing, or no text.")
    return value


def _whole(body: Mapping[str, Any], name: str, usual: int, most: int = 2**31) -> int:
    value = body.get(name, usual)
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise HTTPException(400, f"{name} is a whole number from 0 to {most}.")
    return value


def _tta_view(body: Body) -> ViewName:
    tta_view = body.get("tta_view", "original")
    if tta_view not in VIEWS:
        raise HTTPException(400, f"tta_view is one of {', '.join(VIEWS)}.")
    found: ViewName = tta_view
    return found


class Workspace:
    """What is open: models, images sent in, and the last views, each kept up to a small number.

    `root` is the studio's folder, absolute, with links followed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._models: OrderedDict[Any, InspectedModel] = OrderedDict()
        self._views: OrderedDict[str, Inspection] = OrderedDict()
        self._sent = UploadCache()

    def inspected(self, name: str) -> InspectedModel:
        """The model at `name`, opened once for as long as its file stays the same."""
        path = file_within(self.root, name, MODEL_SUFFIXES)
        state = path.stat()
        key = (str(path), state.st_mtime_ns, state.st_size)
        with self._lock:
            if key not in self._models:
                _keep(self._models, key, InspectedModel.of(_predictor(path, name)), MODELS_KEPT)
            self._models.move_to_end(key)
            return self._models[key]

    def upload(self, content: bytes) -> dict[str, Any]:
        """An image sent in, kept in memory under its checksum."""
        name, decoded = self._sent.add(content)
        height, width, channels = decoded.pixels.shape
        return {
            "image": f"upload:{name}", "width": width, "height": height, "channels": channels,
            "notes": list(decoded.notes),
        }  # fmt: skip

    def pictures(self, query: Mapping[str, str]) -> dict[str, Any]:
        found, more = images_in(self.root, _whole(query, "after", 0))
        return {"images": found, "more": more}

    def view(self, body: Body) -> Inspection:
        """The view that a request names."""
        said = body.get("view")
        if not isinstance(said, dict):
            raise HTTPException(400, "view is missing.")
        model, image = _text(said, "model"), _text(said, "image")
        inspected = self.inspected(model)
        key = f"{id(inspected)} {json.dumps(said, sort_keys=True)}"
        with self._lock:
            if key in self._views:
                self._views.move_to_end(key)
                return self._views[key]
        steps, changes, edits = said.get("steps") or {}, said.get("changes") or {}, said.get("edits") or []
        if not (isinstance(steps, dict) and isinstance(changes, dict) and isinstance(edits, list)):
            raise HTTPException(400, "steps and changes are objects, edits is a list.")
        view = replace(
            self._image(inspected, image),
            skip=frozenset(name for name, on in steps.items() if not on),
            image_edits=changes,
            model_edits=tuple(edits),
        )
        with self._lock:
            _keep(self._views, key, view, VIEWS_KEPT)
        return view

    def plain(self, body: Body) -> Inspection | None:
        """The view without any change, where the one that a request names has some."""
        said = body["view"]
        changed = any(said.get(name) for name in ("steps", "changes", "edits"))
        bare = {name: said[name] for name in ("model", "image")}
        return self.view({"view": bare}) if changed else None

    def _image(self, inspected: InspectedModel, image: str) -> Inspection:
        kind, _, name = image.partition(":")
        match kind:
            case "file":
                return Inspection(inspected, file_within(self.root, name, IMAGE_SUFFIXES), name=name)
            case "upload":
                return Inspection(inspected, self._sent.get(name), name="your image")
            case "golden":
                golden = inspected.bundle.golden_pixels
                number = _whole({"golden": name}, "golden", 0, len(golden) - 1)
                return Inspection(inspected, golden[number], preprocessed=True)
            case "drawn":
                return Inspection(
                    inspected, _drawn(name, inspected.bundle.preprocessing.shape), preprocessed=True
                )
        raise HTTPException(400, "image begins with file:, upload:, golden: or drawn:.")

    def thumbnail(self, query: Mapping[str, str]) -> Response:
        """The image, made small and encoded anew."""
        from muslin.reporting.image_grids import png_bytes, resize_to_edge

        image, side = _text(query, "image"), _whole(query, "side", 96, MOST_SIDE_PX)
        kind, _, name = image.partition(":")
        if kind in ("golden", "drawn"):
            source = self._image(self.inspected(_text(query, "model")), image).source
            shown = source if isinstance(source, np.ndarray) else np.zeros((1, 1, 1), np.uint8)
        elif kind == "file":
            path = file_within(self.root, name, IMAGE_SUFFIXES)
            shown = decode(path, name=name, min_side_px=side).pixels
        else:
            shown = decode(self._sent.get(name), name="your image", min_side_px=side).pixels
        return Response(png_bytes(resize_to_edge(shown, max(8, side))), media_type="image/png")

    def accuracy(self, body: Body) -> dict[str, Any]:
        """How an edit changes what the model is worth."""
        view = self.view(body)
        name = _text(body.get("view") or {}, "model")
        target = view.inspected.bundle.targets[0]
        if "target" in body:
            target = next((t for t in view.inspected.bundle.targets if t.name == body["target"]), target)
        on, count = body.get("on", "golden"), _whole(body, "count", JUDGED, 10_000)
        edited = view.inspected.edited(view.model_edits)
        if on == "golden" or target.kind != "multiclass":
            pictures = view.inspected.bundle.golden_pixels
            labels = view.inspected.bundle.golden_probabilities[target.name].argmax(1)
            what = "the images sealed in the model, against its own answers to them"
        else:
            path = file_within(self.root, name, MODEL_SUFFIXES)
            pictures, labels = _validation(path, view.inspected, target.name, count)
            what = "images of the data it was trained on that it did not learn from"
        found = accuracy_before_and_after(
            view.inspected.predictor, edited.predictor, pictures, target.name, labels
        )
        return {"on": on, "what": what, "target": target.name} | found


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)


def _predictor(path: Path, name: str) -> Any:
    from muslin.errors import BundleError
    from muslin.models.bundle import open_bundle
    from muslin.models.predictor import Predictor

    try:
        return Predictor(open_bundle(path), 1, name=name)
    except BundleError as error:  # no path of this machine in an answer
        raise BundleError(str(error).replace(str(path), name)) from error


def _drawn(text: str, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(400, "the drawing is not base64.") from error
    height, width, channels = shape
    if len(content) != height * width or max(height, width) > MOST_DRAWN_PX:
        raise HTTPException(400, f"a drawing for this model has {height}×{width} gray pixels, one byte each.")
    gray = np.frombuffer(content, np.uint8).reshape(height, width, 1)
    return np.repeat(gray, channels, axis=2)


def _validation(
    path: Path, inspected: InspectedModel, target: str, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
    """Validation images and their labels, of the data that the model's run names; test ones where those have none.

    Raises:
        DataError: the model lies in no run, or its data are gone or others.
    """
    from muslin.data import read
    from muslin.workflows.evaluate import select_part

    try:
        source = json.loads((path.parent / "run.json").read_bytes())["source"]
        data, test, reading = source["data"], source["test"], source["read_options"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "nothing beside this model says what data it was trained on. Judge it on golden."
        ) from error
    dataset = read(data, test=test, **reading)
    has = set() if dataset.parts is None else set(dataset.parts.tolist())
    wanted = "test" if has and "validation" not in has else "validation"
    part, _ = select_part(inspected.predictor, dataset, wanted)
    some = np.linspace(0, len(part) - 1, min(count, len(part))).astype(int)
    part = part.take(np.unique(some))
    pictures = np.stack([part.images[i] for i in range(len(part))])
    return pictures, part.labels[target]


# --- one function a path


def model_summary(path: str, inspected: InspectedModel) -> dict[str, Any]:
    """What a drawing of the network needs."""
    bundle = inspected.bundle
    apart = inspected.layered if inspected.has_layers else None
    layers = apart.layers if apart else ()
    rows = [asdict(layer) | {"arithmetic": layer.unsupported is None} for layer in layers]
    return {
        "path": path,
        "name": (Path(path).name == MODEL_FILE and Path(path).parent.name) or Path(path).stem,
        "network": str(bundle.network.get("name", "")),
        "input": list(bundle.preprocessing.shape),
        "transform": bundle.preprocessing.transform,
        "tta_flip": bool(apart and apart.tta_flip),
        "parameters": sum(layer.parameters for layer in layers),
        "multiply_adds": sum(layer.multiply_adds for layer in layers),
        "golden": len(bundle.golden_pixels),
        "tests": _figures(bundle.provenance),
        "targets": [
            {
                "name": t.name,
                "kind": t.kind,
                "classes": list(t.classes),
                "scores": apart.scores.get(t.name) if apart else None,
                "attribution_layers": list(attribution_layers(apart, t.name)) if apart else [],
            }
            for t in bundle.targets
        ],
        "layers": rows,
        "blocks": blocks_of(apart) if apart else [],
        "unsupported": list(apart.unsupported) if apart else [inspected.problem],
    }


def _figures(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Per target's name the figures it was sealed with; whoever wrote the file may have put anything there."""
    figures = provenance.get("test")
    if not isinstance(figures, dict):
        return {}
    return {name: one for name, one in figures.items() if isinstance(one, dict)}


def blocks_of(apart: LayeredModel) -> list[dict[str, Any]]:
    """The blocks in order: their layers, the shape they end with, parameters and arithmetic."""
    found: dict[str, dict[str, Any]] = {}
    for layer in apart.layers:
        if layer.block is not None:
            block = found.setdefault(
                layer.block,
                {"name": layer.block, "layers": [], "parameters": 0, "multiply_adds": 0, "share": 0.0},
            )
            block["layers"].append(layer.name)
            block["shape"] = list(layer.shape)
            for what in ("parameters", "multiply_adds", "share"):
                block[what] += getattr(layer, what)
    return list(found.values())


def look(view: Inspection, plain: Inspection | None) -> dict[str, Any]:
    """The steps with their images, and the answers; also those before, where `plain` is the view before."""
    steps = []
    for step in view.steps:
        numbers = step.pixels.dtype != np.uint8
        steps.append(
            {
                "name": step.name,
                "title": step.title,
                "text": step.text,
                "image": _image_of(step.pixels),
                "values": {"low": float(step.pixels.min()), "high": float(step.pixels.max())}
                if numbers
                else None,
                "switch": step.name if step.optional else None,
                "on": not step.skipped,
            }
        )
    return {
        "steps": steps,
        "predictions": view.predictions,
        "before": plain.predictions if plain else None,
        "notes": list(view.notes),
    }


SHOWN_PX = 320


def _image_of(pixels: NDArray[Any]) -> dict[str, Any]:
    """An image for the page; numbers are drawn from their lowest (black) to their highest (white)."""
    from muslin.reporting.image_grids import png_bytes, resize_to_edge

    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        scaled = (pixels.transpose(1, 2, 0) - low) / ((high - low) or 1)
        pixels = np.rint(scaled * 255).astype(np.uint8)
        pixels = pixels if pixels.shape[2] in (1, 3) else pixels[:, :, :1]
    height, width = pixels.shape[:2]
    content = (
        encode_png(pixels) if max(height, width) <= SHOWN_PX else png_bytes(resize_to_edge(pixels, SHOWN_PX))
    )
    return {
        "width": width,
        "height": height,
        "png": "data:image/png;base64," + base64.b64encode(content).decode(),
    }


def values(view: Inspection, body: Body) -> dict[str, Any]:
    """Exact values of a window of one map."""
    name = _text(body, "layer")
    array = view.trace.of(name, _tta_view(body))
    plane = array.reshape(1, -1) if array.ndim == 1 else None
    if plane is None:
        channel = _whole(body, "channel", 0)
        if array.ndim != 3 or channel >= len(array):
            raise RecipeError(f"{name} has the shape {array.shape}: there is no map {channel}.")
        plane = array[channel]
    top, left = _whole(body, "top", 0), _whole(body, "left", 0)
    height, width = _whole(body, "height", len(plane)), _whole(body, "width", plane.shape[1])
    window = plane[top : top + height, left : left + width]
    if window.size > MOST_VALUES:
        raise RecipeError(
            f"{window.size:,} values: at most {MOST_VALUES:,} at a time. Ask for a smaller window."
        )
    return {
        "values": window.astype(float).tolist(), "top": top, "left": left, "height": len(window),
        "width": window.shape[1], "rows": len(plane), "columns": plane.shape[1],
    }  # fmt: skip


def npy(view: Inspection, body: Body) -> Response:
    """A whole layer as a .npy file."""
    file = io.BytesIO()
    np.save(file, view.trace.of(_text(body, "layer"), _tta_view(body)), allow_pickle=False)
    return Response(file.getvalue(), media_type="application/octet-stream")


def pixels(view: Inspection, body: Body) -> tuple[dict[str, Any], NDArray[Any]]:
    """The image as sent, upright, or as the network takes it, no longer than `at_most` on a side."""
    at_most = _whole(body, "at_most", 256, 1024)
    if body.get("step", "taken") == "taken":
        found = view.pixels
    else:
        steps = [s for s in view.steps if s.name in ("as_sent", "turned", "taken")]
        found = next((s for s in steps if s.name == "turned"), steps[0]).pixels
    if max(found.shape[:2]) > at_most > 0:
        from muslin.images import shrink

        found = shrink(found, at_most)
    rows, columns, channels = found.shape
    return {"rows": rows, "columns": columns, "channels": channels, "dtype": "uint8"}, found


def arithmetic_of(view: Inspection, body: Body) -> dict[str, Any]:
    index = body.get("index")
    if not isinstance(index, list) or not all(isinstance(i, int) and not isinstance(i, bool) for i in index):
        raise HTTPException(400, "index is a list of whole numbers.")
    return arithmetic(
        view.trace, _text(body, "layer"), index, _tta_view(body), all_terms=bool(body.get("all"))
    )


def _attribution(view: Inspection, body: Body) -> Attribution:
    versus, layer, tta_view = body.get("versus"), body.get("layer"), body.get("tta_view", "both")
    if tta_view not in (*VIEWS, "both"):
        raise HTTPException(400, f"tta_view is one of both, {', '.join(VIEWS)}.")
    return view.attribute(_text(body, "target"), _text(body, "class"), versus, layer=layer, tta_view=tta_view)


def attribution_of(view: Inspection, body: Body) -> dict[str, Any]:
    found = _attribution(view, body)
    return found.to_dict() | {"layers": list(attribution_layers(view.model.layered, found.target))}


def sanity_checks_of(view: Inspection, body: Body) -> dict[str, Any]:
    return view.sanity_checks(_attribution(view, body), _whole(body, "seed", 0))
