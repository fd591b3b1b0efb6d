import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kronos_service.forecaster import ForecastInvalid, Sampling
from kronos_service.forecaster.sampling import MAX_SEED, MIN_TEMPERATURE, Choice, draw, noise

CPU = torch.device("cpu")
# Probabilities .5, .3, .15, .05, out of order.
LOGITS = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()


def draw_all(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    return draw(logits, noise(*logits.shape, sampling.generator()), Choice.of([sampling] * len(logits), CPU))


def drawn(rows: int = 4000, **sampling) -> dict[int, float]:
    tokens = draw_all(LOGITS.expand(rows, -1), Sampling(seed=1, **sampling))
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
    tokens = draw_all(torch.zeros(200, 3), Sampling(top_k=1, seed=0))

    assert tokens.unique().tolist() == [0, 1, 2]


def test_temperature_flattens_and_sharpens():
    likeliest = [drawn(temperature=t, top_p=1.0)[1] for t in (0.5, 1.0, 3.0)]

    assert likeliest == sorted(likeliest, reverse=True)


def test_a_generator_is_its_own_and_repeatable_only_with_a_seed():
    def first(seed):
        return torch.rand(4, generator=Sampling(seed=seed).generator()).tolist()

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    assert first(5) == first(5) != first(6)
    assert first(None) != first(None)
    assert first(MAX_SEED)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator was touched"


def test_every_row_is_drawn_by_its_own_settings():
    settings = [Sampling(top_k=1), Sampling(top_p=0.6), Sampling(temperature=MIN_TEMPERATURE), Sampling(top_p=1.0)]
    logits = LOGITS.repeat(4000, 1)
    choice = Choice.of(settings * 1000, CPU)

    tokens = draw(logits, noise(4000, 4, Sampling(seed=2).generator()), choice).view(1000, 4)

    assert [set(tokens[:, row].tolist()) for row in range(4)] == [{1}, {1, 3}, {1}, {0, 1, 2, 3}]


@given(
    st.integers(0, 2**32),
    st.floats(0.05, 20),
    st.one_of(st.tuples(st.integers(1, 40), st.just(0.9)), st.tuples(st.just(0), st.floats(0.01, 1))),
)
def test_a_race_draws_what_sorting_and_filtering_would(seed, temperature, limits):
    """As :func:`torch.multinomial` does from the same generator, over the tokens that sorting leaves."""
    top_k, top_p = limits
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    logits = 3 * torch.randn(5, 30, generator=torch.Generator().manual_seed(seed))
    kept = (logits / temperature).softmax(dim=-1)
    ordered, order = kept.sort(descending=True)
    places = torch.arange(30).expand(5, -1)
    leaves = places >= top_k if top_k else ordered.cumsum(dim=-1) - ordered > top_p
    kept = kept.masked_fill(leaves.scatter(-1, order, leaves), 0)

    expected = torch.multinomial(kept, 1, generator=sampling.generator()).squeeze(-1)

    assert draw_all(logits, sampling).tolist() == expected.tolist()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("sampling", [{}, {"top_k": 2}])
def test_broken_logits_spoil_no_other_row_and_end(bad, sampling):
    logits = torch.tensor([[0.0, bad, bad], [0.0, 50.0, 0.0]])

    assert draw_all(logits, Sampling(seed=0, **sampling))[1] == 1


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
