"""Try all rules on a server."""

import json
from collections.abc import Sequence
from typing import Any

from muslin.errors import MuslinError
from muslin.oip_check import binary_rules, classification_rules, error_rules, inference_rules, model_rules, server_rules
from muslin.oip_check.connection import Server
from muslin.oip_check.outcomes import RuleBrokenError
from muslin.oip_check.report import Report
from muslin.oip_check.rules import rules_in_order, run_rule
from muslin.oip_check.target import Target

RULE_MODULES = (server_rules, model_rules, inference_rules, binary_rules, classification_rules, error_rules)
"""Each adds its rows to RULES."""

MODEL_LISTS = (("POST", "/v2/repository/index"), ("GET", "/v2/models"), ("GET", "/v1/models"))
"""Where servers list their models: Triton and MLServer, KServe, muslin. The protocol has no list."""


def check_server(server: Server, models: Sequence[str] = (), request: dict[str, Any] | None = None) -> Report:
    """Try each rule on the server, and on each of its models.

    Args:
        models: their names; empty for those that the server lists.
        request: an inference request that the models accept; None to make some from the metadata.

    Raises:
        MuslinError: the server cannot be reached, or lists no models.
    """
    try:
        server.get("/v2/health/live")
    except RuleBrokenError as error:
        raise MuslinError("oip_unreachable", url=server.url, reason=error.args[0]) from None
    names = [*models] or listed_models(server)
    if not names:
        raise MuslinError("oip_no_models", url=server.url)
    results = []
    for number, name in enumerate(names):
        target = Target(server, name, request)
        results += [run_rule(row, target) for row in rules_in_order() if not (number and row.is_of_server)]
    return Report(server.url, tuple(names), Target(server, names[0]).extensions, tuple(results))


def listed_models(server: Server) -> list[str]:
    """The models that the server lists by one of MODEL_LISTS."""
    for method, path in MODEL_LISTS:
        try:
            reply = server.send(method, path, b"{}" if method == "POST" else None, {"Content-Type": "application/json"})
            found = json.loads(reply.body) if reply.status == 200 else None
        except (RuleBrokenError, ValueError, RecursionError):
            continue
        if names := model_names(found):
            return names
    return []


def model_names(found: Any) -> list[str]:
    """The names in a list of models: texts, or objects with a name.

    >>> model_names({"models": [{"name": "shirts"}, "shoes"]})
    ['shirts', 'shoes']
    """
    rows = found.get("models") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        return []
    names = [row.get("name", row.get("model")) if isinstance(row, dict) else row for row in rows]
    return [*dict.fromkeys(name for name in names if isinstance(name, str) and name)]
