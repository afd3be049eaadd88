"""A deep network is shown stage by stage, with totals; a small one layer by layer."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from command_line import invoke
from muslin.data.dataset import Target
from muslin.learn.layer_kinds import layer_detail
from muslin.learn.networks import NETWORKS, build_network, describe, is_backbone
from muslin.models.bundle import seal
from muslin.reporting.network_stages import MAX_LAYERS, network_stages
from muslin.reporting.svg.network_diagram import network_diagram
from muslin.text import number_text, percent
from small_models import small_bundle

BACKBONES = [name for name in NETWORKS if is_backbone(name)]


def described(name: str) -> dict[str, object]:
    return describe(build_network(name, (64, 64, 3), (Target("label", ("a", "b")),), widths=()))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_deep_network_is_folded_by_the_size_of_its_blocks(name: str) -> None:
    network = described(name)
    stages = network_stages(network["layers"])
    assert len(stages) <= 20
    assert [layer for stage in stages for layer in stage.layers] == network["layers"]
    assert sum(stage.parameters for stage in stages) == network["parameters"]
    assert sum(stage.row["multiply_adds"] for stage in stages) == network["multiply_adds"]
    folded = [stage for stage in stages if len(stage.layers) > 1]
    assert folded[0].title == "block 1"
    for before, after in pairwise(folded):
        assert before.output != after.output
    assert stages[0].title == network["layers"][0]["name"]


def test_a_small_network_keeps_a_row_per_layer() -> None:
    layers = [{"name": f"layer{i}", "output": [4, 4, 1]} for i in range(MAX_LAYERS)]
    assert [stage.row for stage in network_stages(layers)] == layers


def test_layers_without_blocks_are_folded_by_size() -> None:
    layers = [{"name": f"layer{i}", "output": [64 >> i // 30, 64 >> i // 30, i], "parameters": 2} for i in range(90)]
    stages = network_stages(layers)
    assert [stage.title for stage in stages] == ["layer0 to layer29", "layer30 to layer59", "layer60 to layer89"]
    assert [stage.parameters for stage in stages] == [60, 60, 60]


def test_layers_of_which_nothing_is_known_are_folded() -> None:
    (stage,) = network_stages([{}] * 100)
    assert (len(stage.layers), stage.parameters, stage.output) == (100, 0, ())


def test_the_drawing_of_a_deep_network_is_short() -> None:
    drawing = network_diagram(described(BACKBONES[-1]))
    height = float(drawing.split('viewBox="0 0 ')[1].split()[1].rstrip('">'))
    assert height < 1500


def test_inspect_folds_a_deep_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network = described(BACKBONES[0])
    seal(replace(small_bundle(), network=network), tmp_path / "m.muslin")
    result = invoke(capfd, "inspect", tmp_path / "m.muslin")
    assert "blocks 2–3" in result.out
    assert "block2_expand" not in result.out
    assert invoke(capfd, "inspect", tmp_path / "m.muslin", "--json").json["network"]["layers"] == network["layers"]


@pytest.mark.parametrize(("mean", "std"), [(0.0, 255.0), (-0.0, -255.0), (1e-30, 255.0), (0.0, -1.0)])
def test_zero_has_no_sign(mean: float, std: float) -> None:
    assert layer_detail({"kind": "scale", "mean": mean, "std": std}).startswith("pixel values 0 to 255 become 0 to ")
    assert percent(-0.0) == "0.0 %"
    assert number_text(-0.0004, "+.1f") == "0.0"
    assert number_text(-0.1, "+.1f") == "−0.1"
