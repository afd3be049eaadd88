"""Optimizers: Adam as in Keras, AdamW, and Muon for kernels with Nesterov SGD for the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from muslin.learn.modules import Net
from muslin.learn.networks import head_name
from muslin.learn.recipes import SGDRecipe


class KerasAdam(Optimizer):
    """Adam (Kingma & Ba 2015) as Keras computes it, so that the article's losses are met step by step.

    It differs from torch's in two ways that show in the fourth digit of a loss: epsilon is added to the second
    moment before that is corrected (the paper's "epsilon hat", end of section 2), and the betas of the correction
    are rounded to float32, which makes each step some millionths shorter.
    """

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr, "betas": (0.9, 0.999), "epsilon": 1e-7})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state |= {"step": 0, "mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
                state["step"] = int(state["step"]) + 1
                first, second = group["betas"]
                powers = torch.tensor(group["betas"], dtype=torch.float32).to(weight.dtype) ** state["step"]
                scale = float((1 - powers[1]).sqrt() / (1 - powers[0]))
                state["mean"].lerp_(weight.grad, 1 - first)
                state["square"].lerp_(weight.grad.square(), 1 - second)
                divisor = state["square"].sqrt().add_(group["epsilon"])
                weight.addcdiv_(state["mean"], divisor, value=-group["lr"] * scale)


class Muon(Optimizer):
    """Orthogonalised momentum: every direction of a kernel's update gets the same length.

    Source: Keller Jordan, Muon (2024), as in airbench: kernels are kept at length √filters; the Nesterov momentum,
    as a matrix (filters, rest), goes through `orthogonalise`.
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.6) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            directions = []
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                velocity = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                directions.append(weight.grad.add(velocity, alpha=group["momentum"]).reshape(len(weight), -1))
            for weight, change in zip(group["params"], orthogonalise(directions), strict=True):
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                weight.add_(change.view(weight.shape), alpha=-group["lr"])


def orthogonalise(matrices: Sequence[Tensor], iterations: int = 3) -> list[Tensor]:
    """For each matrix, float32 (rows, columns), the nearest one whose singular values are about one.

    Newton–Schulz with airbench's coefficients, chosen for speed of convergence, so singular values end between about
    0.7 and 1.2. Every factor a + bG + cG² is a polynomial in the Gram matrix G, so the iterations run on G alone, for
    all matrices of equal size at once, and the matrix itself is multiplied once: a third of the time for small kernels.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = [matrix.T if matrix.shape[0] > matrix.shape[1] else matrix for matrix in matrices]
    by_size: dict[int, list[int]] = {}
    for place, matrix in enumerate(wide):
        by_size.setdefault(len(matrix), []).append(place)
    results = list(matrices)
    for size, places in by_size.items():
        gram = torch.stack([wide[place] @ wide[place].T for place in places])
        lengths = gram.diagonal(dim1=1, dim2=2).sum(1).sqrt().add_(1e-7).view(-1, 1, 1)
        gram = gram / lengths.square()
        identity = torch.eye(size)
        product = identity / lengths
        for _ in range(iterations):
            factor = torch.baddbmm(a * identity + b * gram, gram, gram, alpha=c)
            product = factor @ product
            gram = factor @ gram @ factor
        for place, turned in zip(places, product, strict=True):
            result = turned @ wide[place]
            results[place] = result.T if len(matrices[place]) != size else result
    return results


def optimizers_for(net: Net, recipe: SGDRecipe) -> list[Optimizer]:
    """The recipe's optimizers over the weights of `net`. `initial_lr` of a group is its rate before the schedule."""
    weights = {name: w for name, w in net.named_parameters() if w.requires_grad}
    optimizers: list[Optimizer]
    if recipe.optimizer == "adam":
        optimizers = [KerasAdam(weights.values(), lr=recipe.learning_rate)]
    elif recipe.optimizer == "adamw":
        optimizers = [AdamW(_adamw_groups(net, weights, recipe), lr=recipe.learning_rate, fused=True)]
    else:
        kernels, dense, biases = ([w for w in weights.values() if w.ndim == n] for n in (4, 2, 1))
        groups = [
            {"params": rest, "lr": rate, "weight_decay": recipe.weight_decay / max(rate, 1e-12)}
            for rest, rate in ((biases, recipe.bias_learning_rate), (dense, recipe.head_learning_rate))
            if rest
        ]
        sgd = SGD(groups, lr=0.0, momentum=0.85, nesterov=True, fused=True)
        optimizers = [Muon(kernels, lr=recipe.learning_rate), sgd]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def _adamw_groups(net: Net, weights: Mapping[str, Tensor], recipe: SGDRecipe) -> list[dict[str, Any]]:
    """Weight decay for kernels and matrices, none for biases and scales; a learning rate of their own for the heads."""
    heads = tuple(f"layers.{head_name(name)}." for name in net.network.heads)
    groups = []
    for is_head, rate in ((False, recipe.learning_rate), (True, recipe.head_learning_rate)):
        ours = [weight for name, weight in weights.items() if name.startswith(heads) == is_head]
        for is_matrix, decay in ((True, recipe.weight_decay), (False, 0.0)):
            if some := [weight for weight in ours if (weight.ndim > 1) == is_matrix]:
                groups.append({"params": some, "lr": rate, "weight_decay": decay})
    return groups
