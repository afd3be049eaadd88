"""Clients of others, each in an environment of its own, get the predictions of `muslin predict`."""

import base64
import json
import os
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest

from muslin.models.bundle import Bundle, open_bundle, seal
from muslin.models.prediction_digest import prediction_digest
from muslin.models.predictor import Predictor
from server_process import png, running_server
from small_models import LABEL, small_bundle, with_calibration

CLIENTS = {"triton_calls.py": ["tritonclient[http]"], "kserve_calls.py": ["kserve"]}
INSTALL_S = 600


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The Python of an environment with a client, and what it runs."""
    folder = tmp_path_factory.mktemp("client")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *CLIENTS[request.param]]
    subprocess.run(install, check=True, timeout=INSTALL_S, env=without_muslin())
    return python, Path(__file__).parent / "clients" / request.param


@pytest.mark.long
@pytest.mark.parametrize("bundle", [small_bundle(), small_bundle(channels=3, side=20)], ids=["gray", "colour"])
def test_client_gets_the_predictions(client: tuple[Path, Path], bundle: Bundle, tmp_path: Path) -> None:
    model = tmp_path / "model.muslin"
    seal(with_calibration(bundle), model)
    (tmp_path / "expected.json").write_text(json.dumps(expected(model)))
    with running_server(f"shirts={model}") as served:
        python, calls = client
        command = [python, calls, served.address, tmp_path / "expected.json"]
        subprocess.run(command, check=True, timeout=INSTALL_S, env=without_muslin())


def expected(model: Path) -> dict[str, object]:
    """What a client gets from a server of `model`; the images are its golden ones."""
    pixels = open_bundle(model).golden_pixels
    predictions = [each.to_dict()["predictions"]["label"] for each in Predictor.open(model).predict(list(pixels))]
    return {
        "model": "shirts",
        "digest": prediction_digest(open_bundle(model)),
        "classes": list(LABEL.classes),
        "pixels": pixels.tolist(),
        "files": [base64.b64encode(png(np.squeeze(image))).decode() for image in pixels],
        "predictions": predictions,
    }


def without_muslin() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
