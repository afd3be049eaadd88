"""When which photo is asked for, with a clock of the test's own."""

from muslin.errors import FetchError
from muslin.fetching.address import parse_address
from muslin.fetching.schedule import ATTEMPTS, CONNECTIONS, FAILURES, Job, Schedule

DOWN = FetchError("host_timeout", host="a.example", seconds=10.0)


def jobs(host: str, count: int) -> list[Job]:
    return [Job(f"{host} {i}", parse_address(f"http://{host}/{i}.jpg")) for i in range(count)]


def taken(schedule: Schedule, now: float) -> Job:
    found = schedule.take(now)
    assert isinstance(found, Job)
    return found


def test_host_is_asked_at_its_rate_over_few_connections() -> None:
    schedule = Schedule(jobs("a.example", 20), rate=2)
    first = taken(schedule, 0.0)
    assert schedule.take(0.0) == 0.5, "seconds until the next"
    running = [first, *(taken(schedule, 0.5 * i) for i in range(1, CONNECTIONS))]
    assert not isinstance(schedule.take(10.0), Job), "all connections are in use"
    schedule.succeed(running[0])
    assert isinstance(schedule.take(10.0), Job)


def test_hosts_take_turns() -> None:
    schedule = Schedule([*jobs("a.example", 3), *jobs("b.example", 3)], rate=1000)
    assert [taken(schedule, float(i)).address.host[0] for i in range(4)] == ["a", "b", "a", "b"]


def test_failed_photo_is_tried_again_after_longer_pauses_then_left() -> None:
    schedule = Schedule(jobs("a.example", 1), rate=1000, retry_s=1)
    now, waits = 0.0, []
    for attempt in range(1, ATTEMPTS + 1):
        job = taken(schedule, now)
        assert job.attempts == attempt
        failed = schedule.fail(job, DOWN, now)
        if failed:
            assert [error.code for _, error in failed] == ["host_timeout"]
            break
        waits.append(next(pause for pause in range(1, 100) if isinstance_at(schedule, now + pause)))
        now += waits[-1]
    assert waits == [1, 4, 16]
    assert schedule.is_done


def isinstance_at(schedule: Schedule, now: float) -> bool:
    """Whether something can be taken at `now`, without taking it."""
    return any((when := site.next_time()) is not None and when <= now for site in schedule._sites.values())


def test_host_is_given_up_after_failures_in_a_row() -> None:
    schedule = Schedule(jobs("a.example", 1000), rate=1000)
    failed: list[str] = []
    for now in range(FAILURES):
        failed += [error.code for _, error in schedule.fail(taken(schedule, float(now)), DOWN, float(now))]
    assert schedule.is_done
    assert failed.count("host_given_up") == 999, "those that wait, and those that were to be tried again"
    assert len(failed) == 1000


def test_photo_that_comes_keeps_the_host() -> None:
    schedule = Schedule(jobs("a.example", 1000), rate=1000)
    for now in range(3 * FAILURES):
        job = taken(schedule, now / 10)
        if now % 3:
            assert schedule.fail(job, DOWN, now / 10) == [] or job.attempts == ATTEMPTS
        else:
            schedule.succeed(job)
    assert not schedule.is_done


def test_busy_host_is_asked_later_and_more_slowly() -> None:
    schedule = Schedule(jobs("a.example", 100), rate=10)
    running = [taken(schedule, 0.1 * i) for i in range(CONNECTIONS)]
    for job in running:  # four responses count once
        assert schedule.fail(job, FetchError("host_busy", http_status=429, retry_after="30"), 1.0) == []
    wait_s = schedule.take(2.0)
    assert not isinstance(wait_s, Job)
    assert not isinstance(schedule.take(30.9), Job)
    taken(schedule, 31.1)
    assert not isinstance(schedule.take(31.25), Job), "a fifth of a second apart, not a tenth"
    taken(schedule, 31.35)


def test_host_that_asks_for_hours_is_given_up() -> None:
    schedule = Schedule(jobs("a.example", 100))
    failed = schedule.fail(taken(schedule, 0.0), FetchError("host_busy", http_status=503, retry_after="7200"), 0.0)
    assert [error.code for _, error in failed] == ["host_busy", *["host_given_up"] * 99]


def test_redirects_are_counted_and_come_under_the_rate_of_their_host() -> None:
    schedule = Schedule([*jobs("a.example", 1), *jobs("b.example", 1)], rate=1)
    job, other = taken(schedule, 0.0), taken(schedule, 0.0)
    assert schedule.redirect(job, other.address) is None
    assert not isinstance(schedule.take(0.5), Job)
    hop = taken(schedule, 1.0)
    for now in range(2, 6):
        assert schedule.redirect(hop, other.address) is None
        hop = taken(schedule, float(now))
    error = schedule.redirect(hop, other.address)
    assert error is not None
    assert error.code == "redirects_too_many"


def test_host_that_is_not_public_is_given_up_not_the_one_that_leads_there() -> None:
    schedule = Schedule([*jobs("a.example", 3), *jobs("b.example", 3)], rate=1000)
    inside = FetchError("host_not_public", host="b.example", address="10.0.0.1")
    first, second = taken(schedule, 0.0), taken(schedule, 0.0)
    assert [job.key for job, _ in schedule.fail(first, inside, 0.0)] == ["a.example 0"]
    assert [job.key for job, _ in schedule.fail(second, inside, 0.0)] == [f"b.example {i}" for i in range(3)]
    assert taken(schedule, 1.0).key == "a.example 1"
