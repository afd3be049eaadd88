"""The optimizers that torch has as well: bit for bit the same weights, without the imports of torch's classes."""

import copy
from typing import Any

import pytest
import torch

from muslin.learn.optimizers import AdamW, NesterovSGD, Optimizer


def torch_adamw(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, fused=True)


def torch_sgd(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, momentum=0.85, nesterov=True, fused=True)


@pytest.mark.parametrize(("ours", "theirs"), [(AdamW, torch_adamw), (NesterovSGD, torch_sgd)])
def test_weights_are_those_of_torch(ours: type[Any], theirs: Any) -> None:
    ends = []
    for make in (ours, theirs):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))
        unused = torch.nn.Parameter(torch.ones(3))
        groups = [
            {"params": [net[0].weight, net[0].bias, unused], "lr": 0.02, "weight_decay": 0.1},
            {"params": [net[2].weight], "lr": 0.005, "weight_decay": 0.0},
        ]
        optimizer = make(groups)
        for step in range(5):
            for group in optimizer.param_groups:
                group["lr"] *= 0.9
            net(torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            assert net[0].weight.grad is None
        ends.append(copy.deepcopy([net[0].weight, net[0].bias, net[2].weight, unused]))
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)


def test_an_optimizer_knows_all_its_weights_in_order() -> None:
    one, two = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.ones(1))
    optimizer = Optimizer([{"params": [two], "lr": 1.0}, {"params": [one]}], lr=2.0)
    assert [weight.item() for weight in optimizer.weights] == [1.0, 0.0]
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 2.0]
