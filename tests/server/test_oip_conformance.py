"""muslin's server keeps every rule of the Open Inference Protocol that the checker knows."""

from muslin.oip_check import RULES, check_server
from muslin.oip_check.connection import Server
from server_process import Served


def test_muslin_conforms_and_offers_both_extensions(served: Served) -> None:
    report = check_server(Server(served.address))
    assert report.conforms, "\n".join(report.lines())
    assert report.counts() == {"passed": len(RULES), "failed": 0, "not offered": 0, "not tried": 0}
