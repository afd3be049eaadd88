"""A conformance checker for the Open Inference Protocol v2 over HTTP, which can be pointed at any server.

    python -m muslin.oip_check http://127.0.0.1:8000 --model NAME

`check_server` sends each rule's requests to a `Server`, and returns a `Report`. Each rule passes, fails, is not offered
(an extension, or versions), or could not be tried. `rules` has the table of rules and what a rule can say; the modules
named `*_rules` fill it.
"""

from muslin.oip_check.check import check_server
from muslin.oip_check.connection import Server
from muslin.oip_check.report import Report
from muslin.oip_check.rules import RULES, Result, Rule

__all__ = ["RULES", "Report", "Result", "Rule", "Server", "check_server"]
