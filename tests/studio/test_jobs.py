"""Jobs that a page starts, in real processes."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette

import muslin
from asgi_client import ask
from garment_files import write_garment_folders
from muslin.catalogue.journal import Journal
from muslin.errors import MuslinError
from muslin.messages import Message
from muslin.models.bundle import open_bundle
from muslin.storage.locks import locked_folder
from muslin.studio.job_folder import JobFolder
from muslin.studio.job_kinds import tag, training_callbacks
from muslin.studio.job_process import STATE, Job, first_state, read_state
from muslin.studio.jobs import MAX_RUNNING, Jobs
from muslin.studio.jobs_routes import jobs_routes
from muslin.studio.review_routes import ReviewRoom
from muslin.studio.training_routes import training_routes
from muslin.studio.training_values import TrainingRoom, kernels_in_rows
from muslin.workflows.run_folder import Run
from small_shop import small_shop

MAX_S = 300
COUNT = 60
QUICK = {"epochs": 3, "batch_size": 10, "max_steps": 12, "image_size": 28}
DATA = {"data": "photos", "recipe": "quick", "settings": QUICK}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_garment_folders(folder / "photos", COUNT)
    return folder


@pytest.fixture(scope="module")
def trained(shop: Path) -> dict[str, Any]:
    """The job of a run that a page started, stopped and resumed."""
    jobs = Jobs(shop)
    started = jobs.start("train", "Ada", DATA | {"name": "shirts"})
    until(lambda: jobs.get(started["id"])["progress"])
    assert jobs.get(started["id"])["detail"]["run"] == "runs/shirts"
    jobs.stop(started["id"])
    assert ended(jobs, started["id"])["error"].code == "training_stopped"
    resumed = jobs.start("resume", "Bo", {"run": "runs/shirts"})
    return ended(Jobs(shop), resumed["id"])  # as another studio on this folder sees it


def until(is_there: Callable[[], Any]) -> None:
    end = time.monotonic() + MAX_S
    while not is_there():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(jobs: Jobs, job_id: str) -> dict[str, Any]:
    """The job, once it runs no more."""
    until(lambda: not jobs.get(job_id)["is_running"])
    return jobs.get(job_id)


def refusal(jobs: Jobs, kind: str, **params: Any) -> MuslinError:
    with pytest.raises(MuslinError) as error:
        jobs.start(kind, "Ada", params)
    return error.value


def test_a_training_job_makes_the_run_of_the_command_line(
    shop: Path, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained["error"] is None
    assert (trained["kind"], trained["who"], trained["progress"]) == ("resume", "Bo", 1)
    assert trained["result"]["run"] == trained["detail"]["run"] == "runs/shirts"
    monkeypatch.chdir(shop)
    run = muslin.train("photos", recipe="quick", settings=QUICK, out="again", snapshots=True)
    assert Run(shop / "runs/shirts").record["command"] == run.record["command"]
    assert open_bundle(shop / "runs/shirts/model.muslin").weights == open_bundle(run.model).weights


def test_the_room_shows_each_epoch_of_a_run(shop: Path, trained: dict[str, Any]) -> None:
    room, name = TrainingRoom(shop), trained["result"]["run"]
    shown, epochs = room.run({"run": name}), list(range(1, QUICK["epochs"] + 1))
    assert (shown["status"], shown["version"], shown["model"]) == ("finished", None, f"{name}/model.muslin")
    assert (shown["snapshots"], [row["epoch"] for row in shown["history"]]) == (epochs, epochs)
    first, last = (room.epoch({"run": name, "epoch": epoch}) for epoch in (1, 2))
    assert first["targets"][0]["labels"] == last["targets"][0]["labels"]
    assert first["targets"][0]["probabilities"] != last["targets"][0]["probabilities"]
    assert last["kernels"]["count"] > 0
    for epoch, code in ((99, "file_not_in_folder"), (0, "file_not_in_folder"), (True, "request_value")):
        with pytest.raises(MuslinError) as error:
            room.epoch({"run": name, "epoch": epoch})
        assert error.value.code == code


def test_a_training_says_how_many_features_it_has(tmp_path: Path) -> None:
    job = Job(tmp_path, first_state("train", "Ada"))
    training_callbacks(job).log(Message("features_extracted", done=8000, n=32000, network="mobilenet"))
    found = read_state(tmp_path)
    assert found is not None
    assert found["progress"] == 0.25
    assert found["lines"][0].to_dict("zh")["message"] == "已用 mobilenet 提取 32,000 张照片中 8,000 张的特征"


def test_a_table_of_several_targets_is_offered_trained_and_audited(shop: Path, tmp_path: Path) -> None:
    shutil.copytree(shop / "photos", tmp_path / "multi/photos")
    names = sorted(path.relative_to(tmp_path / "multi").as_posix() for path in tmp_path.rglob("*.png"))
    lines = [f"{name},{('red', 'blue')[i % 2]},{('long', 'short')[i // 2 % 2]}" for i, name in enumerate(names)]
    (tmp_path / "multi/t.csv").write_text("\n".join(["image,colour,length", *lines]))
    jobs = Jobs(tmp_path)
    data = DATA | {"data": "multi/t.csv"}
    offered, trained, audited = (
        ended(jobs, jobs.start(kind, "Ada", data)["id"]) for kind in ("offer", "train", "audit")
    )
    assert [job["error"] for job in (offered, trained, audited)] == [None] * 3
    assert [*offered["result"]["targets"]] == ["colour", "length"]
    assert [*Run(tmp_path / trained["result"]["run"]).record["test"]] == ["colour", "length"]


def test_first_kernels_stand_in_rows_of_eight() -> None:
    kernels = np.arange(10 * 9, dtype=np.uint8).reshape(10, 1, 3, 3)
    sheet = kernels_in_rows(kernels)
    assert sheet.shape == (2 * 14 - 2, 8 * 14 - 2, 1)  # 3 weights of 4 px each, and 2 px between
    assert sheet[14, 14, 0] == kernels[9, 0, 0, 0]
    assert sheet[12, 0, 0] == sheet[14, 28, 0] == 255
    assert kernels_in_rows(kernels[:5]).shape == (12, 5 * 14 - 2, 1)


def changed_run(shop: Path, trained: dict[str, Any], name: str, **changes: Any) -> str:
    """A copy of the run whose record says something else."""
    shutil.copytree(shop / trained["result"]["run"], shop / name)
    copy = Run(shop / name)
    copy.write_record(copy.record | changes)
    return name


def test_runs_of_other_versions_and_in_training_are_told(shop: Path, trained: dict[str, Any]) -> None:
    room, record = TrainingRoom(shop), Run(shop / "runs/shirts").record
    old = changed_run(shop, trained, "old", versions=record["versions"] | {"muslin": "0.0.1"})
    assert room.run({"run": old})["version"].params["found"] == "0.0.1"
    killed = changed_run(shop, trained, "killed", status="training")
    assert room.run({"run": killed})["status"] == "interrupted"
    with locked_folder(shop / killed, "run_locked"):
        assert room.run({"run": killed})["status"] == "running"
    for path in (shop / killed / "snapshots").iterdir():
        path.write_bytes(b"PK")
    with pytest.raises(MuslinError) as error:
        room.epoch({"run": killed, "epoch": 1})
    assert error.value.code.startswith("bundle_")
    (shop / killed / "run.json").write_text("{")
    with pytest.raises(MuslinError) as error:
        room.run({"run": killed})
    assert error.value.code == "run_missing"


def test_a_run_with_data_elsewhere_is_not_resumed(shop: Path, trained: dict[str, Any], tmp_path: Path) -> None:
    source = Run(shop / "runs/shirts").record["source"] | {"data": str(tmp_path)}
    moved = changed_run(shop, trained, "moved", source=source)
    assert refusal(Jobs(shop), "resume", run=moved).code == "data_outside"


def test_a_page_tags_and_follows_its_job(shop: Path, trained: dict[str, Any]) -> None:
    app = Starlette(routes=[*jobs_routes(Jobs(shop)), *training_routes(shop)])

    def post(path: str, **body: Any) -> Any:
        status, content = ask(app, "POST", f"/api/jobs/{path}", body, headers=[(b"accept-language", b"zh")])
        assert status == 200, content
        return json.loads(content)

    params = {"data": "photos", "model": f"{trained['result']['run']}/model.muslin"}
    started = post("start", kind="tag", who="Ada", params=params)
    state = ended(Jobs(shop), started["id"])
    assert state["error"] is None
    assert sum(state["result"]["decisions"]["label"].values()) == COUNT
    assert post("get", id=started["id"])["result"]["out"] == "tagged/photos.csv"
    assert not post("stop", id=started["id"])["is_running"]
    assert json.loads(ask(app, "GET", "/api/jobs")[1])["jobs"][0]["id"] == started["id"]
    saved = ask(app, "GET", "/api/tagged", query="file=tagged/photos.csv")
    assert saved == (200, (shop / "tagged/photos.csv").read_bytes())
    with pytest.raises(MuslinError) as error:
        post("get", id="../x")
    assert error.value.code == "job_unknown"
    with pytest.raises(MuslinError) as error:
        ask(app, "GET", "/api/tagged", query="file=../secret.csv")
    assert error.value.code == "file_not_in_folder"


def test_a_refused_job_starts_no_process(shop: Path) -> None:
    jobs = Jobs(shop)
    before = jobs.list()
    (shop / "notes.txt").write_text("x")
    for data in ("../shop", "/etc", ".hidden", "gone"):
        assert refusal(jobs, "train", data=data).code == "file_not_in_folder"
    assert refusal(jobs, "paint").code == "request_choice"
    assert refusal(jobs, "train", data="photos", recipe="best").code == "request_choice"
    assert refusal(jobs, "train", data="photos", name="../x").code == "new_name"
    assert refusal(jobs, "train", data="photos", read_options={"allow_outside": True}).code == "request_choice"
    assert refusal(jobs, "train", data="photos", settings={"weights": "/etc/passwd"}).code == "file_not_in_folder"
    assert refusal(jobs, "tag", data="photos", model="notes.txt").code == "file_not_in_folder"
    assert jobs.list() == before


def test_products_are_put_into_a_review_store_once(shop: Path, trained: dict[str, Any]) -> None:
    jobs, params = Jobs(shop), {"data": "photos", "model": f"{trained['result']['run']}/model.muslin"}
    found = [ended(jobs, jobs.start("review", "Ada", params)["id"]) for _ in range(2)]
    assert [state["error"] for state in found] == [None, None]
    first, again = (state["result"] for state in found)
    assert first["store"] == again["store"] == found[0]["detail"]["store"] == "reviews/photos.db"
    assert (first["products"], first["added"], again["added"]) == (COUNT, COUNT, 0)
    room = ReviewRoom.of(shop)
    assert room.stores.rows()["stores"] == ["reviews/photos.db"]
    opened = room.stores.get("reviews/photos.db")
    assert (opened.store.info.who, room.works.is_allowed(opened)) == ("Ada", True)
    room.close()


def test_few_jobs_run_at_a_time_and_their_end_is_told(shop: Path) -> None:
    jobs = Jobs(shop)
    started = [jobs.start("audit", "Ada", {"data": "photos"})["id"] for _ in range(MAX_RUNNING)]
    assert refusal(jobs, "audit", data="photos").code == "jobs_running"
    assert [each["id"] for each in jobs.list()[:MAX_RUNNING]] == started[::-1]
    for each in started:
        until(lambda each=each: jobs.get(each)["pid"])
    os.kill(jobs.get(started[0])["pid"], signal.SIGKILL)
    for each in started[1:]:
        jobs.stop(each)
    assert [ended(jobs, each)["error"].code for each in started] == ["job_ended", "job_stopped", "job_stopped"]


def test_a_tagging_leaves_the_file_of_another_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = small_shop(tmp_path)
    monkeypatch.chdir(shop)
    (shop / "tagged").mkdir()
    (shop / "job").mkdir()
    params = {"model": "model.muslin", "data": "images", "name": None, "precision": None, "read_options": {}}
    with Journal(shop / "tagged/images.csv.partial", {"model": "another"}, resume=True) as other:
        other.add([["x"]])
        while_running = tag(Job(shop / "job", first_state("tag", "Ada")), params)
    when_interrupted = tag(Job(shop / "job", first_state("tag", "Ada")), params)
    assert (while_running["out"], when_interrupted["out"]) == ("tagged/images-2.csv", "tagged/images-3.csv")
    assert sorted(path.name for path in (shop / "tagged").glob("images.*")) == ["images.csv.partial"]


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"kind": "train"}', "{"])
def test_a_state_that_is_none_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / STATE).write_text(content)
    assert JobFolder(tmp_path).state is None
