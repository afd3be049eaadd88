"""Optimizers: Adam as in Keras, AdamW, and Muon for kernels with Nesterov SGD for the rest."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from muslin.learn.modules import Net
from muslin.learn.networks import head_name
from muslin.learn.recipes import SGDRecipe


class Optimizer:
    """Groups of weights with their settings, and what is remembered of each weight, under the names of torch.optim.

    The classes of torch.optim import torch's compiler at their first step, which takes longer than a short training:
    2.5 s of processor time.

    Attributes:
        param_groups: per group its weights, `params`, and its settings.
        state: what is remembered of a weight between steps.
    """

    def __init__(self, groups: Sequence[Mapping[str, Any]], **defaults: Any) -> None:
        self.param_groups = [{**defaults, **group} for group in groups]
        self.state: dict[Tensor, dict[str, Any]] = {weight: {} for weight in self.weights}

    @property
    def weights(self) -> list[Tensor]:
        """The weights of all groups, in order."""
        return [weight for group in self.param_groups for weight in group["params"]]

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights that have a gradient."""
        for group in self.param_groups:
            if weights := [weight for weight in group["params"] if weight.grad is not None]:
                self.change(weights, [weight.grad for weight in weights], group)

    def change(self, weights: list[Tensor], gradients: list[Tensor], group: Mapping[str, Any]) -> None:
        """Change some weights of a group by their gradients."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.grad = None


class KerasAdam(Optimizer):
    """Adam (Kingma & Ba 2015) as Keras computes it, so that the article's losses are met step by step.

    It differs from torch's in two ways that show in the fourth digit of a loss: epsilon is added to the second
    moment before that is corrected (the paper's "epsilon hat", end of section 2), and the betas of the correction
    are rounded to float32, which makes each step some millionths shorter.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float) -> None:
        super().__init__([{"params": list(weights)}], lr=lr, betas=(0.9, 0.999), epsilon=1e-7)

    def change(self, weights: list[Tensor], gradients: list[Tensor], group: Mapping[str, Any]) -> None:
        for weight, gradient in zip(weights, gradients, strict=True):
            state = self.state[weight]
            if not state:
                state |= {"step": 0, "mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
            state["step"] = int(state["step"]) + 1
            first, second = group["betas"]
            powers = torch.tensor(group["betas"], dtype=torch.float32).to(weight.dtype) ** state["step"]
            scale = float((1 - powers[1]).sqrt() / (1 - powers[0]))
            state["mean"].lerp_(gradient, 1 - first)
            state["square"].lerp_(gradient.square(), 1 - second)
            divisor = state["square"].sqrt().add_(group["epsilon"])
            weight.addcdiv_(state["mean"], divisor, value=-group["lr"] * scale)


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), by torch's fused kernel."""

    def __init__(self, groups: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(groups, betas=(0.9, 0.999), epsilon=1e-8)

    def change(self, weights: list[Tensor], gradients: list[Tensor], group: Mapping[str, Any]) -> None:
        for weight in weights:
            if not self.state[weight]:
                moments = {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}
                self.state[weight] = {"step": torch.zeros((), dtype=torch.float32), **moments}
        means, squares, steps = (
            [self.state[weight][key] for weight in weights] for key in ("exp_avg", "exp_avg_sq", "step")
        )
        adamw(
            weights, gradients, means, squares, [], steps, fused=True, amsgrad=False, maximize=False, lr=group["lr"],
            beta1=group["betas"][0], beta2=group["betas"][1], weight_decay=group["weight_decay"], eps=group["epsilon"],
        )  # fmt: skip


class NesterovSGD(Optimizer):
    """Gradient descent with Nesterov momentum, by torch's fused kernel."""

    def __init__(self, groups: Sequence[Mapping[str, Any]], momentum: float = 0.85) -> None:
        super().__init__(groups, momentum=momentum)

    def change(self, weights: list[Tensor], gradients: list[Tensor], group: Mapping[str, Any]) -> None:
        momenta: list[Tensor | None] = [self.state[weight].get("momentum_buffer") for weight in weights]
        sgd(
            weights, gradients, momenta, fused=True, nesterov=True, maximize=False, lr=group["lr"],
            momentum=group["momentum"], weight_decay=group["weight_decay"], dampening=0,
        )  # fmt: skip
        for weight, momentum in zip(weights, momenta, strict=True):
            self.state[weight]["momentum_buffer"] = momentum


class Muon(Optimizer):
    """Orthogonalised momentum: every direction of a kernel's update gets the same length.

    Source: Keller Jordan, Muon (2024), as in airbench: kernels are kept at length √filters; the Nesterov momentum,
    as a matrix (filters, rest), goes through `orthogonalise`.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.6) -> None:
        super().__init__([{"params": list(weights)}], lr=lr, momentum=momentum)

    def change(self, weights: list[Tensor], gradients: list[Tensor], group: Mapping[str, Any]) -> None:
        directions = []
        for weight, gradient in zip(weights, gradients, strict=True):
            state = self.state[weight]
            if not state:
                state["momentum"] = torch.zeros_like(weight)
            velocity = state["momentum"].mul_(group["momentum"]).add_(gradient)
            directions.append(gradient.add(velocity, alpha=group["momentum"]).reshape(len(weight), -1))
        for weight, turned in zip(weights, orthogonalise(directions), strict=True):
            weight.mul_(len(weight) ** 0.5 / weight.norm())
            weight.add_(turned.view(weight.shape), alpha=-group["lr"])


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
        optimizers = [AdamW(_adamw_groups(net, weights, recipe))]
    else:
        kernels, dense, biases = ([w for w in weights.values() if w.ndim == n] for n in (4, 2, 1))
        groups = [
            {"params": rest, "lr": rate, "weight_decay": recipe.weight_decay / max(rate, 1e-12)}
            for rest, rate in ((biases, recipe.bias_learning_rate), (dense, recipe.head_learning_rate))
            if rest
        ]
        optimizers = [Muon(kernels, lr=recipe.learning_rate), NesterovSGD(groups)]
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
