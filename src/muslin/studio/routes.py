"""The paths that the studio's pages request: each checks its request, calls `muslin.explain` and packs the result.

A request names its inspection (model, image, changes) in full, so that the page's link holds all state.
"""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.errors import MuslinError
from muslin.explain.arithmetic import arithmetic
from muslin.explain.attribution import Attribution, attribution_layers
from muslin.explain.channels import channel_contributions
from muslin.explain.feature_map_sheets import feature_map_sheet, kernel_sheet
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.explain.layers import VIEWS, Layer, LayeredModel, ViewName
from muslin.images import encode_png, shrink
from muslin.models.bundle import Bundle
from muslin.models.predictor import MODEL_FILE
from muslin.studio.data_room import DataRoom
from muslin.studio.data_routes import data_routes
from muslin.studio.home_routes import home_routes
from muslin.studio.jobs import Jobs
from muslin.studio.jobs_routes import jobs_routes
from muslin.studio.mistakes import RunsOfFolder
from muslin.studio.mistakes_routes import mistakes_routes
from muslin.studio.model_files import image_page, model_rows
from muslin.studio.model_images import epochs_of_model, labels_of_sample, model_images
from muslin.studio.openapi import description
from muslin.studio.review_routes import ReviewRoom, review_routes
from muslin.studio.training_routes import training_routes
from muslin.studio.walk_routes import WALK_ROUTES
from muslin.studio.work_queue import WorkQueue
from muslin.studio.workspace import Workspace
from muslin.web.requests import Body, choice_of, integer_of, text_of, value_of
from muslin.web.responses import Handler, json_body, response_of

LISTING_THREADS = 4  # for requests that only list files
COMPUTING_THREADS = 16  # most wait for a decoding process or for another thread's result
MAX_QUEUED = 32  # requests of either kind that are being answered

MAX_VALUES = 4096  # exact values at a time: a table of 64 × 64
MAX_THUMBNAIL_PX = 512
BLOCK_SUMS = ("parameters", "multiply_adds", "multiply_adds_share")
STEP_IMAGE_PX = 320  # longest side of the images of the preprocessing steps, as the page shows them


def routes(folder: Path, room: ReviewRoom | None = None) -> list[Route]:
    """All paths below /api/, over the files in `folder` and the stores of `room`, by default those in the folder."""
    workspace = Workspace(folder.resolve())
    listing, computing = WorkQueue(LISTING_THREADS, MAX_QUEUED), WorkQueue(COMPUTING_THREADS, MAX_QUEUED)

    def handler(method: str, answer: Callable[[Body], Any], queue: WorkQueue) -> Handler:
        async def handle(request: Request) -> Response:
            body = request.query_params if method == "GET" else await json_body(request)
            if model := _model_named(body):
                await workspace.open(model)
            response: Response = await queue.run(lambda: response_of(request, answer(body)))
            return response

        return handle

    def route(method: str, path: str, answer: Callable[[Body], Any], queue: WorkQueue = computing) -> Route:
        return Route(f"/api/{path}", handler(method, answer, queue), methods=[method])

    def inspect(path: str, answer: Callable[[Inspection, Body], Any]) -> Route:
        return route("POST", path, lambda body: answer(workspace.inspection(body), body))

    list_images = handler("GET", lambda query: image_page(workspace.root, integer_of(query, "start", 0)), listing)

    async def images(request: Request) -> Response:
        return await (upload if request.method == "POST" else list_images)(request)

    async def upload(request: Request) -> Response:
        key, decoded = await computing.run(partial(workspace.uploads.add, await request.body()))
        height, width, _ = decoded.pixels.shape
        uploaded = {"image": f"upload:{key}", "width": width, "height": height, "notes": decoded.notes}
        return response_of(request, uploaded)

    return [
        route("GET", "openapi.json", lambda query: description(), listing),
        route("GET", "models", lambda query: {"models": model_rows(workspace.root)}, listing),
        Route("/api/images", images, methods=["GET", "POST"]),
        route("GET", "thumbnail", lambda query: thumbnail(workspace, query)),
        route("POST", "model", lambda body: describe(workspace, body)),
        route("POST", "model/images", lambda body: images_of_model(workspace, body)),
        route("POST", "predict", lambda body: predict(workspace, body)),
        route("POST", "accuracy", workspace.accuracy),
        *(inspect(path, answer) for path, answer in INSPECTION_ROUTES.items()),
        *jobs_routes(Jobs(workspace.root)),
        *home_routes(workspace.root),
        *mistakes_routes(RunsOfFolder(workspace.root, workspace.data)),
        *(route("POST", path, partial(answer, workspace)) for path, answer in WALK_ROUTES.items()),
        *data_routes(DataRoom(workspace.data)),
        *training_routes(workspace.root),
        *review_routes(room or ReviewRoom.of(workspace.root)),
    ]


