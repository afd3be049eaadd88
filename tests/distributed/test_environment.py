"""A worker that would compute other bits than the head is refused."""

from muslin.distributed.environment import check_environment, environment
from muslin.errors import ExecutionError
from refusals import refuses


def test_worker_like_the_head_is_taken() -> None:
    check_environment(environment())


def test_worker_of_another_version_is_refused() -> None:
    head, own = environment(), environment()
    head["versions"] |= {"muslin": "0.0.1"}
    found, expected = [f"muslin {own['versions']['muslin']}"], ["muslin 0.0.1"]
    with refuses("worker_versions", ExecutionError, worker="node2", found=found, expected=expected):
        check_environment(head, "node2")


def test_worker_with_other_instructions_is_refused() -> None:
    head = environment()
    head["processor"].append("avx1024")
    with refuses("worker_processor", ExecutionError, names=["avx1024"]):
        check_environment(head)


def test_packages_of_training_alone_need_not_be_there() -> None:
    head = environment()
    head["versions"].pop("torch", None)
    check_environment(head)
