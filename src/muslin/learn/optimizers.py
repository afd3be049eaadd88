"""How a step changes the weights: Adam as Keras has it, and Muon for kernels with Nesterov SGD for the rest."""

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from muslin.learn.modules import Net
from muslin.learn.recipes import Recipe


class KerasAdam(Optimizer):
    """Adam (Kingma & Ba 2015) as Keras computes it, so that the article's figures can be met step by step.

    It differs from torch's in two ways that show in the fourth digit of a loss: epsilon is added to the second
    moment before that is corrected (the paper's "epsilon hat", end of section 2), and the betas of the correction
    are rounded to float32, which makes each step some millionths shorter.
    """

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr, "betas": (0.9, 0.999), "epsilon": 1e-7})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
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
    """Momentum made orthogonal: every direction of a kernel's change gets the same length.

    Source: Keller Jordan, Muon (2024), as in airbench: kernels are held at length √filters, the Nesterov momentum
    as a matrix (filters, rest) goes through `orthogonal`.
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.6) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                velocity = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                direction = weight.grad.add(velocity, alpha=group["momentum"])
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                change = orthogonal(direction.reshape(len(weight), -1)).view(weight.shape)
                weight.add_(change, alpha=-group["lr"])


def orthogonal(matrix: Tensor, iterations: int = 3) -> Tensor:
    """The nearest matrix whose directions all have length about one, float32 (rows, columns), by Newton–Schulz.

    Coefficients from airbench: chosen for speed of convergence, so lengths end between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


def optimizers_for(net: Net, recipe: Recipe) -> list[Optimizer]:
    """The recipe's optimizers over `net`'s weights. Each group's `initial_lr` is its rate before the schedule."""
    weights = {name: w for name, w in net.named_parameters() if w.requires_grad}
    optimizers: list[Optimizer]
    if recipe.optimizer == "adam":
        optimizers = [KerasAdam(weights.values(), lr=recipe.learning_rate)]
    else:
        kernels = [w for w in weights.values() if w.ndim == 4]
        shifts = [w for w in weights.values() if w.ndim == 1]
        dense = [w for w in weights.values() if w.ndim == 2]
        groups = [
            {"params": rest, "lr": rate, "weight_decay": recipe.weight_decay / max(rate, 1e-12)}
            for rest, rate in ((shifts, recipe.shift_learning_rate), (dense, recipe.dense_learning_rate))
            if rest
        ]
        optimizers = [
            Muon(kernels, lr=recipe.learning_rate),
            SGD(groups, lr=0.0, momentum=0.85, nesterov=True, fused=True),
        ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers
