import math

import pytest
import torch

from kronos_service.forecaster import ForecastInvalid, InvalidOutput, Sampling
from kronos_service.forecaster.sampling import MAX_SEED, MIN_TEMPERATURE, draw

CPU = torch.device("cpu")
# Probabilities .5, .3, .15, .05, out of order.
LOGITS = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()


def drawn(rows: int = 4000, **sampling) -> dict[int, float]:
    choice = Sampling(seed=1, **sampling)
    tokens = draw(LOGITS.expand(rows, -1), choice, choice.generator(CPU))
    return {token: (tokens == token).sum().item() / rows for token in tokens.unique().tolist()}


def test_frequencies_are_the_probabilities():
    assert drawn(top_p=1.0) == pytest.approx({0: 0.15, 1: 0.5, 2: 0.05, 3: 0.3}, abs=0.03)


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        ({"top_p": 0.45}, {1}),
        ({"top_p": 0.55}, {1, 3}),
        ({"top_p": 0.9}, {0, 1, 3}),
        ({"top_p": 0.97}, {0, 1, 2, 3}),
        ({"top_p": 1e-9}, {1}),
        ({"top_k": 1}, {1}),
        ({"top_k": 3}, {0, 1, 3}),
        ({"top_k": 99}, {0, 1, 2, 3}),
        ({"top_k": 3, "top_p": 0.1}, {0, 1, 3}),  # top_p is off while top_k is on
        ({"temperature": 0.01}, {1}),
        ({"temperature": MIN_TEMPERATURE}, {1}),
    ],
)
def test_filters_keep_the_likeliest(sampling, kept):
    assert set(drawn(**sampling)) == kept


def test_equal_logits_at_the_edge_of_top_k_all_stay():
    choice = Sampling(top_k=1, seed=0)
    tokens = draw(torch.zeros(200, 3), choice, choice.generator(CPU))

    assert tokens.unique().tolist() == [0, 1, 2]


def test_temperature_flattens_and_sharpens():
    likeliest = [drawn(temperature=t, top_p=1.0)[1] for t in (0.5, 1.0, 3.0)]

    assert likeliest == sorted(likeliest, reverse=True)


def test_a_generator_is_its_own_and_repeatable_only_with_a_seed():
    def first(seed):
        return torch.rand(4, generator=Sampling(seed=seed).generator(CPU)).tolist()

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    assert first(5) == first(5) != first(6)
    assert first(None) != first(None)
    assert first(MAX_SEED)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator was touched"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("sampling", [{}, {"top_k": 2}])
def test_broken_logits_are_refused(bad, sampling):
    choice = Sampling(**sampling)

    with pytest.raises(InvalidOutput, match="not finite"):
        draw(torch.tensor([[0.0, bad, 1.0]]), choice, choice.generator(CPU))


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": MIN_TEMPERATURE / 2},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": math.nan},
        {"samples": 0},
        {"seed": -1},
        {"seed": MAX_SEED + 1},
    ],
)
def test_values_out_of_range_are_refused_by_name(bad):
    with pytest.raises(ForecastInvalid, match=next(iter(bad))):
        Sampling(**bad)
