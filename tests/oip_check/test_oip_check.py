"""The conformance checker: a server that keeps every rule, servers that break one each, and any replies at all."""

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_server import MODEL, Fault, Reply, Sent, edited, reply_to, serving, with_status

from muslin.errors import MuslinError
from muslin.oip_check import check, check_server
from muslin.oip_check.connection import Reply as ReceivedReply
from muslin.oip_check.connection import Server
from muslin.oip_check.report import Report
from muslin.oip_check.rules import RULES

INFER = r"/v2/models/Sums(/versions/.)?/infer"


@dataclass(frozen=True)
class DirectServer(Server):
    """A server with a fault, without a socket between, which takes the time of most tests."""

    fault: Fault = lambda _, reply: reply

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> ReceivedReply:
        lowered = {name.lower(): value for name, value in headers.items()}
        sent = Sent(method, path, lowered, body or b"")
        reply = self.fault(sent, reply_to(sent))
        return ReceivedReply(reply.status, reply.headers, reply.body)


def checked(fault: Fault) -> Report:
    return check_server(DirectServer("http://127.0.0.1:1", fault=fault))


def failed_rules(report: Report) -> list[str]:
    return [result.rule.name for result in report.results if result.outcome == "failed"]


def test_a_server_that_keeps_every_rule_conforms() -> None:
    with serving() as url:
        report = check_server(Server(url))
    assert failed_rules(report) == []
    assert report.conforms
    assert report.counts() == {"passed": len(RULES), "failed": 0, "not offered": 0, "not tried": 0}


def swapped_batch(sent: Sent, reply: Reply) -> Reply:
    for output in (reply.header or {}).get("outputs", []):
        if output["shape"][0] == 2 and "data" in output:
            half = len(output["data"]) // 2
            output["data"] = output["data"][half:] + output["data"][:half]
    return reply


def mixed_up(sent: Sent, reply: Reply) -> Reply:
    """Another request's outputs, when the id says that there are many."""
    if b'"id": "request' in sent.body and reply.header:
        reply.header["outputs"][0]["data"] = [0.5, 0.5, 0.5]
    return reply


def without_header_length(sent: Sent, reply: Reply) -> Reply:
    kept = {name: value for name, value in reply.headers.items() if name == "content-type"}
    return replace(reply, headers=kept | {"content-type": "application/json"})


def ignoring_left_over(sent: Sent, reply: Reply) -> Reply:
    if not sent.body.endswith(b"\0\0\0"):
        return reply
    return reply_to(replace(sent, body=sent.body[:-3]))


def html_errors(sent: Sent, reply: Reply) -> Reply:
    if reply.status < 400:
        return reply
    return Reply(reply.status, None, b"<html>", {"content-type": "text/html"})


def accepting(text: bytes) -> Fault:
    """Answers requests that contain this as if they were right."""
    right = Sent("POST", f"/v2/models/{MODEL}/infer", {}, json.dumps(EXAMPLE).encode())
    return lambda sent, reply: reply_to(right) if text in sent.body else reply


def crashing_on(text: bytes) -> Fault:
    crash = Reply(500, {"error": "KeyError"}, b"", {"content-type": "application/json"})
    return lambda sent, reply: crash if text in sent.body else reply


EXAMPLE = {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 2, 3], "data": [1, 2, 3, 4, 5, 6]}]}


def first_output(**fields: Any) -> Fault:
    return edited(INFER, lambda found: found["outputs"][0].update(fields))


def declared_input(**fields: Any) -> Fault:
    def change(found: dict[str, Any]) -> None:
        found["inputs"] = [found["inputs"][0] | fields]

    return edited(r"/v2/models/Sums", change)


