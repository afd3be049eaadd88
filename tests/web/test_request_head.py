"""What the head of a request tells of its origin and of its body."""

import pytest

from muslin.web.request_head import check_length, is_foreign
from refusals import refuses

OWN = ("http://127.0.0.1:8000",)


@pytest.mark.parametrize(
    ("origins", "sites", "modes", "expected"),
    [
        ([], [], [], False),
        (["http://127.0.0.1:8000"], ["same-origin"], ["cors"], False),
        (["HTTP://127.0.0.1:8000"], ["none"], ["navigate"], False),
        (["http://127.0.0.1:8001"], [], [], True),
        (["null"], [], [], True),
        (["http://127.0.0.1:8000", "http://evil.example"], [], [], True),
        ([], ["cross-site"], ["navigate"], False),
        ([], ["cross-site"], ["no-cors"], True),
        ([], ["same-site"], [], True),
        ([], ["same-origin", "cross-site"], ["cors"], True),
    ],
)
def test_requests_of_pages_of_other_sites_are_foreign(
    origins: list[str], sites: list[str], modes: list[str], expected: bool
) -> None:
    assert is_foreign(origins, OWN, sites, modes) is expected


@pytest.mark.parametrize("length", ["0", "100", "007"])
def test_length_of_a_body_within_the_limit_is_accepted(length: str) -> None:
    check_length(length, 100)


@pytest.mark.parametrize("length", ["", "101", "-1", "+1", "1e2", " 1", "٣", "²", 5000 * "9", 5000 * "0"])
def test_other_length_of_a_body_is_refused(length: str) -> None:
    with refuses("request_size", maximum_mb=0.0001):
        check_length(length, 100)
