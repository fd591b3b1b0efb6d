"""The checkpoint that comes with the package, on series that it was not trained on."""

import numpy as np
import pytest
import torch
from model.kronos import Kronos, KronosTokenizer

from kronos_service.forecaster import DEMO_MODEL, DEMO_TOKENIZER, load_checkpoint
from kronos_service.forecaster.checkpoint import read_tokenizer
from kronos_service.forecaster.normalise import Scale
from training import held_out, synthetic


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(str(DEMO_MODEL), str(DEMO_TOKENIZER))


def test_it_is_small_and_has_the_window_of_the_others(checkpoint):
    assert (checkpoint.model_name, checkpoint.tokenizer_name) == ("demo", "demo-tokenizer")
    assert checkpoint.max_context == 512
    assert checkpoint.parameters == 446_048
    assert sum(file.stat().st_size for folder in (DEMO_MODEL, DEMO_TOKENIZER) for file in folder.iterdir()) < 2.5e6


def test_it_forecasts_the_rhythm_of_made_up_series(checkpoint):
    figures = held_out.measure(checkpoint)

    assert figures.model < 0.6 * figures.last, figures
    assert figures.model < 0.85 * figures.day_before, figures
    assert 0.7 <= figures.coverage <= 0.9, figures
    assert figures.inconsistent < 0.1, figures


def test_the_reference_loads_it_and_reads_the_same_tokens():
    tokenizer = KronosTokenizer.from_pretrained(DEMO_TOKENIZER, strict=True).eval()
    assert Kronos.from_pretrained(DEMO_MODEL, strict=True)
    made = synthetic.make(np.random.default_rng(held_out.SEED), 4, 300)
    z = torch.from_numpy(np.stack([Scale.of(candles).normalise(candles) for candles in made.candles]))

    with torch.no_grad():
        theirs = tokenizer.encode(z, half=True)
    ours = read_tokenizer(DEMO_TOKENIZER).encode(z)

    assert [tokens.tolist() for tokens in ours] == [tokens.tolist() for tokens in theirs]
    assert all(len(tokens.unique()) > 50 for tokens in ours), "the tokens hardly vary, so they prove little"
