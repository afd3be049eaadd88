"""What the protocol says of the server and of a model: metadata, and the configuration that image clients ask for."""

from collections.abc import Iterable
from typing import Any

from muslin import __version__
from muslin.data.dataset import Target
from muslin.evaluation.selective import DECISIONS
from muslin.server.open_inference.inference_request import INPUT, InputLimits
from muslin.server.open_inference.outputs import outputs_of
from muslin.server.open_inference.tensors import BYTES, UINT8
from muslin.strict_json import json_text

EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "parameters")
"""Extensions of the protocol that the server offers."""

PLATFORM = "muslin_onnx"


def server_metadata() -> dict[str, Any]:
    """The server's name, version and extensions."""
    return {"name": "muslin", "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(name: str, version: str, targets: Iterable[Target], limits: InputLimits) -> dict[str, Any]:
    """A model's input and outputs.

    The protocol gives an input one datatype; that of image files, BYTES, is named by the properties. The values of
    properties are texts; lists in them are JSON.
    """
    targets = list(targets)
    outputs = outputs_of(targets).values()
    properties = {
        "digest": version,
        f"{INPUT}.datatypes": json_text([UINT8, BYTES]),
        "decisions": json_text(DECISIONS),
        "max_images": str(limits.max_images),
    }
    for target in targets:
        properties |= {f"{target.name}.kind": target.kind, f"{target.name}.classes": json_text(target.classes)}
    return {
        "name": name,
        "versions": [version],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": UINT8, "shape": [-1, *limits.shape]}],
        "outputs": [{"name": each.name, "datatype": each.datatype, "shape": each.shape} for each in outputs],
        "properties": properties,
    }


def model_configuration(name: str, targets: Iterable[Target], limits: InputLimits) -> dict[str, Any]:
    """A model in the terms of Triton's configuration; sizes are without the number of images."""
    outputs = []
    for output in outputs_of(targets).values():
        sizes = {"dims": [1], "reshape": {"shape": []}} if output.is_vector else {"dims": output.shape[1:]}
        outputs.append({"name": output.name, "data_type": _configured(output.datatype)} | sizes)
    return {
        "name": name,
        "platform": PLATFORM,
        "max_batch_size": limits.max_images,
        "input": [
            {"name": INPUT, "data_type": _configured(UINT8), "format": "FORMAT_NHWC", "dims": list(limits.shape)}
        ],
        "output": outputs,
    }


def _configured(datatype: str) -> str:
    return "TYPE_STRING" if datatype == BYTES else f"TYPE_{datatype}"