def _model_named(body: Body) -> str | None:
    """The model that a request needs to be open."""
    inspection = body.get("inspection")
    named = inspection if isinstance(inspection, dict) else body
    model, image = named.get("model"), str(named.get("image"))
    is_needed = named is inspection or not image.startswith(("file:", "upload:", "sample:"))
    return model if isinstance(model, str) and model and is_needed else None


def _tta_view(body: Body) -> ViewName:
    view: ViewName = choice_of(body, "tta_view", "original", VIEWS)
    return view


# --- one function a path


def thumbnail(workspace: Workspace, query: Mapping[str, str]) -> Response:
    """The image, made small and encoded as PNG."""
    from muslin.reporting.image_grids import png_bytes, resize_to_edge

    side = integer_of(query, "side", 96, MAX_THUMBNAIL_PX)
    small = resize_to_edge(workspace.thumbnail_pixels(query, side), max(8, side))
    return Response(png_bytes(small), media_type="image/png")


def describe(workspace: Workspace, body: Body) -> dict[str, Any]:
    """A model, and the epochs of its run."""
    path = text_of(body, "model")
    return describe_model(workspace.model(path), path) | {"snapshots": epochs_of_model(workspace.root, path)}


def describe_model(model: InspectedModel, path: str) -> dict[str, Any]:
    """What a drawing of the network needs; `path` is the model's, below the studio's folder."""
    bundle, layered = model.bundle, model.layered if model.has_layers else None
    layers = layered.layers if layered else ()
    return {
        "path": path,
        "name": (Path(path).name == MODEL_FILE and Path(path).parent.name) or Path(path).stem,
        "network": str(bundle.network.get("name", "")),
        "input": list(bundle.preprocessing.shape),
        "transform": bundle.preprocessing.transform,
        "tta_flip": bool(layered and layered.tta_flip),
        "parameters": sum(layer.parameters for layer in layers),
        "multiply_adds": sum(layer.multiply_adds for layer in layers),
        "golden_images": len(bundle.golden_pixels),
        "test_metrics": bundle.provenance.get("test", {}),
        "targets": [
            {
                "name": t.name,
                "kind": t.kind,
                "classes": list(t.classes),
                "scores": layered.scores.get(t.name) if layered else None,
                "is_calibrated": is_calibrated(bundle, t.name),
                "attribution_layers": list(attribution_layers(layered, t.name)) if layered else [],
            }
            for t in bundle.targets
        ],
        "layers": [asdict(layer) | {"has_arithmetic": layer.unsupported is None} for layer in layers],
        "blocks": block_rows(layered) if layered else [],
        "unsupported": list(layered.unsupported) if layered else [model.error],
    }


def is_calibrated(bundle: Bundle, target: str) -> bool:
    """Whether the predicted probabilities are those of the network at another temperature."""
    data = bundle.calibration_data.get(target)
    return data is not None and bool(np.any(np.asarray(data.temperature) != 1))


def block_rows(layered: LayeredModel) -> list[dict[str, Any]]:
    """The blocks in order: their layers, the shape they end with, parameters and multiply-adds."""
    blocks: dict[str, list[Layer]] = {}
    for layer in layered.layers:
        if layer.block is not None:
            blocks.setdefault(layer.block, []).append(layer)
    return [
        {"name": name, "layers": [layer.name for layer in layers], "shape": list(layers[-1].shape)}
        | {key: sum(getattr(layer, key) for layer in layers) for key in BLOCK_SUMS}
        for name, layers in blocks.items()
    ]


def images_of_model(workspace: Workspace, body: Body) -> dict[str, Any]:
    """A page of the images that test a model, with their true labels."""
    targets = workspace.model(text_of(body, "model")).bundle.targets
    return model_images(workspace.data, targets, body)


def predict(workspace: Workspace, body: Body) -> dict[str, Any]:
    """The predictions, and the preprocessing steps with their images; the predictions before any change."""
    inspection, data = workspace.inspection(body), workspace.data
    labels = labels_of_sample(data, inspection.inspected.bundle.targets, body["inspection"]["image"])
    return describe_predictions(inspection, workspace.unchanged(body)) | {"labels": labels}


def describe_predictions(inspection: Inspection, unchanged: Inspection | None) -> dict[str, Any]:
    """The predictions, and the preprocessing steps with their images; those of `unchanged` too."""
    steps = [
        {
            "name": step.name, "title": step.title, "text": step.text, "image": _step_png(step.pixels),
            "range": None if step.pixels.dtype == np.uint8 else [float(step.pixels.min()), float(step.pixels.max())],
            "optional": step.optional, "on": not step.skipped,
        }
        for step in inspection.steps
    ]  # fmt: skip
    before = unchanged.predictions if unchanged else None
    found = {"steps": steps, "predictions": inspection.predictions, "unchanged": before}
    return found | {"notes": inspection.notes}


