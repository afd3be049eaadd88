"""Calls of tritonclient, run by the Python of an environment that has it: ADDRESS EXPECTED.json

EXPECTED names a model, its images (as pixels and as files in base64) and the predictions of `muslin predict` for them.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as asynchronous_triton
from tritonclient.utils import InferenceServerException


def main(address: str, expected_file: str) -> None:
    expected = json.loads(Path(expected_file).read_text())
    with triton.InferenceServerClient(address.removeprefix("http://")) as client:
        check_metadata(client, expected)
        name, pixels = expected["model"], np.array(expected["pixels"], np.uint8)
        files = [base64.b64decode(text) for text in expected["files"]]
        for is_binary in (True, False):
            check(client.infer(name, [pixels_input(pixels, is_binary)]), expected)
            check(client.infer(name, [files_input(files, is_binary)]), expected)
            wanted = [triton.InferRequestedOutput(f"label{rest}", is_binary) for rest in ("", ".decision")]
            check(client.infer(name, [pixels_input(pixels, is_binary)], outputs=wanted, request_id="7"), expected)
            check_classification(client, expected, is_binary)
        for compression in ("gzip", "deflate"):
            options = {"request_compression_algorithm": compression, "response_compression_algorithm": compression}
            check(client.infer(name, [pixels_input(pixels)], expected["digest"], **options), expected)
        check(client.async_infer(name, [pixels_input(pixels)]).get_result(), expected)
        check_image_client(client, expected)
        check_errors(client, expected)
    asyncio.run(check_asynchronous(address, expected))


async def check_asynchronous(address, expected) -> None:
    pixels = np.array(expected["pixels"], np.uint8)
    async with asynchronous_triton.InferenceServerClient(address.removeprefix("http://")) as client:
        assert await client.is_model_ready(expected["model"])
        requests = [client.infer(expected["model"], [pixels_input(pixels, binary)]) for binary in (True, False)]
        for result in await asyncio.gather(*requests):
            check(result, expected)


def check_metadata(client, expected) -> None:
    name, digest = expected["model"], expected["digest"]
    assert client.is_server_live()
    assert client.is_server_ready()
    ready = [client.is_model_ready(*words) for words in ((name,), (name, digest), ("gone",), (name, "1"))]
    assert ready == [True, True, False, False]
    assert {"binary_tensor_data", "classification"} <= set(client.get_server_metadata()["extensions"])
    assert [each["name"] for each in client.get_model_repository_index()] == [name]
    metadata = client.get_model_metadata(name)
    assert metadata == client.get_model_metadata(name, metadata["versions"][0])
    assert json.loads(metadata["properties"]["label.classes"]) == expected["classes"]
    assert client.get_model_config(name)["input"][0]["format"] == "FORMAT_NHWC"


def pixels_input(pixels, is_binary=True):
    made = triton.InferInput("image", pixels.shape, "UINT8")
    return made.set_data_from_numpy(pixels, binary_data=is_binary)


def files_input(files, is_binary=True):
    contents = files if is_binary else [base64.b64encode(file) for file in files]
    made = triton.InferInput("image", [len(files)], "BYTES")
    return made.set_data_from_numpy(np.array(contents, np.object_), binary_data=is_binary)


def check(result, expected) -> None:
    predictions = expected["predictions"]
    probabilities = [list(each["probabilities"].values()) for each in predictions]
    assert np.array_equal(result.as_numpy("label"), np.array(probabilities, np.float32))
    decisions = [text(each) for each in result.as_numpy("label.decision")]
    assert decisions == [each["decision"] for each in predictions]
    assert result.get_response()["model_version"] == expected["digest"]


def check_classification(client, expected, is_binary) -> None:
    """The predicted class as text, as image clients read it."""
    pixels = np.array(expected["pixels"], np.uint8)
    wanted = [triton.InferRequestedOutput("label", is_binary, class_count=2)]
    result = client.infer(expected["model"], [pixels_input(pixels)], outputs=wanted).as_numpy("label")
    assert result.shape == (len(pixels), 2)
    for row, each in zip(result, expected["predictions"], strict=True):
        value, place, label = text(row[0]).split(":")
        assert (label, expected["classes"][int(place)]) == (each["label"], each["label"])
        assert np.float32(value) == np.float32(each["probability"])


def check_image_client(client, expected) -> None:
    """As NVIDIA's ensemble_image_client.py does: files in a column, and every output as a classification."""
    name = expected["model"]
    files = np.array([[base64.b64decode(file)] for file in expected["files"]], np.object_)
    metadata, configuration = client.get_model_metadata(name), client.get_model_config(name)
    assert len(metadata["inputs"]) == len(configuration["input"]) == 1
    assert len(files) <= configuration["max_batch_size"]
    sent = triton.InferInput(metadata["inputs"][0]["name"], files.shape, "BYTES").set_data_from_numpy(files)
    names = [output["name"] for output in metadata["outputs"]]
    wanted = [triton.InferRequestedOutput(each, class_count=1) for each in names]
    result = client.infer(name, [sent], outputs=wanted)
    for each in names:
        rows = result.as_numpy(each)
        assert len(rows) == len(files)
        assert all(len("".join(chr(code) for code in element).split(":")) == 3 for row in rows for element in row)


def check_errors(client, expected) -> None:
    pixels = np.array(expected["pixels"], np.uint8)
    wrong = (("gone", pixels, "gone"), (expected["model"], pixels[:, 1:], "inputs[0].shape"))
    for name, sent, words in wrong:
        refused = None
        try:
            client.infer(name, [pixels_input(sent)])
        except InferenceServerException as error:
            refused = error
        assert refused is not None
        assert refused.status() == "400"
        assert words in refused.message()


def text(element) -> str:
    return element.decode() if isinstance(element, bytes) else str(element)


if __name__ == "__main__":
    main(*sys.argv[1:])
