"""A small checkpoint, generated on the spot, to try the service without a trained one.

It is not trained: its forecasts are noise around the mean of the history, on the history's own scale.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from .config import CANDLE_WIDTH, ModelConfig, TokenizerConfig
from .model import Kronos
from .source import CONFIG_FILE, WEIGHTS_FILE
from .tokenizer import KronosTokenizer

DEMO_NAME = "demo-untrained"

_SEED = 20250802
_TOKENIZER = TokenizerConfig(
    d_model=64,
    n_heads=4,
    ff_dim=128,
    s1_bits=10,
    s2_bits=10,
    d_in=CANDLE_WIDTH,
    n_enc_layers=2,
    n_dec_layers=2,
    group_size=4,
)
_MODEL = ModelConfig(d_model=64, n_heads=4, ff_dim=128, s1_bits=10, s2_bits=10, n_layers=2)

# Unused here, but other implementations of Kronos require them.
_DROPOUTS = {"ffn_dropout_p": 0.0, "attn_dropout_p": 0.0, "resid_dropout_p": 0.0}
_TOKENIZER_EXTRAS = _DROPOUTS | {"beta": 0.05, "gamma0": 1.0, "gamma": 1.1, "zeta": 0.05}
_MODEL_EXTRAS = _DROPOUTS | {"token_dropout_p": 0.0} | dict(ModelConfig.flags)


def write_demo_checkpoint(folder: Path) -> tuple[Path, Path]:
    """Write the demo checkpoint below ``folder``, the same bytes every time.

    Returns:
        The folders of model and tokenizer, both named ``demo-untrained``.

    Raises:
        OSError: ``folder`` cannot be written to.
    """
    random = np.random.Generator(np.random.PCG64(_SEED))
    tokenizer, model = KronosTokenizer(_TOKENIZER), Kronos(_MODEL)
    _randomise(tokenizer, random)
    _calm(tokenizer.head)
    _randomise(model, random)
    model_folder = _write(folder / "model", model, asdict(_MODEL) | _MODEL_EXTRAS)
    tokenizer_folder = _write(folder / "tokenizer", tokenizer, asdict(_TOKENIZER) | _TOKENIZER_EXTRAS)
    return model_folder, tokenizer_folder


def _randomise(module: nn.Module, random: np.random.Generator) -> None:
    """Xavier's uniform initialisation for matrices, 0 for biases; norms keep their 1.

    Drawn with NumPy's PCG64, whose numbers do not depend on the processor or on PyTorch's version.
    """
    for name, parameter in module.named_parameters():
        if parameter.ndim == 2:
            bound = (6 / sum(parameter.shape)) ** 0.5
            values = (2 * random.random(parameter.shape) - 1) * bound
            parameter.data = torch.from_numpy(values.astype(np.float32))
        elif name.endswith("bias"):
            parameter.data.zero_()


def _calm(head: nn.Linear) -> None:
    """Make the outputs for the four prices nearly equal, so that the high is highest in most candles."""
    weight = head.weight.data
    weight[:4] = weight[3] + 0.1 * (weight[:4] - weight[3])


def _write(folder: Path, module: nn.Module, config: Mapping[str, object]) -> Path:
    target = folder / DEMO_NAME
    target.mkdir(parents=True, exist_ok=True)
    (target / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file(module.state_dict(), target / WEIGHTS_FILE, metadata={"format": "pt"})
    return target
