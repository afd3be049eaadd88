"""Networks as tables: shapes, parameters, and the torch module and ONNX graph that come of them."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from muslin.data.dataset import Target
from muslin.errors import RecipeError
from muslin.learn.export import export
from muslin.learn.layer_kinds import LayerSpec
from muslin.learn.modules import Convolution, Net, channel_mean_std, resize_batch, to_batch
from muslin.learn.networks import NETWORKS, build_network, check_image_scale, describe, frozen_layer_count, is_backbone
from muslin.learn.recipes import RECIPES, recipe_network
from muslin.models.predictor import Predictor

TEN = (Target("label", tuple("abcdefghij")),)


def of_recipe(name, input_shape=(28, 28, 1), targets=TEN):
    return recipe_network(RECIPES[name], input_shape, targets)


def test_tutorial_has_the_shapes_and_parameters_of_the_article():
    described = describe(of_recipe("tutorial"))
    assert described["parameters"] == 45_066
    shapes = {layer["name"]: layer["output"] for layer in described["layers"]}
    assert shapes["conv1"] == [26, 26, 64]
    assert shapes["pool1"] == [13, 13, 64]
    assert shapes["conv2"] == [11, 11, 32]
    assert shapes["pool2"] == [5, 5, 32]
    assert shapes["flatten"] == [800]
    # 26·26·64·9 + 11·11·32·9·64 + 800·32 + 32·10
    assert described["multiply_adds"] == 389_376 + 2_230_272 + 25_600 + 320


def test_shortcuts_add_the_first_result_of_a_block_to_the_last():
    table = build_network("whitened-2-shortcuts", (16, 16, 1), TEN, widths=(8, 8))
    net = Net(table, seed=0).eval()
    outputs = {}
    for name, module in net.layers.items():
        module.register_forward_hook(lambda _, given, result, name=name: outputs.update({name: (given[0], result)}))
    net(torch.rand(2, 1, 16, 16) * 255)
    for block in ("block1", "block2"):
        first, last = outputs[f"{block}_relu1"][1], outputs[f"{block}_norm3"][1]
        assert torch.equal(outputs[f"{block}_relu3"][0], last + first)


@pytest.mark.parametrize("name", RECIPES)
def test_table_counts_the_parameters_that_torch_trains(name):
    table = of_recipe(name)
    net = Net(table, seed=0)
    assert describe(table)["parameters"] == sum(p.numel() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize("input_shape", [(28, 28, 1), (32, 40, 3)])
@pytest.mark.parametrize("name", RECIPES)
def test_exported_graph_predicts_as_torch_does(name, input_shape):
    targets = (*TEN, Target("season", ("summer", "winter")))
    net = Net(of_recipe(name, input_shape, targets), seed=1)
    pixels = np.random.default_rng(0).integers(0, 256, (50, *input_shape), dtype=np.uint8)
    net.fit_normalisation(pixels)
    net.train()
    net(to_batch(pixels))  # batch norm has seen something
    bundle = export(net, targets, transform="fit", golden=pixels[:4], provenance={})
    predicted = Predictor(bundle).predict_pixels(pixels)
    with torch.no_grad():
        expected = net.probabilities(to_batch(pixels))
    for target in targets:
        assert np.abs(predicted[target.name] - expected[target.name].numpy()).max() < 1e-4
        assert np.allclose(predicted[target.name].sum(axis=1), 1, atol=1e-5)


def test_whitening_uses_as_many_directions_as_a_patch_has():
    stems = [describe(of_recipe("small-photo", (32, 32, channels)))["layers"][1] for channels in (1, 3)]
    assert [layer["output"] for layer in stems] == [[31, 31, 2 * 4], [31, 31, 2 * 12]]


def test_exported_results_have_the_layers_names():
    import onnx

    table = of_recipe("tutorial")
    bundle = export(Net(table, 0), TEN, transform="fit", golden=np.zeros((1, 28, 28, 1), np.uint8), provenance={})
    produced = {output for node in onnx.load_from_string(bundle.model).graph.node for output in node.output}
    assert {layer.name for layer in table.layers} <= produced


def test_tta_flip_predicts_the_same_for_the_mirror_image():
    net = Net(of_recipe("quick"), seed=0).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), dtype=np.uint8)
    net.fit_normalisation(pixels)
    with torch.no_grad():
        straight = net.probabilities(to_batch(pixels))["label"]
        turned = net.probabilities(to_batch(pixels[:, :, ::-1].copy()))["label"]
    assert torch.allclose(straight, turned, atol=1e-6)


def test_whitening_decorrelates_training_patches():
    net = Net(of_recipe("quick"), seed=0)
    pixels = np.random.default_rng(0).integers(0, 256, (400, 29, 29, 1), dtype=np.uint8)
    smooth = ((pixels[:, 1:, 1:].astype(int) + pixels[:, :-1, :-1]) // 2).astype(np.uint8)  # neighbours agree
    net.fit_normalisation(smooth)
    with torch.no_grad():
        predicted = net.layers["stem"](net.layers["normalise"](to_batch(smooth)))
    first_half = predicted[:, : predicted.shape[1] // 2].permute(0, 2, 3, 1).flatten(0, 2).double()
    covariance = first_half.T @ first_half / len(first_half)
    assert torch.allclose(covariance.diag(), torch.ones(len(covariance), dtype=torch.double), atol=0.15)
    assert (covariance - torch.diag(covariance.diag())).abs().max() < 0.1


def test_whitening_is_measured_on_images_of_all_the_training_set():
    pixels = np.zeros((6_000, 28, 28, 1), dtype=np.uint8)  # in order of their classes: those of the last are not blank
    pixels[5_000:] = np.random.default_rng(0).integers(0, 256, (1_000, 28, 28, 1), dtype=np.uint8)
    net = Net(of_recipe("quick"), seed=0)
    net.fit_normalisation(pixels)
    with torch.no_grad():
        predicted = net.layers["stem"](net.layers["normalise"](to_batch(pixels[::6])))
    first_half = predicted[:, : predicted.shape[1] // 2].permute(0, 2, 3, 1).flatten(0, 2).double()
    assert torch.allclose((first_half**2).mean(0), torch.ones(first_half.shape[1], dtype=torch.double), atol=0.15)


@pytest.mark.parametrize("channels", [1, 3])
def test_channel_mean_std_is_numpys_in_less_memory(channels):
    pixels = np.random.default_rng(0).integers(0, 200, (15_500, 28, 28, channels), dtype=np.uint8)
    pixels[..., 0] //= 2
    tracemalloc.start()
    mean, std = channel_mean_std(pixels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mean == pytest.approx(pixels.mean(axis=(0, 1, 2)), rel=1e-9)
    assert std == pytest.approx(pixels.std(axis=(0, 1, 2)), rel=1e-9)
    assert peak < pixels.nbytes


@pytest.mark.parametrize("name", [name for name in NETWORKS if not is_backbone(name)])
def test_images_too_small_for_a_network_are_refused(name):
    widths = (64, 32, 32) if name == "tutorial" else (32, 64)
    with pytest.raises(RecipeError) as error:
        build_network(name, (4, 4, 1), TEN, widths=widths)
    assert error.value.code == "images_too_small"
    assert error.value.params["network"] == name


@pytest.mark.parametrize("side", [6, 7, 12, 13])
@pytest.mark.parametrize("padding", [0, 1, "same"])
@pytest.mark.parametrize(("pool", "stride"), [(2, 2), (3, 2), (3, 3)])
def test_rows_that_no_pooling_window_reaches_are_not_computed(side, padding, pool, stride):
    layer = LayerSpec("convolution", "conv", filters=4, kernel_size=3, padding=padding)
    whole = Convolution(layer, 2)
    needed = Convolution(layer, 2, [LayerSpec("max pool", "pool", kernel_size=pool, stride=stride)])
    needed.load_state_dict(whole.state_dict())
    random = torch.Generator().manual_seed(side)
    results = []
    for convolution in (whole, needed):
        images = torch.rand(3, 2, side, side, generator=random.manual_seed(side)).requires_grad_()
        pooled = F.max_pool2d(convolution(images), pool, stride)
        (pooled * torch.arange(pooled.numel()).view_as(pooled)).sum().backward()
        results.append((pooled, images.grad, convolution.weight.grad, convolution.bias.grad))
    computed = needed(torch.zeros(1, 2, side, side)).shape[2]
    assert (computed - pool) % stride == 0, "nothing is computed in vain"
    for with_all, without in zip(*results, strict=True):
        torch.testing.assert_close(without, with_all)


def test_rows_that_a_later_pool_does_not_reach_are_not_computed():
    """28×28, 26×26, 13×13, 11×11, 5×5: the second pool reaches 10×10, for which 12×12, 24×24 and 26×26 suffice."""
    net = Net(build_network("tutorial", (28, 28, 1), TEN, widths=(4, 4, 4)), 0)
    sizes = {}
    for name, layer in net.layers.items():
        layer.register_forward_hook(lambda layer, images, result, name=name: sizes.update({name: result.shape[2:]}))
    pixels = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 255
    outputs = [net(pixels)["label"], net(F.pad(pixels[:, :, :26, :26], (0, 2, 0, 2), value=99.0))["label"]]
    assert {name: tuple(sizes[name]) for name in ("conv1", "pool1", "conv2", "pool2")} == {
        "conv1": (24, 24), "pool1": (12, 12), "conv2": (10, 10), "pool2": (5, 5),
    }  # fmt: skip
    assert torch.equal(*outputs)


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("side", [9, 10, 11, 12, 13, 14])
def test_layers_in_a_row_give_what_all_rows_would_give(side, padding):
    rows = [
        LayerSpec("convolution", "conv1", filters=3, kernel_size=3),
        LayerSpec("relu", "relu"),
        LayerSpec("convolution", "conv2", filters=3, kernel_size=2, padding=padding),
        LayerSpec("max pool", "pool", kernel_size=3, stride=3),
    ]
    images = torch.rand(2, 2, side, side, generator=torch.Generator().manual_seed(side))
    results = []
    for following in ((rows[1:], rows[3:]), ((), ())):
        torch.manual_seed(0)
        first, second = Convolution(rows[0], 2, following[0]), Convolution(rows[2], 3, following[1])
        results.append(F.max_pool2d(second(F.relu(first(images))), 3))
    torch.testing.assert_close(*results)


def test_convolution_takes_images_of_every_size():
    layer = LayerSpec("convolution", "conv", filters=4, kernel_size=3, stride=2, padding="same")
    convolution = Convolution(layer, 1, [LayerSpec("max pool", "pool", kernel_size=2, stride=2)])
    for side in (8, 13, 28):  # 4, 7 and 14 px after it: of 7 the pool reaches 6
        assert convolution(torch.zeros(1, 1, side, side)).shape[2:] == (side // 4 * 2, side // 4 * 2)


def test_resized_image_keeps_its_mean():
    images = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    smaller = resize_batch(images, (14, 14))
    assert smaller.shape == (2, 3, 14, 14)
    torch.testing.assert_close(smaller.mean((2, 3)), images.mean((2, 3)), atol=0.02, rtol=0)
    assert resize_batch(images, (28, 28)) is images


def test_network_that_cannot_take_smaller_images_is_refused():
    with pytest.raises(RecipeError) as error:
        check_image_scale(build_network("tutorial", (28, 28, 1), TEN, widths=(64, 32, 32)), 0.7)
    assert error.value.code == "network_one_size"
    with pytest.raises(RecipeError) as error:
        check_image_scale(build_network("whitened-4", (28, 28, 1), TEN, widths=(32, 64)), 0.1)
    assert error.value.code == "images_too_small"
    assert (error.value.params["height"], error.value.params["width"]) == (3, 3)


@pytest.mark.parametrize(
    ("name", "widths", "code"),
    [
        ("tutorial", (64, 32), "widths_count"),
        ("whitened-2", (), "widths_missing"),
        ("efficientnet-lite0", (32,), "widths_fixed"),
        ("efficientnet", (), "network_unknown"),
    ],
)
def test_network_refuses_wrong_widths_and_names(name, widths, code):
    with pytest.raises(RecipeError) as error:
        build_network(name, (64, 64, 3), TEN, widths=widths)
    assert error.value.code == code


@pytest.mark.parametrize("name", ["conv1", "mirror_start", "relu6_low", "pixels"])
def test_target_named_like_a_part_of_the_graph_is_refused(name):
    with pytest.raises(RecipeError) as error:
        build_network("tutorial", (28, 28, 1), [Target(name, ("a", "b"))], widths=(4, 4, 4))
    assert error.value.code == "target_name_taken"
    assert error.value.params["name"] == name


@pytest.mark.parametrize(
    ("network", "blocks", "code"),
    [("tutorial", 1, "network_without_blocks"), ("efficientnet-lite0", 17, "frozen_blocks_range")],
)
def test_blocks_that_a_network_lacks_are_refused(network, blocks, code):
    widths = (4, 4, 4) if network == "tutorial" else ()
    with pytest.raises(RecipeError) as error:
        frozen_layer_count(build_network(network, (64, 64, 3), (), widths=widths), blocks)
    assert error.value.code == code
