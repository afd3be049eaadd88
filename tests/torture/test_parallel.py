"""Commands that do the same thing at the same time: each has its result, or says who is in its way."""

import json
from pathlib import Path
from typing import Any

import pytest
from downloads import cached_files, download_job
from fork_server import Job, Running
from inputs import LINEAR_PROBE, SGD, TAGGING_CONSTANTS, TRAINING_CONSTANTS, Inputs

AT_ONCE = 2


def training_job(inputs: Inputs, folder: Path, *words: object) -> Job:
    environment = inputs.environment(folder / "cache")
    return Job(["train", *words, "--json"], folder, environment, constants=TRAINING_CONSTANTS)


def models(jobs: list[Running], folder: Path) -> list[bytes]:
    """The models of trainings in `folder` that all succeeded, in runs of their own."""
    ended = [job.wait() for job in jobs]
    assert [one.code for one in ended] == [0] * len(jobs), ended
    paths = [folder / json.loads(one.out)["model"] for one in ended]
    assert len(set(paths)) == len(jobs)
    return [path.read_bytes() for path in paths]


def test_trainings_share_one_feature_cache(server, inputs, tmp_path):
    words = [inputs.photos, *LINEAR_PROBE]
    jobs = [
        server.start(training_job(inputs, tmp_path, *words, "--out", tmp_path / f"run {i}")) for i in range(AT_ONCE)
    ]
    trained = models(jobs, tmp_path)
    features = list((tmp_path / "cache/muslin/features").rglob("*.rows"))
    assert features
    assert not list(tmp_path.rglob(".*.part"))
    again = training_job(inputs, tmp_path, *words, "--out", tmp_path / "again")
    assert len({weights_of(model, tmp_path) for model in [*trained, *models([server.start(again)], tmp_path)]}) == 1
    assert list((tmp_path / "cache/muslin/features").rglob("*.rows")) == features, "nothing was extracted again"


def weights_of(model: bytes, folder: Path) -> bytes:
    from muslin.models.bundle import open_bundle

    (folder / "one.muslin").write_bytes(model)
    return open_bundle(folder / "one.muslin").weights


def test_trainings_of_the_same_second_have_runs_of_their_own(server, inputs, tmp_path):
    words = [inputs.garments, *SGD, "--epochs", "1"]
    models([server.start(training_job(inputs, tmp_path, *words)) for _ in range(AT_ONCE)], tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == AT_ONCE


def test_of_trainings_into_one_folder_one_is_done(server, inputs, tmp_path):
    job = training_job(inputs, tmp_path, inputs.garments, *SGD, "--epochs", "1", "--out", tmp_path / "run")
    ended = [running.wait() for running in [server.start(job) for _ in range(AT_ONCE)]]
    refused = [one for one in ended if one.code]
    assert len(refused) == AT_ONCE - 1, ended
    assert {one.error["code"] for one in refused} <= {"run_locked", "run_exists", "folder_not_empty"}


def test_of_jobs_with_one_output_one_is_done(server, inputs, tmp_path):
    words = ["tag", inputs.model, inputs.catalogue("csv"), "--images", inputs.folder / "images", "-o", "tagged.csv"]
    job = Job([*words, "--json"], tmp_path, inputs.environment(tmp_path / "cache"), constants=TAGGING_CONSTANTS)
    ended = [running.wait() for running in [server.start(job) for _ in range(AT_ONCE)]]
    refused = [one.error["code"] for one in ended if one.code]
    assert len(refused) < AT_ONCE, ended
    assert set(refused) <= {"journal_locked", "output_exists", "job_not_resumed"}
    alone = server.run(Job([*words[:-1], "alone.csv"], tmp_path, inputs.environment(tmp_path / "cache")))
    assert alone.code == 0, alone
    assert (tmp_path / "tagged.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    assert not (tmp_path / "tagged.csv.partial").exists()


@pytest.mark.parametrize("kills", [0, 2])
def test_downloads_into_one_cache(kills: int, server: Any, inputs: Inputs, tiny: dict[str, Any], tmp_path: Path):
    """Also where others are killed meanwhile."""
    jobs = [server.start(download_job(inputs, tiny, tmp_path)) for _ in range(AT_ONCE + kills)]
    for job in jobs[AT_ONCE:]:
        job.kill()
    for ended in [job.wait() for job in jobs[:AT_ONCE]]:
        assert ended.code == 0, ended
    assert server.run(download_job(inputs, tiny, tmp_path)).code == 0
    assert set(cached_files(tmp_path)) == {f"{name}.gz" for name in tiny["files"]}
