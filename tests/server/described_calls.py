"""Requests that schemathesis makes from the server's own description, and what holds for each response."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

COSTLY = {"POST /v1/models/{name}": 50}
"""How many times fewer calls go to a route. A model that is sent is tried in a process of its own, for a second."""


def check_description(
    address: str, names: dict[str, list[Any]], token: str, max_examples: int, first_seed: int = 0
) -> Iterator[tuple[str, Counter[int]]]:
    """Make up to `max_examples` calls per route and kind, each of which must be answered as described.

    Args:
        names: per schema the values that the server knows; calls that are to be refused have others.

    Yields:
        Each route with the statuses of its responses.
    """
    document = httpx.get(f"{address}/openapi.json", trust_env=False).json()
    schemas = document["components"]["schemas"]
    for name, known in names.items():
        schemas[name] = {"enum": known}
    for path in document["paths"].values():
        for operation in path.values():
            operation.pop("security")  # every call has the right token
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=address)
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        for result in schema.get_all_operations():
            operation, statuses = result.ok(), Counter[int]()
            takes_values = operation.body or operation.query or operation.path_parameters or operation.headers
            for mode in MODES if takes_values else MODES[:1]:  # else there is nothing to get wrong
                limits = settings(
                    max_examples=max(1, max_examples // COSTLY.get(operation.label, 1)),
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                )
                cases = operation.as_strategy(generation_mode=mode)
                seed(first_seed)(limits(given(case=cases)(_checked(session, statuses))))()
            yield operation.label, statuses


def _checked(session: requests.Session, statuses: Counter[int]) -> Callable[[Any], None]:
    """What makes a call and checks its response."""

    def check(case: Any) -> None:
        response = case.call(session=session)
        case.validate_response(response, checks=CHECKS)
        statuses[response.status_code] += 1
        if "json" in response.headers.get("Content-Type", ""):
            json.loads(response.content.decode("utf-8"), parse_constant=_refuse_constant)

    return check


def _refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")
