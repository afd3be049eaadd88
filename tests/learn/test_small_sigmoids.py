"""The tutorial's probabilities are equal in torch and in ONNX Runtime, for every range of scores."""

import numpy as np
import torch

from muslin.data.dataset import Target
from muslin.learn.export import export
from muslin.learn.modules import Net
from muslin.learn.recipes import RECIPES, recipe_network
from muslin.models.predictor import Predictor

LABEL = Target("label", tuple("abcdefghij"))


def test_small_sigmoids_are_equal_in_torch_and_onnx_runtime() -> None:
    net = Net(recipe_network(RECIPES["tutorial"], (28, 28, 1), (LABEL,)), 0)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 28, 28, 1), np.uint8)
    head = dict(net.named_parameters())
    weight, bias = head["layers.head_label.weight"], head["layers.head_label.bias"]
    glorot = weight.detach().clone()
    for factor, shift in ((1, 0), (30, -8), (30, -14), (30, -30), (30, 20)):
        with torch.no_grad():
            weight.copy_(factor * glorot)
            bias.fill_(shift)
        bundle = export(net, (LABEL,), transform="fit", golden=pixels, provenance={})
        predicted = Predictor(bundle, threads=1).predict_pixels(pixels)["label"]
        np.testing.assert_allclose(predicted, bundle.golden_probabilities["label"], atol=1e-5)
