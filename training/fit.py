"""The loop that both trainings share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Report = Callable[[int, float], None]
"""Called after each step with its number, from 1, and its loss."""

_WARM_UP = 0.1
_LONGEST_GRADIENT = 1.0
_WEIGHT_DECAY = 0.05


def fit(module: nn.Module, loss: Callable[[], Tensor], steps: int, peak: float, report: Report) -> None:
    """Take ``steps`` steps down the ``loss`` of new batches; the learning rate rises to ``peak`` and falls again."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=_WARM_UP)
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), _LONGEST_GRADIENT)
        optimiser.step()
        schedule.step()
        report(step, value.item())
    module.requires_grad_(requires_grad=False)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw matrices and embeddings with a deviation of 1 / sqrt(width), set biases to 0; norms keep their 1."""
    for name, parameter in module.named_parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5, generator=generator)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