BROKEN: dict[str, tuple[str, Fault]] = {
    "live is 204": ("health.live", with_status("/v2/health/live", 204)),
    "ready is 503": ("health.ready", with_status("/v2/health/ready", 503)),
    "ready says false": ("health.body", edited("/v2/health/ready", lambda found: found.update(ready=False))),
    "no server version": ("server.metadata", edited("/v2", lambda found: found.pop("version"))),
    "extensions as a text": ("server.extensions", edited("/v2", lambda found: found.update(extensions="none"))),
    "unknown path is 500": ("server.unknown_path", with_status("/v2/oip-check-unknown", 500, 404)),
    "model is not ready": ("model.ready", with_status("/v2/models/Sums/ready", 503)),
    "another name is ready": ("model.ready_body", edited(r".*Sums/ready", lambda found: found.update(name="x"))),
    "unknown model is ready": ("model.ready_unknown", with_status("/v2/models/oip-check-unknown/ready", 200, 404)),
    "unknown model is 400": ("model.ready_unknown_404", with_status("/v2/models/oip-check-unknown/ready", 400, 404)),
    "no platform": ("model.metadata", edited("/v2/models/Sums", lambda found: found.pop("platform"))),
    "unknown data type": ("model.tensors", declared_input(datatype="float32")),
    "shape as text": ("model.tensors", declared_input(shape="[-1, 2, 3]")),
    "inputs are missing": ("model.tensors", edited("/v2/models/Sums", lambda found: found.pop("inputs"))),
    "versions as numbers": ("model.versions", edited("/v2/models/Sums", lambda found: found.update(versions=[1, 2]))),
    "version without metadata": ("model.metadata_version", with_status("/v2/models/Sums/versions/1", 404)),
    "version without readiness": ("model.ready_version", with_status("/v2/models/Sums/versions/1/ready", 404)),
    "numbers as properties": ("model.properties", edited("/v2/models/Sums", lambda f: f.update(properties={"a": 1}))),
    "any case": ("model.case", lambda sent, _: reply_to(replace(sent, path=sent.path.replace("sUMS", MODEL)))),
    "no model name": ("infer.response", edited(INFER, lambda found: found.pop("model_name"))),
    "too few values": ("infer.response", first_output(shape=[5, 3])),
    "nested otherwise than the shape": ("infer.response", first_output(data=[[0.1], [0.2, 0.3]])),
    "NaN in JSON": ("infer.response", first_output(data=[float("nan"), 0.0, 0.0])),
    "texts as FP32": ("infer.response", first_output(data=["1", "2", "3"])),
    "parameters as an array": ("infer.parameters", edited(INFER, lambda found: found.update(parameters=[1]))),
    "null as a parameter": ("infer.parameters", edited(INFER, lambda found: found.update(parameters={"a": None}))),
    "unknown parameters crash it": ("error.unknown_parameters", crashing_on(b'"parameters": {"oip-check-unknown"')),
    "version as a number": ("infer.version", edited(INFER, lambda found: found.update(model_version=2))),
    "another version": ("infer.version_path", edited(INFER, lambda found: found.update(model_version="2"))),
    "no id": ("infer.id", edited(INFER, lambda found: found.pop("id", None))),
    "id in ASCII": ("infer.id", edited(INFER, lambda found: found.update(id=found.get("id", "").strip("ä")))),
    "another type than declared": ("infer.declared", first_output(datatype="FP64")),
    "always all outputs": ("infer.requested", edited(INFER, lambda f: f["outputs"].append(f["outputs"][0] | EXTRA))),
    "rows of a batch swapped": ("infer.batch", swapped_batch),
    "answers mixed up": ("infer.concurrent", mixed_up),
    "no header length": ("binary.outputs", without_header_length),
    "bytes ignored": ("binary.left_over", ignoring_left_over),
    "errors as HTML": ("error.not_json", html_errors),
    "errors elsewhere": ("error.no_inputs", lambda _, reply: detail_for_error(reply)),
    "unknown output accepted": ("error.unknown_output", accepting(b'"outputs": [{"name": "oip-check-unknown"')),
    "any data type accepted": ("error.datatype", accepting(b"FP99")),
    "errors as 500": ("error.is_4xx", with_status(INFER, 500, 400)),
    "worst class first": ("classification.best", lambda sent, reply: reversed_classes(sent, reply)),
}
"""Per fault the rule that must find it."""

EXTRA = {"name": "extra"}


def detail_for_error(reply: Reply) -> Reply:
    return replace(reply, header={"detail": "wrong"}) if reply.status == 400 else reply


