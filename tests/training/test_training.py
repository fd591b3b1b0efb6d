"""Training at small scale: it learns, and does the same every time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kronos_service.forecaster import load_checkpoint
from kronos_service.forecaster.checkpoint import read_model, read_tokenizer
from training import synthetic, tokenizer
from training.demo import Plan, train, write
from training.windows import LENGTHS, windows

SMALL = Plan(seed=1, candles=256, tokenizer_steps=50, model_steps=30)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Losses by module, and the folders of tokenizer and model."""
    losses = {"tokenizer": [], "model": []}
    halves = train(SMALL, lambda what, _, loss: losses[what].append(loss))
    folder = tmp_path_factory.mktemp("trained")
    write(*halves, folder / "tokenizer", folder / "model")
    return losses, folder


@pytest.mark.parametrize(("what", "steps"), [("tokenizer", 50), ("model", 30)])
def test_the_loss_falls(trained, what, steps):
    losses = trained[0][what]
    assert len(losses) == steps
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_the_same_plan_gives_the_same_files(trained, tmp_path):
    write(*train(SMALL, lambda *_: None), tmp_path / "tokenizer", tmp_path / "model")
    for half in ("tokenizer", "model"):
        for file in ("config.json", "model.safetensors"):
            assert (tmp_path / half / file).read_bytes() == (trained[1] / half / file).read_bytes()


def test_what_it_writes_is_a_checkpoint(trained):
    folder = trained[1]
    assert load_checkpoint(str(folder / "model"), str(folder / "tokenizer"))
    assert read_model(folder / "model").config == SMALL.model
    assert read_tokenizer(folder / "tokenizer").config == SMALL.tokenizer


def test_gradients_pass_through_the_signs(trained):
    folder = trained[1]
    loaded = read_tokenizer(folder / "tokenizer")
    loaded.requires_grad_(requires_grad=True)
    tokenizer.loss(loaded, next(windows(np.random.default_rng(1), 256))).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in loaded.parameters())


def test_the_loss_rises_when_a_high_is_not_highest():
    batch = next(windows(np.random.default_rng(1), 256))
    right = tokenizer._error(batch.z, batch)
    turned = batch.z.clone()
    turned[..., 1], turned[..., 2] = batch.z[..., 2], batch.z[..., 1]
    assert right < 1e-3
    mse = (turned - batch.z).square().mean()
    assert tokenizer._error(turned, batch) > mse + 1e-3


def test_windows_are_of_all_lengths_and_normalised_by_what_is_known():
    # Few enough rows for every length to be followed by another soon.
    batches = windows(np.random.default_rng(1), 64 * LENGTHS[0])
    seen = {}
    while seen.keys() < set(LENGTHS):
        batch = next(batches)
        rows, length, _ = batch.z.shape
        seen[length] = batch
        assert rows * length == 64 * LENGTHS[0]
        assert batch.stamps.shape == (rows, length, 5)
    closes = seen[512].z[..., 3]
    # By the whole window they would be 0 and 1; what is not known may be far off.
    assert (closes.mean(dim=1).abs() > 0.1).any()
    assert closes.abs().max() > 3


class TestCandles:
    made = synthetic.make(np.random.default_rng(5), 200, 336)

    def test_they_are_candles(self):
        open_, high, low, close, volume, amount = np.moveaxis(self.made.candles, -1, 0)
        assert (high >= np.maximum(open_, close)).all()
        assert (low <= np.minimum(open_, close)).all()
        assert (low > 0).all()
        assert (volume >= 0).all()
        np.testing.assert_allclose(open_[:, 1:], close[:, :-1])
        assert ((amount > 0) == (volume > 0)).all()

    def test_their_stamps_are_the_calendar(self):
        stamps = synthetic.calendar(np.array(["2024-02-29T23", "2023-01-01T00"], "datetime64[h]"))
        assert stamps.tolist() == [[0, 23, 3, 29, 2], [0, 0, 6, 1, 1]]

    def test_a_day_resembles_the_day_before(self):
        close = np.log(self.made.candles[..., 3])
        steps = np.diff(close, axis=1)
        steps /= steps.std(axis=1, keepdims=True)
        day, half_day = ((steps[:, lag:] * steps[:, :-lag]).mean() for lag in (24, 12))
        assert day > 0.2
        assert half_day < 0

    def test_noise_comes_in_clusters(self):
        noise, _ = synthetic._clustered(np.random.default_rng(5), 200, 336)
        size = np.abs(np.diff(noise[..., -1], axis=1))
        size -= size.mean(axis=1, keepdims=True)
        assert (size[:, 1:] * size[:, :-1]).mean() > 0.05 * (size**2).mean()

    def test_the_same_seed_makes_the_same(self):
        again = synthetic.make(np.random.default_rng(5), 200, 336)
        assert np.array_equal(again.candles, self.made.candles)
        assert np.array_equal(again.hours, self.made.hours)