def _step_png(pixels: NDArray[Any]) -> dict[str, Any]:
    """An image for the page; floating-point values are drawn from their lowest (black) to their highest (white)."""
    from muslin.reporting.image_grids import png_bytes, resize_to_edge

    if pixels.dtype != np.uint8:
        planes = pixels.transpose(1, 2, 0)
        low, high = float(planes.min()), float(planes.max())
        pixels = np.rint((planes - low) / ((high - low) or 1) * 255).astype(np.uint8)
    if pixels.shape[2] not in (1, 3):
        pixels = pixels[:, :, :1]
    height, width = pixels.shape[:2]
    is_small = max(height, width) <= STEP_IMAGE_PX
    content = encode_png(pixels) if is_small else png_bytes(resize_to_edge(pixels, STEP_IMAGE_PX))
    return {"width": width, "height": height, "png": "data:image/png;base64," + base64.b64encode(content).decode()}


def values(inspection: Inspection, body: Body) -> dict[str, Any]:
    """Exact values of a window of one feature map."""
    name = text_of(body, "layer")
    array = inspection.trace.of(name, _tta_view(body))
    if array.ndim == 1:
        array = array.reshape(1, 1, -1)
    channel = integer_of(body, "channel", 0)
    if array.ndim != 3 or channel >= len(array):
        raise MuslinError("channel_missing", layer=name, shape=list(array.shape), channel=channel)
    plane = array[channel]
    rows, columns = plane.shape
    top, left = integer_of(body, "top", 0), integer_of(body, "left", 0)
    height, width = integer_of(body, "height", rows), integer_of(body, "width", columns)
    window = plane[top : top + height, left : left + width]
    if window.size > MAX_VALUES:
        raise MuslinError("window_size", found=window.size, maximum=MAX_VALUES)
    return {
        "values": window.astype(float).tolist(), "top": top, "left": left, "height": len(window),
        "width": window.shape[1], "rows": rows, "columns": columns,
    }  # fmt: skip


def npy_file(inspection: Inspection, body: Body) -> Response:
    """A whole layer as a .npy file."""
    file = io.BytesIO()
    np.save(file, inspection.trace.of(text_of(body, "layer"), _tta_view(body)), allow_pickle=False)
    return Response(file.getvalue(), media_type="application/octet-stream")


def pixels(inspection: Inspection, body: Body) -> tuple[dict[str, Any], NDArray[Any]]:
    """The image upright, or as the network takes it, no longer than `max_px` on a side."""
    max_px = integer_of(body, "max_px", 256, 1024)
    found = inspection.pixels
    if choice_of(body, "step", "model_input", ("model_input", "upright")) == "upright":
        steps = {step.name: step.pixels for step in inspection.steps}
        found = steps.get("exif_rotated", next(iter(steps.values())))
    if max(found.shape[:2]) > max_px > 0:
        found = shrink(found, max_px)
    rows, columns, channels = found.shape
    return {"rows": rows, "columns": columns, "channels": channels, "dtype": "uint8"}, found


def value_arithmetic(inspection: Inspection, body: Body) -> dict[str, Any]:
    index = value_of(body, "index", list)
    if not all(type(i) is int for i in index):
        raise MuslinError("request_value", name="index", expected="array", items="integer")
    layer, all_terms = text_of(body, "layer"), bool(body.get("all"))
    return arithmetic(inspection.trace, layer, index, _tta_view(body), all_terms=all_terms)


def attribution(inspection: Inspection, body: Body) -> dict[str, Any]:
    found = _attribution(inspection, body)
    layers = attribution_layers(inspection.model.layered, found.target)
    return found.to_dict() | {"layers": list(layers)}


def _attribution(inspection: Inspection, body: Body) -> Attribution:
    tta_view = choice_of(body, "tta_view", "both", (*VIEWS, "both"))
    target, label = text_of(body, "target"), text_of(body, "class")
    return inspection.attribute(target, label, body.get("versus"), layer=body.get("layer"), tta_view=tta_view)


def channels(inspection: Inspection, body: Body) -> dict[str, Any]:
    """The channels of a layer that count most for a class."""
    target, label = text_of(body, "target"), text_of(body, "class")
    layer, trace = body.get("layer"), inspection.trace
    return channel_contributions(trace, target, label, body.get("versus"), layer=layer).to_dict()


INSPECTION_ROUTES: dict[str, Callable[[Inspection, Body], Any]] = {
    "effects": lambda inspection, body: inspection.effects(),
    "feature-maps": lambda inspection, body: feature_map_sheet(
        inspection.trace, text_of(body, "layer"), _tta_view(body)
    ),
    "values": values,
    "values.npy": npy_file,
    "kernels": lambda inspection, body: kernel_sheet(inspection.model.layered, text_of(body, "layer")),
    "pixels": pixels,
    "arithmetic": value_arithmetic,
    "channels": channels,
    "attribution": attribution,
    "sanity-checks": lambda inspection, body: inspection.sanity_checks(
        _attribution(inspection, body), integer_of(body, "seed", 0)
    ),
}
"""The paths below /api/ that ask about one inspection."""
