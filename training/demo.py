"""The demo checkpoint: its sizes, its training, and its files in Kronos' own format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from kronos_service.forecaster.config import CANDLE_WIDTH, ModelConfig, TokenizerConfig
from kronos_service.forecaster.model import Kronos
from kronos_service.forecaster.source import CONFIG_FILE, WEIGHTS_FILE
from kronos_service.forecaster.tokenizer import KronosTokenizer

from . import model as forecasting
from . import tokenizer as tokenizing
from .fit import fit, initialise
from .windows import windows

_TOKENIZER = TokenizerConfig(
    d_model=64,
    n_heads=4,
    ff_dim=128,
    s1_bits=8,
    s2_bits=8,
    d_in=CANDLE_WIDTH,
    n_enc_layers=2,
    n_dec_layers=2,
    group_size=4,
)
_MODEL = ModelConfig(d_model=96, n_heads=4, ff_dim=192, s1_bits=8, s2_bits=8, n_layers=3)

_PEAK = 3e-3
"""Highest learning rate."""

# Not used here, but other implementations of Kronos require them.
_DROPOUTS = {"ffn_dropout_p": 0.0, "attn_dropout_p": 0.0, "resid_dropout_p": 0.0}
_TOKENIZER_EXTRAS = _DROPOUTS | {
    "beta": tokenizing.BETA,
    "gamma0": tokenizing.GAMMA_0,
    "gamma": tokenizing.GAMMA,
    "zeta": tokenizing.ZETA,
}
_MODEL_EXTRAS = _DROPOUTS | {"token_dropout_p": 0.0} | dict(ModelConfig.flags)


@dataclass(frozen=True)
class Plan:
    """What is trained, and for how long. The defaults are those of the committed checkpoint.

    Attributes:
        seed: of the weights and of the candles.
        candles: per step, about.
        tokenizer_steps: steps of the tokenizer.
        model_steps: steps of the model.
        tokenizer: sizes of the tokenizer.
        model: sizes of the model.
    """

    seed: int = 20250802
    candles: int = 4096
    tokenizer_steps: int = 500
    model_steps: int = 800
    tokenizer: TokenizerConfig = _TOKENIZER
    model: ModelConfig = _MODEL


def train(plan: Plan, report: Callable[[str, int, float], None]) -> tuple[KronosTokenizer, Kronos]:
    """Train tokenizer and model. On one kind of machine, and with one thread, a plan always gives the same weights.

    Args:
        plan: what to do.
        report: called after each step with "tokenizer" or "model", the step and its loss.
    """
    generator = torch.Generator().manual_seed(plan.seed)
    batches = windows(np.random.default_rng(plan.seed), plan.candles)
    tokenizer, model = KronosTokenizer(plan.tokenizer), Kronos(plan.model)
    initialise(tokenizer, generator)
    initialise(model, generator)

    def tokenizer_loss() -> torch.Tensor:
        return tokenizing.loss(tokenizer, next(batches))

    def model_loss() -> torch.Tensor:
        batch = next(batches)
        return forecasting.loss(model, *tokenizing.tokens(tokenizer, batch), batch.stamps)

    fit(tokenizer, tokenizer_loss, plan.tokenizer_steps, _PEAK, lambda *step: report("tokenizer", *step))
    fit(model, model_loss, plan.model_steps, _PEAK, lambda *step: report("model", *step))
    return tokenizer, model


def write(tokenizer: KronosTokenizer, model: Kronos, tokenizer_folder: Path, model_folder: Path) -> None:
    """Write both as folders with a config.json and a model.safetensors.

    Raises:
        OSError: a folder cannot be written to.
    """
    _write(tokenizer_folder, tokenizer, asdict(tokenizer.config) | _TOKENIZER_EXTRAS)
    _write(model_folder, model, asdict(model.config) | _MODEL_EXTRAS)


def _write(folder: Path, module: nn.Module, config: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    weights = save(module.state_dict(), metadata={"format": "pt"})
    (folder / WEIGHTS_FILE).write_bytes(weights)
