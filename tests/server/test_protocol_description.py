"""Every response of a server is as the Open Inference Protocol's own description says."""

import base64
from collections import Counter

import pytest
from protocol_calls import Known, check_protocol

from server_process import Served, gray

CALLS, LONG_CALLS = 4, 500
"""Per route, description and kind: a few hundred together, or some 8,000 with other values."""

LONG_TOTAL = 100_000
PARTS = 12
"""Of the long form, so that it has all processor cores: making up a call takes 40 ms. The short form is the first."""


def known(served: Served) -> Known:
    metadata = served.client.get("/v2/models/small").json()
    file = base64.b64encode(gray(60)).decode()
    inputs = [
        {"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [60] * 64},
        {"name": "image", "shape": [2, 8, 8, 1], "datatype": "UINT8", "data": [200] * 128},
        {"name": "image", "shape": [1], "datatype": "BYTES", "data": [file]},
        {"name": "image", "shape": [2, 1], "datatype": "BYTES", "data": [[file], [file]]},
    ]
    return Known(["small"], metadata["versions"], [output["name"] for output in metadata["outputs"]], inputs)


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, PARTS))])
def test_every_response_is_as_the_protocol_says(served: Served, is_long: bool, part: int) -> None:
    found = check_protocol(served.address, known(served), LONG_CALLS if is_long else CALLS, part)
    assert len(found) == 9
    seed = part
    while is_long and sum(map(Counter.total, found.values())) < LONG_TOTAL // PARTS:
        seed += PARTS
        for route, statuses in check_protocol(served.address, known(served), LONG_CALLS, seed).items():
            found[route] += statuses
    for route, statuses in found.items():
        assert statuses[200], route
        assert "{" not in route or statuses[400] or statuses[404], route
    assert served.client.get("/v2/health/ready").status_code == 200
