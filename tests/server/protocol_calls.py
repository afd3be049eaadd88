"""Requests that schemathesis makes from the Open Inference Protocol's own description, and what holds of responses.

The description, protocol/open_inference_rest.yaml, is that of https://github.com/kserve/open-inference-protocol, under
the Apache License 2.0 (protocol/LICENSE).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, assume, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

DESCRIPTION = Path(__file__).parent / "protocol" / "open_inference_rest.yaml"
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
ALL = list(HealthCheck)
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@dataclass(frozen=True)
class Known:
    """What a server knows.

    Attributes:
        models, versions, outputs: names.
        inputs: whole inputs, for which it has predictions.
    """

    models: list[str]
    versions: list[str]
    outputs: list[str]
    inputs: list[dict[str, Any]]


def descriptions(known: Known) -> Iterator[Any]:
    """The protocol's description as it is; with names that the server knows; and with values for which it predicts."""
    plain = yaml.safe_load(DESCRIPTION.read_text())
    yield plain
    named = deepcopy(plain)
    choices = {"MODEL_NAME": known.models, "MODEL_VERSION": known.versions}
    for path in named["paths"].values():
        for parameter in path.get("parameters", ()):
            parameter["schema"] = {"enum": choices[parameter["name"]]}
    schemas = named["components"]["schemas"]
    schemas["request_output"]["properties"]["name"] = {"enum": known.outputs}
    for name in ("name", "datatype", "shape"):
        schemas["request_input"]["properties"][name] = {"enum": [each[name] for each in known.inputs]}
    schemas["inference_request"]["properties"]["inputs"] |= {"minItems": 1, "maxItems": 1}
    yield named
    valid = deepcopy(named)
    valid["components"]["schemas"]["request_input"] = {"enum": known.inputs}
    valid["components"]["schemas"]["request_output"] = {
        "type": "object",
        "properties": {
            "name": {"enum": known.outputs},
            "parameters": {"properties": {"classification": {"enum": [1, 2]}}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    yield valid


def check_protocol(address: str, known: Known, max_examples: int, first_seed: int = 0) -> dict[str, Counter[int]]:
    """Make up to `max_examples` calls per route, description and kind, each of which must be answered as described.

    Making up a body takes ten times as long as its call. So each goes to all routes that take one: for the names that
    were made up with it, and for those that the server knows.

    Returns:
        Per route how many responses had which status.
    """
    found: dict[str, Counter[int]] = defaultdict(Counter)
    with requests.Session() as session:
        session.trust_env = False
        for document in descriptions(known):
            schema = schemathesis.openapi.from_dict(document)
            schema.config.update(base_url=address)
            operations = [result.ok() for result in schema.get_all_operations()]
            with_body = [operation for operation in operations if operation.body]
            for operation in [each for each in operations if not each.body] + with_body[:1]:
                for mode in MODES if operation.body else MODES[:1]:  # without a body there is nothing to get wrong
                    cases = operation.as_strategy(generation_mode=mode)
                    untimed = settings(
                        max_examples=max_examples, deadline=None, database=None, suppress_health_check=ALL
                    )
                    others = with_body if operation.body else []
                    seed(first_seed)(untimed(given(case=cases)(_checked(session, found, others, known))))()
    return found


def _checked(
    session: requests.Session, found: dict[str, Counter[int]], with_body: list[Any], known: Known
) -> Callable[[Any], None]:
    """Makes a call, and the same to the routes `with_body`, and checks and counts the responses."""
    names = {"MODEL_NAME": known.models[0], "MODEL_VERSION": known.versions[0]}

    def check(case: Any) -> None:
        assume("#" not in case.formatted_path)  # schemathesis leaves it as it is, so that the path would end there
        _call(session, found[case.operation.label], case)
        for operation in with_body:
            path_parameters = {each.name: names[each.name] for each in operation.path_parameters}
            if (operation, path_parameters) != (case.operation, case.path_parameters):
                copy = operation.Case(
                    path_parameters=path_parameters, query=case.query, headers=case.headers, body=case.body,
                    media_type=case.media_type,
                )  # fmt: skip
                _call(session, found[operation.label], copy)

    return check


def _call(session: requests.Session, statuses: Counter[int], case: Any) -> None:
    response = case.call(session=session)
    statuses[response.status_code] += 1
    assert response.status_code < 500
    case.validate_response(response, checks=CHECKS)
    if "json" in response.headers.get("Content-Type", ""):
        json.loads(response.content.decode("utf-8"), parse_constant=refuse_constant)


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")
