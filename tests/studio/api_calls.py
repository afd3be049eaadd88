"""Requests that schemathesis makes from the description of the studio's API, and what holds for each response."""

import copy
import json
import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from muslin.studio.openapi import description

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def described(names: dict[str, list[Any]]) -> Any:
    """The description, whose names of models, images, layers, … are often those that there are."""
    document = copy.deepcopy(description())
    schemas = document["components"]["schemas"]
    for name, known in names.items():
        schemas[name] = {"anyOf": [{"enum": known}, schemas[name]]}
    for path in document["paths"].values():
        for operation in path.values():
            operation.pop("security", None)  # every call has the right token
    return schemathesis.openapi.from_dict(document)


def check_api(
    address: str, names: dict[str, list[Any]], max_examples: int, first_seed: int = 0
) -> Iterator[tuple[str, Counter[int]]]:
    """Make up to `max_examples` calls per route and kind, each of which must be answered as described.

    Yields:
        Each route with the statuses of its responses.
    """
    schema = described(names)
    schema.config.update(base_url=address)
    token = token_of(address)
    limits = settings(max_examples=max_examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    for result in schema.get_all_operations():
        operation, statuses = result.ok(), Counter[int]()
        for mode in MODES:
            takes_json = any(body.media_type == "application/json" for body in operation.body)
            if mode == GenerationMode.NEGATIVE and not (takes_json or operation.query):
                continue  # there is nothing to get wrong
            cases = operation.as_strategy(generation_mode=mode)
            seed(first_seed)(limits(given(case=cases)(_checked(token, statuses))))()
        yield operation.label, statuses


def _checked(token: str, statuses: Counter[int]) -> Callable[[Any], None]:
    """What makes a call and checks its response."""

    def check(case: Any) -> None:
        response = case.call(headers={"X-Muslin-Token": token})
        case.validate_response(response, checks=CHECKS)
        statuses[response.status_code] += 1
        if "json" in response.headers.get("Content-Type", ""):
            json.loads(response.content.decode("utf-8"), parse_constant=refuse_constant)

    return check


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def token_of(address: str) -> str:
    with urllib.request.urlopen(address) as page:
        found = re.search(rb'muslin-token" content="([^"]+)"', page.read())
    assert found
    return found[1].decode()