def reversed_classes(sent: Sent, reply: Reply) -> Reply:
    if b"classification" in sent.body and reply.header and "outputs" in reply.header:
        reply.header["outputs"][0].get("data", []).reverse()
    return reply


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_fails_its_rule(name: str) -> None:
    rule, fault = BROKEN[name]
    report = checked(fault)
    assert rule in failed_rules(report)
    is_recommended = all(RULES[failed].level == "recommended" for failed in failed_rules(report))
    assert report.conforms == is_recommended


def test_a_model_of_other_values_each_time_conforms() -> None:
    drawn = random.Random(7)

    def noisy(sent: Sent, reply: Reply) -> Reply:
        for output in (reply.header or {}).get("outputs", []) if not reply.content else []:
            if output["datatype"] == "FP32" and "data" in output:
                output["data"] = [drawn.random() for _ in output["data"]]
        return reply

    report = checked(noisy)
    assert report.conforms, "\n".join(report.lines())
    assert report.counts()["not tried"] == 0


def test_extensions_that_are_not_listed_are_not_offered() -> None:
    report = checked(edited("/v2", lambda found: found.update(extensions=["statistics"])))
    areas = {result.rule.area for result in report.results if result.outcome == "not offered"}
    assert (areas, report.conforms, report.unchecked_extensions) == ({"binary", "classification"}, True, ["statistics"])


def test_a_model_that_accepts_no_made_request_is_not_said_to_conform() -> None:
    fault = edited("/v2/models/Sums", lambda found: found.update(inputs=[found["inputs"][0] | {"shape": [-1, 7]}]))
    report = checked(fault)
    tried = {result.rule.name: result.outcome for result in report.results}
    assert (report.conforms, tried["infer.response"], tried["model.ready"]) == (False, "not tried", "passed")


def run_checker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "muslin.oip_check", *words], capture_output=True, text=True)


def test_command_prints_json_and_exits_as_the_report(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps(EXAMPLE))
    with serving() as url:
        done = run_checker(url, "--json", "--model", MODEL, "--request", str(request), "--header", "X-Shop: a")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr, found["conforms"], found["models"]) == (0, "", True, [MODEL])
    assert len(found["results"]) == len(RULES)
    with serving(with_status("/v2/health/live", 500)) as url:
        done = run_checker(url)
    assert done.returncode == 1
    assert "health.live" in done.stdout


@pytest.mark.parametrize("words", [("localhost",), ("http://127.0.0.1:9",), ("http://127.0.0.1:x",), ()])
def test_command_exits_2_without_a_server(words: tuple[str, ...]) -> None:
    done = run_checker(*words)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)


def test_a_server_without_a_list_of_models_needs_a_name() -> None:
    with serving(with_status("/v2/models", 404)) as url, pytest.raises(MuslinError) as refused:
        check_server(Server(url))
    assert refused.value.code == "oip_no_models"


NAMES = ("name", "versions", "inputs", "outputs", "shape", "datatype", "data", "parameters", "id", "error", "ready")

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


def replaced_value(value: Any, path: list[int], new: Any) -> Any:
    """`value` with `new` at a place within it."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    keys = [*value] if isinstance(value, dict) else [*range(len(value))]
    key = keys[path[0] % len(keys)]
    copy = value.copy()
    copy[key] = replaced_value(value[key], path[1:], new)
    return copy


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9), max_size=5), ANY_JSON, st.sampled_from(["/v2", "Sums", "/infer", ""]))
def test_any_reply_gives_a_report(path: list[int], new: Any, where: str) -> None:
    def fault(sent: Sent, reply: Reply) -> Reply:
        if where in sent.path and reply.header is not None:
            return Reply(
                reply.status, None, json.dumps(replaced_value(reply.header, path, new)).encode(), reply.headers
            )
        return reply

    report = check_server(DirectServer("http://127.0.0.1:1", fault=fault), [MODEL])
    json.dumps(report.to_dict())
    assert [*report.lines()]
    assert len(report.results) == len(RULES)


def test_every_rule_module_is_in_the_table() -> None:
    folder = Path(check.__file__).parent
    assert {module.__name__.rpartition(".")[2] for module in check.RULE_MODULES} == {
        file.stem for file in folder.glob("*_rules.py")
    }
