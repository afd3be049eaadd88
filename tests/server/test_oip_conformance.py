"""muslin's server keeps every rule of the Open Inference Protocol that the checker knows."""

import base64

from muslin.oip_check import RULES, check_server
from muslin.oip_check.connection import Server
from server_process import Served, gray


def test_muslin_conforms_and_offers_both_extensions(served: Served) -> None:
    report = check_server(Server(served.address))
    assert report.conforms, "\n".join(report.lines())
    assert report.counts() == {"passed": len(RULES), "failed": 0, "not offered": 0, "not tried": 0}


def test_muslin_conforms_with_a_given_image_in_base64(served: Served) -> None:
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(gray(60)).decode()]}
    report = check_server(Server(served.address), request={"inputs": [image]})
    assert report.conforms, "\n".join(report.lines())
    outcomes = {result.rule.name: result.outcome for result in report.results if result.outcome != "passed"}
    assert outcomes == dict.fromkeys(["infer.nested", "error.value_text", "error.value_range"], "not offered")
