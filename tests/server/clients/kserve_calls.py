"""Calls of KServe's Python client, run by the Python of an environment that has it: ADDRESS EXPECTED.json

EXPECTED is as for triton_calls.py.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


async def main(address: str, expected_file: str) -> None:
    expected = json.loads(Path(expected_file).read_text())
    name, pixels = expected["model"], np.array(expected["pixels"], np.uint8)
    files = [base64.b64decode(text) for text in expected["files"]]
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(address) is True
        assert await client.is_server_ready(address) is True
        assert await client.is_model_ready(address, name)
        assert not await client.is_model_ready(address, "gone")
        inputs = [pixels_input(pixels, binary) for binary in (True, False)]
        inputs += [files_input(files), InferInput("image", [len(files)], "BYTES", expected["files"])]
        for sent in inputs:
            for is_binary in (True, False):
                parameters = {"binary_data_output": is_binary}
                request = InferRequest(name, [sent], request_id="7", parameters=parameters)
                response = await client.infer(address, request, model_name=name)
                assert response.id == "7"
                check(response, expected)
        wanted = [RequestedOutput("label", {"binary_data": True}), RequestedOutput("label.decision")]
        request = InferRequest(name, [pixels_input(pixels)], request_outputs=wanted)
        check(await client.infer(address, request, model_name=name), expected)
        plain = {"name": "image", "shape": list(pixels.shape), "datatype": "UINT8", "data": pixels.tolist()}
        check(await client.infer(address, {"inputs": [plain]}, model_name=name), expected)
        await check_errors(client, address, name, pixels)


def pixels_input(pixels, is_binary=True):
    made = InferInput("image", list(pixels.shape), "UINT8")
    made.set_data_from_numpy(pixels, binary_data=is_binary)
    return made


def files_input(files):
    made = InferInput("image", [len(files)], "BYTES")
    made.set_data_from_numpy(np.array(files, np.object_))
    return made


def check(response, expected) -> None:
    predictions = expected["predictions"]
    found = {output.name: output.as_numpy() for output in response.outputs}
    probabilities = [list(each["probabilities"].values()) for each in predictions]
    assert np.array_equal(found["label"], np.array(probabilities, np.float32))
    decisions = [each.decode() if isinstance(each, bytes) else each for each in found["label.decision"]]
    assert decisions == [each["decision"] for each in predictions]
    assert (response.model_name, response.parameters["digest"]) == (expected["model"], expected["digest"])


async def check_errors(client, address, name, pixels) -> None:
    for model, sent, words in (("gone", pixels, "gone"), (name, pixels[:, 1:], "inputs[0].shape")):
        refused = None
        try:
            await client.infer(address, InferRequest(model, [pixels_input(sent)]), model_name=model)
        except httpx.HTTPStatusError as error:
            refused = error
        assert refused is not None
        assert refused.response.status_code == 400
        assert words in str(refused)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
