"""Jobs that a page starts, in real processes."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette

import muslin
from asgi_client import ask
from garment_files import write_garment_folders
from muslin.errors import MuslinError
from muslin.models.bundle import open_bundle
from muslin.studio.jobs import MAX_RUNNING, Jobs
from muslin.studio.jobs_routes import jobs_routes
from muslin.studio.training_routes import training_routes
from muslin.studio.training_values import TrainingRoom, kernels_in_rows
from muslin.workflows.run_folder import Run

MAX_S = 300
COUNT = 60
QUICK = {"epochs": 2, "batch_size": 10, "max_steps": 8, "image_size": 28}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_garment_folders(tmp_path / "shop" / "photos", COUNT)
    return tmp_path / "shop"


def ended(jobs: Jobs, job_id: str) -> dict[str, Any]:
    """The job, once it runs no more."""
    end = time.monotonic() + MAX_S
    while (state := jobs.get(job_id))["is_running"]:
        assert time.monotonic() < end, state
        time.sleep(0.05)
    return state


def refusal(jobs: Jobs, kind: str, **params: Any) -> MuslinError:
    with pytest.raises(MuslinError) as error:
        jobs.start(kind, "Ada", params)
    return error.value


def test_a_training_job_makes_the_run_of_the_command_line(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = Jobs(shop).start("train", "Ada", {"data": "photos", "recipe": "quick", "settings": QUICK})
    state = ended(Jobs(shop), started["id"])  # as another studio on this folder sees it
    assert state["error"] is None
    assert (state["kind"], state["who"], state["progress"]) == ("train", "Ada", 1)
    name = state["result"]["run"]
    assert state["detail"]["run"] == name
    monkeypatch.chdir(shop)
    run = muslin.train("photos", recipe="quick", settings=QUICK, out="again", snapshots=True)
    assert Run(shop / name).record["command"] == run.record["command"]
    assert open_bundle(shop / name / "model.muslin").weights == open_bundle(run.model).weights

    room = TrainingRoom(shop)
    shown = room.run({"run": name})
    assert (shown["status"], shown["snapshots"], shown["model"]) == ("finished", [1, 2], f"{name}/model.muslin")
    assert [row["epoch"] for row in shown["history"]] == [1, 2]
    first, last = (room.epoch({"run": name, "epoch": epoch}) for epoch in (1, 2))
    assert first["targets"][0]["labels"] == last["targets"][0]["labels"]
    assert first["targets"][0]["probabilities"] != last["targets"][0]["probabilities"]
    assert last["kernels"]["count"] > 0
    with pytest.raises(MuslinError) as error:
        room.epoch({"run": name, "epoch": 9})
    assert error.value.code == "file_not_in_folder"
    check_tagging(shop, f"{name}/model.muslin")


def test_first_kernels_stand_in_rows_of_sixteen() -> None:
    kernels = np.arange(18 * 9, dtype=np.uint8).reshape(18, 1, 3, 3)
    sheet = kernels_in_rows(kernels)
    assert sheet.shape == (2 * 14 - 2, 16 * 14 - 2, 1)  # 3 weights of 4 px each, and 2 px between
    assert sheet[14, 14, 0] == kernels[17, 0, 0, 0]
    assert sheet[12, 0, 0] == sheet[14, 28, 0] == 255
    assert kernels_in_rows(kernels[:5]).shape == (12, 5 * 14 - 2, 1)


def check_tagging(shop: Path, model: str) -> None:
    """A page tags and follows its job, in Chinese."""
    app = Starlette(routes=[*jobs_routes(Jobs(shop)), *training_routes(shop)])

    def post(path: str, **body: Any) -> Any:
        status, content = ask(app, "POST", f"/api/jobs/{path}", body, headers=[(b"accept-language", b"zh")])
        assert status == 200, content
        return json.loads(content)

    started = post("start", kind="tag", who="Ada", params={"data": "photos", "model": model})
    state = ended(Jobs(shop), started["id"])
    assert state["error"] is None
    assert sum(state["result"]["decisions"]["label"].values()) == COUNT
    assert post("get", id=started["id"])["result"]["out"] == "tagged/photos.csv"
    assert not post("stop", id=started["id"])["is_running"]
    assert json.loads(ask(app, "GET", "/api/jobs")[1])["jobs"][0]["id"] == started["id"]
    with pytest.raises(MuslinError) as error:
        post("get", id="../x")
    assert error.value.code == "job_unknown"
    with pytest.raises(MuslinError) as error:
        ask(app, "GET", "/api/tagged", query="file=../secret.csv")
    assert error.value.code == "file_not_in_folder"


def test_a_refused_job_starts_no_process(shop: Path, tmp_path: Path) -> None:
    jobs = Jobs(shop)
    (shop / "notes.txt").write_text("x")
    for data in ("../shop", "/etc", ".hidden", "gone"):
        assert refusal(jobs, "train", data=data).code == "file_not_in_folder"
    assert refusal(jobs, "paint").code == "request_choice"
    assert refusal(jobs, "train", data="photos", recipe="best").code == "request_choice"
    assert refusal(jobs, "train", data="photos", name="../x").code == "new_name"
    assert refusal(jobs, "train", data="photos", read_options={"allow_outside": True}).code == "request_choice"
    assert refusal(jobs, "train", data="photos", settings={"weights": "/etc/passwd"}).code == "file_not_in_folder"
    assert refusal(jobs, "tag", data="photos", model="notes.txt").code == "file_not_in_folder"
    assert jobs.list() == []


def test_a_killed_job_is_told_and_its_run_resumes(shop: Path) -> None:
    jobs = Jobs(shop)
    settings = QUICK | {"epochs": 400, "max_steps": 2000}
    started = jobs.start("train", "Ada", {"data": "photos", "recipe": "quick", "settings": settings, "name": "shirts"})
    while not jobs.get(started["id"])["progress"]:
        time.sleep(0.05)
    os.kill(jobs.get(started["id"])["pid"], signal.SIGKILL)
    assert ended(jobs, started["id"])["error"].code == "job_ended"
    resumed = jobs.start("resume", "Ada", {"run": "runs/shirts"})
    jobs.stop(resumed["id"])
    state = ended(jobs, resumed["id"])
    assert state["error"].code == "training_stopped"
    assert [each["id"] for each in jobs.list()] == [resumed["id"], started["id"]]


def test_a_run_with_data_elsewhere_is_not_resumed(shop: Path, tmp_path: Path) -> None:
    def stop(progress: Any) -> None:
        raise KeyboardInterrupt

    data = write_garment_folders(tmp_path / "elsewhere", 60)
    with pytest.raises(KeyboardInterrupt):
        muslin.train(data, recipe="quick", out=shop / "run", settings=QUICK, on_progress=stop)
    assert refusal(Jobs(shop), "resume", run="run").code == "data_outside"


def test_only_a_few_jobs_run_at_a_time_and_an_audit_is_stopped(shop: Path) -> None:
    jobs = Jobs(shop)
    started = [jobs.start("audit", "Ada", {"data": "photos"})["id"] for _ in range(MAX_RUNNING)]
    assert refusal(jobs, "audit", data="photos").code == "jobs_running"
    for each in started:
        while jobs.get(each)["pid"] is None:
            time.sleep(0.02)
        jobs.stop(each)
    assert {getattr(ended(jobs, each)["error"], "code", "done") for each in started} <= {"job_stopped", "done"}
