"""The arithmetic and the attributions of a photo model of fifty convolutions, on a photo."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import muslin
from muslin.data.synthetic import make_garments
from muslin.explain.arithmetic import arithmetic
from muslin.explain.attribution import attribution_layers
from muslin.explain.inspection import InspectedModel, Inspection

SMALL = {"network": "efficientnet-lite0", "weights": "random", "image_size": 48, "epochs": 2}
VALUES = 80


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> InspectedModel:
    folder = tmp_path_factory.mktemp("photo")
    garments = make_garments(30, seed=2, size_px=48, colour=True).dataset
    (target,) = garments.targets
    for number, pixels in enumerate(garments.images):
        folder_of_class = folder / "photos" / target.classes[garments.labels[target.name][number]]
        folder_of_class.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder_of_class / f"{number}.png")
    run = muslin.train(folder / "photos", recipe="photo", out=folder / "run", settings=SMALL)
    return InspectedModel.open(Path(run.model))


@pytest.mark.slow
def test_arithmetic_and_attribution_of_a_photo_model(inspected: InspectedModel) -> None:
    inspection = Inspection(inspected, inspected.bundle.golden_pixels[0], preprocessed=True)
    numbers = np.random.default_rng(0)
    layers = inspected.layered.layers
    assert sum(layer.kind == "depthwise convolution" for layer in layers) > 10
    assert any(layer.residual for layer in layers)
    for _ in range(VALUES):
        layer = layers[numbers.integers(len(layers))]
        index = [int(numbers.integers(side)) for side in layer.shape]
        result = arithmetic(inspection.trace, layer.name, index)
        assert result["sum"] == pytest.approx(inspection.trace.of(layer.name)[tuple(index)], rel=1e-4, abs=1e-4)
        assert result["matches_runtime"]
    (target,) = inspected.bundle.targets
    label = target.classes[1]
    score = inspection.predictions[target.name]["scores"][label]
    exact = 0
    for name in attribution_layers(inspected.layered, target.name)[-6:]:
        attribution = inspection.attribute(target.name, label, layer=name)
        if attribution.is_exact:
            exact += 1
            assert attribution.cells.sum() + attribution.bias == pytest.approx(score, rel=1e-4, abs=1e-4)
    assert exact
