import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from model.kronos import Kronos, KronosTokenizer

from kronos_service.forecaster import DEMO_MODEL, DEMO_TOKENIZER, Sampling, Series, load_checkpoint

DROPOUTS = {"ffn_dropout_p": 0.1, "attn_dropout_p": 0.1, "resid_dropout_p": 0.1}
TOKENIZER = DROPOUTS | {
    "d_in": 6,
    "d_model": 256,
    "n_heads": 4,
    "ff_dim": 512,
    "n_enc_layers": 4,
    "n_dec_layers": 4,
    "s1_bits": 10,
    "s2_bits": 10,
    "beta": 0.05,
    "gamma0": 1.0,
    "gamma": 1.1,
    "zeta": 0.05,
    "group_size": 4,
}
MODEL = DROPOUTS | {"s1_bits": 10, "s2_bits": 10, "token_dropout_p": 0.1, "learn_te": True}
MINI = MODEL | {"n_layers": 4, "d_model": 256, "n_heads": 4, "ff_dim": 512}
BASE = MODEL | {"n_layers": 12, "d_model": 832, "n_heads": 16, "ff_dim": 2048}
SMALL = MODEL | {"n_layers": 8, "d_model": 512, "n_heads": 8, "ff_dim": 1024}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums depend on how many threads share them, and the machine is shared as well."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Oracle:
    """Random checkpoints at the published sizes, written by the reference implementation when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getattr__(self, name: str) -> torch.nn.Module:
        builds = {
            "tokenizer": lambda: KronosTokenizer(**TOKENIZER),
            "mini": lambda: Kronos(**MINI),
            "small": lambda: Kronos(**SMALL),
            "base": lambda: Kronos(**BASE),
        }
        if name not in builds:
            raise AttributeError(name)
        torch.manual_seed(20250802)
        module = builds[name]()
        sharpen(module)
        module.save_pretrained(self.folder / name)
        # An untrained save keeps the module in training mode, where its dropouts would strike.
        module.eval()
        setattr(self, name, module)
        return module


@pytest.fixture(scope="session")
def oracle(tmp_path_factory) -> Oracle:
    return Oracle(tmp_path_factory.mktemp("oracle"))


def sharpen(module: torch.nn.Module) -> None:
    """Make random weights choosy: untouched, attention is nearly uniform and hides mistakes in it."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "q_proj" in name or "k_proj" in name:
                parameter.mul_(2.5)
            elif "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif name.startswith(("head.", "quant_embed")):
                parameter.mul_(1.5)
            elif name.endswith("bias"):
                parameter.add_(0.1 * torch.randn_like(parameter))


@pytest.fixture(scope="session")
def load(oracle):
    """Load one of the reference's checkpoints with our loader."""

    @functools.cache
    def load(name: str, max_context: int | None = None, dtype: str = "float32"):
        assert getattr(oracle, name)
        assert oracle.tokenizer
        folders = str(oracle.folder / name), str(oracle.folder / "tokenizer")
        return load_checkpoint(*folders, max_context=max_context, dtype=dtype)

    return load


@pytest.fixture(scope="session")
def demo_folders() -> tuple[Path, Path]:
    return DEMO_MODEL, DEMO_TOKENIZER


@pytest.fixture(scope="session")
def demo(demo_folders):
    model, tokenizer = demo_folders
    return load_checkpoint(str(model), str(tokenizer), max_context=64)


@pytest.fixture(scope="session")
def make_series():
    """Series of hourly candles that wander like prices do."""

    def make(length: int = 20, horizon: int = 4, *, data_seed: int = 1, **sampling) -> Series:
        random = np.random.default_rng(data_seed)
        close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, length)))
        open_ = close * np.exp(random.normal(0, 0.003, length))
        high = np.maximum(open_, close) * (1 + random.random(length) * 0.005)
        low = np.minimum(open_, close) * (1 - random.random(length) * 0.005)
        volume = random.lognormal(8, 0.5, length)
        candles = np.column_stack((open_, high, low, close, volume, volume * close))
        hours = np.datetime64("2025-02-27T21:00") + np.arange(length + horizon) * np.timedelta64(1, "h")
        stamps = np.column_stack(
            (
                (hours - hours.astype("M8[h]")).astype(np.int64),
                (hours - hours.astype("M8[D]")).astype("m8[h]").astype(np.int64),
                (hours.astype("M8[D]").astype(np.int64) + 3) % 7,
                (hours.astype("M8[D]") - hours.astype("M8[M]")).astype(np.int64) + 1,
                hours.astype("M8[M]").astype(np.int64) % 12 + 1,
            )
        )
        return Series(candles, stamps[:length], stamps[length:], Sampling(**sampling))

    return make
