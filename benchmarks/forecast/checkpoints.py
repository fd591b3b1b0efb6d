"""Checkpoints of the public sizes with random weights, which cost the same to run, written by the reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from model.kronos import Kronos, KronosTokenizer

_DROPOUTS = {"ffn_dropout_p": 0.1, "attn_dropout_p": 0.1, "resid_dropout_p": 0.1}
_BITS = {"s1_bits": 10, "s2_bits": 10}
_TOKENIZER = (
    _DROPOUTS
    | _BITS
    | {"d_in": 6, "d_model": 256, "n_heads": 4, "ff_dim": 512, "n_enc_layers": 4, "n_dec_layers": 4}
    | {"beta": 0.05, "gamma0": 1.0, "gamma": 1.1, "zeta": 0.05, "group_size": 4}
)
_MODEL = _DROPOUTS | _BITS | {"token_dropout_p": 0.1, "learn_te": True}

SIZES = {
    "mini": {"d_model": 256, "n_layers": 4, "n_heads": 4, "ff_dim": 512},
    "small": {"d_model": 512, "n_layers": 8, "n_heads": 8, "ff_dim": 1024},
    "base": {"d_model": 832, "n_layers": 12, "n_heads": 16, "ff_dim": 2048},
}
"""Sizes of the public models."""

CONTEXT = 512
"""The longest window in all measurements."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The reference's modules, and the folders in which it saved them."""

    tokenizer: Any
    model: Any
    tokenizer_folder: Path
    model_folder: Path


def build(folder: Path, size: str) -> Reference:
    """Write tokenizer and model of a public size below ``folder``."""
    torch.manual_seed(0)
    tokenizer, model = KronosTokenizer(**_TOKENIZER), Kronos(**_MODEL, **SIZES[size])
    tokenizer_folder, model_folder = folder / "tokenizer", folder / size
    tokenizer.save_pretrained(tokenizer_folder)
    model.save_pretrained(model_folder)
    # Saved and still in training mode, where dropouts strike.
    return Reference(tokenizer.eval(), model.eval(), tokenizer_folder, model_folder)
