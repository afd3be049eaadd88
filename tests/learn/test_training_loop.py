"""The training loop: what it learns, and that an interruption leaves no trace."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.model_selection import train_test_split

from muslin.data import read
from muslin.data.dataset import UNKNOWN, Target, pixel_array
from muslin.data.synthetic import make_garments
from muslin.errors import StoppedError
from muslin.learn.checkpoint import Checkpoint
from muslin.learn.losses import compute_loss
from muslin.learn.modules import Dropout, Net, to_batch, weights_of
from muslin.learn.optimizers import optimizers_for, orthogonalise
from muslin.learn.recipes import RECIPES, SGDRecipe, recipe, recipe_network
from muslin.learn.torch_setup import ComputeSettings, choose_compute_settings
from muslin.learn.training_loop import TrainingControl, fit, learning_rate_factor
from refusals import refuses

COMPUTE = ComputeSettings(threads=1, precision="float32", memory_reused=False)
SGD_RECIPES = [name for name, row in RECIPES.items() if isinstance(row, SGDRecipe)]


def small(name, **changes):
    smaller = {  # their own would take most of these tests' time
        "small-photo": {"widths": (8, 16)},
        "photo-tuned": {"network": "efficientnet-lite0", "frozen_blocks": 11},
    }
    return recipe(name, **{"epochs": 2, "batch_size": 50, **smaller.get(name, {}), **changes})


def net_for(r, shape=(28, 28, 1), classes=5, seed=0):
    target = Target("label", tuple(f"class {i}" for i in range(classes)))
    return Net(recipe_network(r, shape, (target,)), seed)


@pytest.fixture(scope="module")
def garments():
    dataset = make_garments(400, seed=2).dataset
    pixels, labels = pixel_array(dataset), dataset.labels["label"]
    return (pixels[:300], {"label": labels[:300]}), (pixels[300:], {"label": labels[300:]})


def without_times(history):
    return [{name: value for name, value in row.items() if name != "elapsed_s"} for row in history]


@pytest.mark.parametrize("name", SGD_RECIPES)
def test_resumed_training_has_the_same_weights_bit_for_bit(name, garments, tmp_path):
    r = small(name)
    straight = net_for(r)
    history = fit(straight, *garments, r, seed=3, compute=COMPUTE)

    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors")
    for stop_after in (1, 3, 2, 5):
        steps = iter(range(1, 100))
        with pytest.raises(StoppedError):
            fit(
                net_for(r, seed=9 if checkpoint.path.exists() else 0),  # later on the checkpoint's weights hold
                *garments,
                r,
                seed=3,
                compute=COMPUTE,
                control=TrainingControl(
                    checkpoint, should_stop=lambda steps=steps, after=stop_after: next(steps) >= after
                ),
            )
    resumed = net_for(r)
    history2 = fit(resumed, *garments, r, seed=3, compute=COMPUTE, control=TrainingControl(checkpoint))

    expected, found = weights_of(straight), weights_of(resumed)
    assert expected.keys() == found.keys()
    for key in expected:
        assert np.array_equal(expected[key], found[key]), key
    assert without_times(history) == without_times(history2)


@pytest.mark.parametrize("name", SGD_RECIPES)
def test_same_seed_gives_same_weights(name, garments):
    r = small(name, epochs=1)
    nets = [net_for(r, seed=s) for s in (1, 1, 2)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        fit(net, *garments, r, seed=seed, compute=COMPUTE)
    one, again, other = (weights_of(net) for net in nets)
    assert all(np.array_equal(one[key], again[key]) for key in one)
    assert any(not np.array_equal(one[key], other[key]) for key in one)


def test_quick_learns_garments(garments):
    r = small("quick", epochs=8)
    history = fit(net_for(r), *garments, r, seed=0, compute=COMPUTE)
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert history[-1]["validation_accuracy"] > 0.85
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_training_that_max_steps_ends_early_ends_at_full_size(garments):
    r = small("thorough", epochs=12, max_steps=8, micro_batch_size=0)  # 6 an epoch
    net, sides = net_for(r), []
    net.register_forward_pre_hook(lambda module, given: sides.append(given[0].shape[-1]) if module.training else None)
    history = fit(net, *garments, r, seed=0, compute=COMPUTE)
    assert sides == [20] * 6 + [28] * 2
    assert [row["epoch"] for row in history] == [1, 2]


def test_unlabelled_images_do_not_count_in_the_loss():
    r = small("tutorial", epochs=1, dropout=0)
    scores = {"label": torch.randn(6, 5)}
    known = {"label": torch.tensor([0, 1, 2, UNKNOWN, UNKNOWN, 3])}
    kept = torch.tensor([0, 1, 2, 5])
    expected = compute_loss({"label": scores["label"][kept]}, {"label": known["label"][kept]}, r)
    assert torch.allclose(compute_loss(scores, known, r), expected)


def test_diverged_training_is_refused_with_a_learning_rate(garments):
    r = small("tutorial", learning_rate=100, epochs=5, activation="softmax")
    net = net_for(r)
    with torch.no_grad():
        net.layers["conv1"].weight.fill_(1e38)
    with refuses("loss_not_finite", learning_rate=25):
        fit(net, *garments, r, seed=0, compute=COMPUTE)


def test_foreign_and_damaged_checkpoints_are_refused(garments, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors")
    quick = small("quick", epochs=1)
    fit(net_for(quick), *garments, quick, seed=0, compute=COMPUTE, control=TrainingControl(checkpoint))
    tutorial = small("tutorial", epochs=1)
    with refuses("checkpoint_invalid", path=str(checkpoint.path)):
        fit(net_for(tutorial), *garments, tutorial, seed=0, compute=COMPUTE, control=TrainingControl(checkpoint))
    whole = checkpoint.path.read_bytes()
    changed = bytearray(whole)
    changed[-1000] ^= 1
    for damaged in (whole[:1000], bytes(changed)):
        checkpoint.path.write_bytes(damaged)
        with refuses("checkpoint_invalid", path=str(checkpoint.path)):
            fit(net_for(quick), *garments, quick, seed=0, compute=COMPUTE, control=TrainingControl(checkpoint))


@pytest.mark.parametrize(
    ("activation", "stored"), [("sigmoid", "normalised_sigmoids"), ("softmax", "softmax_of_logits")]
)
def test_tutorial_has_the_losses_of_keras_for_20_steps(activation, stored):
    """From the same weights, in the same order, without dropout, both in float64.

    In float32 rounding alone moves these steps by up to 1e-3, in Keras as here: benchmarks/keras_tutorial.py.
    """
    losses, figures = first_steps(activation, stored, 20, torch.float64)
    assert np.abs(np.array(losses) - figures["losses"]).max() < 1e-8


def test_tutorial_in_float32_starts_as_keras_does():
    losses, figures = first_steps("sigmoid", "normalised_sigmoids", 6, torch.float32)
    assert np.abs(np.array(losses) - figures["losses"][:6]).max() < 1e-4


def first_steps(activation, stored, steps, dtype):
    """The loss before each of the first steps, and Keras's reference values."""
    beside = Path(__file__).parent / "data"
    reference = json.loads((beside / "keras_tutorial.json").read_text())[stored]
    initial = load_file(beside / "keras_tutorial.safetensors")
    train = read("fashion-mnist").part("train")
    pixels, labels = pixel_array(train)[: steps * 512], train.labels["label"][: steps * 512]

    r = recipe("tutorial", dropout=0, activation=activation)
    net = net_for(r, classes=10).to(dtype)
    with torch.no_grad():
        for name in ("conv1", "conv2", "dense1", "dense2"):
            kernel = torch.from_numpy(initial[f"{name}.kernel"])
            module = net.layers["head_label" if name == "dense2" else name]
            module.weight.copy_(kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
            module.bias.copy_(torch.from_numpy(initial[f"{name}.bias"]))
    (adam,) = optimizers_for(net, r)
    losses = []
    for start in range(0, len(pixels), 512):
        adam.zero_grad()
        targets = {"label": torch.from_numpy(labels[start : start + 512])}
        loss = compute_loss(net(to_batch(pixels[start : start + 512]).to(dtype)), targets, r)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, reference


def test_tutorial_splits_as_the_article():
    from muslin.workflows.run_folder import split_for_recipe

    dataset = read("fashion-mnist")
    parts = split_for_recipe(dataset, recipe("tutorial"), seed=0)
    train, validation = train_test_split(np.arange(60_000), test_size=0.2, random_state=12345)
    assert np.array_equal(parts.train, train)
    assert np.array_equal(parts.validation, validation)
    assert np.array_equal(parts.test, np.arange(60_000, 70_000))


def test_dropout_drops_its_rate_and_keeps_the_mean():
    net = net_for(small("tutorial"))
    dropout = Dropout(0.25).train()
    dropout.net = [net]
    dropped = dropout(torch.ones(64, 8, 13, 13))
    assert dropped.unique().tolist() == pytest.approx([0, 256 / 192])
    assert abs((dropped == 0).float().mean().item() - 0.25) < 0.005
    assert torch.equal(dropout.eval()(dropped), dropped)


def test_orthogonalise_gives_singular_values_near_one():
    random = torch.Generator().manual_seed(0)
    shapes = [(24, 60), (60, 24), (24, 90), (8, 8)]  # two of a size, one that is tall, one by itself
    matrices = [torch.randn(shape, generator=random) for shape in shapes]
    changes = orthogonalise(matrices, iterations=5)
    assert [tuple(change.shape) for change in changes] == shapes
    for matrix, change in zip(matrices, changes, strict=True):
        lengths = torch.linalg.svdvals(change)
        assert lengths.min() > 0.6
        assert lengths.max() < 1.3
        assert torch.allclose(orthogonalise([matrix.T], iterations=5)[0], change.T, atol=1e-4)
        # the same directions: none is turned into another
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        assert torch.allclose(left.T @ change @ right.T, torch.diag((left.T @ change @ right.T).diagonal()), atol=1e-4)
    nothing = orthogonalise([torch.zeros(4, 9)])[0]
    assert torch.equal(nothing, torch.zeros(4, 9))


def test_learning_rate_follows_warmup_and_schedule():
    linear = recipe("quick", warmup=0.2)
    rates = [learning_rate_factor(linear, done, 10) for done in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert {learning_rate_factor(recipe("tutorial"), done, 10) for done in range(10)} == {1.0}
    late = recipe("quick", warmup=0.9)
    assert max(learning_rate_factor(late, done, 10) for done in range(10)) == 1, "never above the rate that is set"


def test_compute_settings_are_measured_once_and_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = choose_compute_settings(1)
    remembered = tmp_path / "muslin" / "compute.json"
    content = json.loads(remembered.read_text())
    assert [entry["precision"] for entry in content.values()] == [first.precision]
    content = {key: {"precision": "bfloat16"} for key in content}
    remembered.write_text(json.dumps(content))
    assert choose_compute_settings(1).precision == "bfloat16"
    remembered.write_text("{ not json")
    assert choose_compute_settings(1).threads == first.threads
    assert json.loads(remembered.read_text()).keys() == content.keys(), "measured again"


def test_training_imports_neither_compiler_nor_scikit_learn(tmp_path):
    script = (
        "import sys; from muslin.data.synthetic import make_garments; from muslin.workflows.train import train;"
        "train(make_garments(60, seed=1).dataset, settings={'epochs': 1, 'batch_size': 20});"
        "from muslin.learn.torch_setup import *; apply_compute_settings(ComputeSettings(1, 'float32', False));"
        "import torch; assert torch.are_deterministic_algorithms_enabled();"
        "assert not sys.modules.keys() & {'torch._inductor', 'torch._dynamo', 'sklearn', 'pandas'}"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
