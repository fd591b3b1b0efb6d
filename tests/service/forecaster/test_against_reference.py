"""The same numbers as the reference implementation, installed as the package ``model``."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from model.kronos import KronosPredictor, auto_regressive_inference

from kronos_service.forecaster import Sampling, Series, forecast, with_amount
from kronos_service.forecaster.checkpoint import read_model, read_tokenizer
from kronos_service.forecaster.normalise import CLIP, Scale
from kronos_service.forecaster.progress import Progress
from kronos_service.forecaster.scheduler import Scheduler

CONTEXT = 64

# Histories and horizons around the window's end, where positions restart, and every way of sampling.
CASES = [
    ("mini", CONTEXT, 1, 1, {}),
    ("mini", CONTEXT, 2, 3, {"samples": 2}),
    ("mini", CONTEXT, 40, 12, {"samples": 3}),
    ("mini", CONTEXT, 40, 12, {"temperature": 0.5}),
    ("mini", CONTEXT, 40, 12, {"temperature": 1.8, "top_p": 1.0}),
    ("mini", CONTEXT, 40, 12, {"temperature": 1e-6}),
    ("mini", CONTEXT, 40, 12, {"temperature": 100.0}),
    ("mini", CONTEXT, 40, 12, {"top_p": 0.3}),
    ("mini", CONTEXT, 40, 12, {"top_p": 1e-6}),
    ("mini", CONTEXT, 40, 12, {"top_k": 1}),
    ("mini", CONTEXT, 40, 12, {"top_k": 7, "top_p": 0.1, "samples": 2}),
    ("mini", CONTEXT, 40, 12, {"top_k": 5000, "temperature": 1.3}),
    ("mini", CONTEXT, 62, 8, {"samples": 5}),
    ("mini", CONTEXT, 63, 8, {}),
    ("mini", CONTEXT, 64, 8, {"top_k": 20}),
    ("mini", CONTEXT, 65, 8, {}),
    ("mini", CONTEXT, 150, 8, {"samples": 2, "top_p": 0.95}),
    ("mini", CONTEXT, 30, CONTEXT, {}),
    ("mini", 512, 507, 8, {}),
    ("mini", 2048, 1100, 3, {}),
    ("small", CONTEXT, 60, 8, {"samples": 2}),
    ("small", CONTEXT, 30, 6, {"temperature": 0.8, "top_k": 50}),
    ("base", CONTEXT, 62, 5, {"samples": 2}),
]


class Noted(Progress):
    """Notes the tokens that are drawn."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.tokens = []

    def accept(self, s1, s2, *, finite):
        self.tokens.append((s1.tolist(), s2.tolist()))
        super().accept(s1, s2, finite=finite)


def run(checkpoint, *many: Series) -> list[Noted]:
    """Forecast several series together."""
    scheduler = Scheduler(checkpoint)
    together = [Noted(checkpoint, series) for series in many]
    for progress in together:
        scheduler.add(progress)
    while scheduler.running:
        scheduler.turn()
    return together


@dataclass
class Expected:
    """What the reference draws and forecasts from the same normalised candles."""

    tokens: list[tuple[list[int], list[int]]]
    paths: np.ndarray


def ask_the_reference(monkeypatch, oracle, name, context, series) -> Expected:
    model, decoded = getattr(oracle, name), []
    decode = oracle.tokenizer.decode
    monkeypatch.setattr(
        oracle.tokenizer, "decode", lambda tokens, **kwargs: (decoded.append(tokens), decode(tokens, **kwargs))[1]
    )
    scale, sampling = Scale.of(series.candles), series.sampling
    torch.manual_seed(sampling.seed)
    z = auto_regressive_inference(
        oracle.tokenizer,
        model,
        torch.from_numpy(scale.normalise(series.candles))[None],
        torch.from_numpy(series.stamps.astype(np.float32))[None],
        torch.from_numpy(series.horizon_stamps.astype(np.float32))[None],
        max_context=context,
        pred_len=series.horizon,
        clip=CLIP,
        T=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        sample_count=sampling.samples,
    )
    s1, s2 = (part[:, -series.horizon :].T.tolist() for part in decoded[0])
    return Expected(list(zip(s1, s2, strict=True)), scale.denormalise(z[0, -series.horizon :]))


@pytest.mark.parametrize(("name", "context", "length", "horizon", "sampling"), CASES)
def test_draws_the_same_tokens_and_forecasts_the_same_candles(
    oracle, load, make_series, monkeypatch, name, context, length, horizon, sampling
):
    """Alone, and as one of eight that come and go."""
    series = make_series(length, horizon, seed=7, **sampling)
    others = [make_series(3 + 9 * i, 1 + 2 * i, data_seed=i, seed=i, samples=1 + i % 3) for i in range(7)]
    expected = ask_the_reference(monkeypatch, oracle, name, context, series)

    (alone,) = run(load(name, context), series)
    crowded = run(load(name, context), *others[:3], series, *others[3:])[3]

    assert alone.tokens == expected.tokens
    assert crowded.tokens == expected.tokens
    for progress in (alone, crowded):
        np.testing.assert_allclose(progress.outcome.mean, expected.paths, rtol=1e-4)


def test_a_series_that_never_changes(oracle, load, make_series, monkeypatch):
    series = make_series(30, 6, seed=3)
    series = dataclasses.replace(series, candles=np.full_like(series.candles, 7.0))

    (ours,) = run(load("mini", CONTEXT), series)

    assert ours.tokens == ask_the_reference(monkeypatch, oracle, "mini", CONTEXT, series).tokens


@pytest.mark.parametrize("length", [1, 2, 64, 200])
def test_encodes_the_same_tokens(oracle, make_series, length):
    z = torch.cat([normalised(make_series(length, data_seed=seed)) for seed in range(4)])

    theirs = oracle.tokenizer.encode(z, half=True)
    ours = read_tokenizer(oracle.folder / "tokenizer").encode(z)

    assert [part.tolist() for part in ours] == [part.tolist() for part in theirs]
    assert len(set(ours[0].flatten().tolist())) > 0.1 * length, "the tokens hardly vary, so they prove little"


def test_the_reference_counts_nought_as_negative(oracle):
    _, _, tokens = oracle.tokenizer.tokenizer(torch.zeros(1, 1, 20), half=True, collect_metrics=False)

    assert [part.item() for part in tokens] == [0, 0]


def test_decodes_any_tokens_to_the_same_candles(oracle):
    s1, s2 = torch.randint(0, 1024, (2, 3, 50), generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        theirs = oracle.tokenizer.decode([s1, s2], half=True)

    torch.testing.assert_close(read_tokenizer(oracle.folder / "tokenizer").decode(s1, s2), theirs)


@pytest.mark.parametrize("name", ["mini", "small"])
def test_the_logits_are_the_same(oracle, make_series, name):
    series = make_series(50)
    s1, s2 = torch.randint(0, 1024, (2, 2, 50), generator=torch.Generator().manual_seed(1))
    stamps = torch.from_numpy(series.stamps).expand(2, -1, -1)
    drawn = torch.tensor([3, 1000])

    reference = getattr(oracle, name)
    model = read_model(oracle.folder / name)
    hidden = model.hidden(s1, s2, stamps)
    with torch.no_grad():
        s1_logits, context = reference.decode_s1(s1, s2, stamps)
        s2_logits = reference.decode_s2(context, drawn[:, None])

    torch.testing.assert_close(model.s1_logits(hidden[:, -1]), s1_logits[:, -1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.s2_logits(hidden, drawn), s2_logits[:, -1], rtol=1e-4, atol=1e-5)


# The reference reads the weekday under a name that pandas 3.1 deprecates.
@pytest.mark.filterwarnings("ignore:Series.dt.weekday is deprecated")
@pytest.mark.parametrize("dropped", [[], ["amount"], ["volume", "amount"], ["volume"]])
def test_predicts_a_data_frame_like_the_reference(oracle, load, make_series, dropped):
    whole = make_series(48, 6)
    times = pd.Series(pd.date_range("2024-12-30 22:45", periods=54, freq="15min"))
    frame = pd.DataFrame(whole.candles, columns=["open", "high", "low", "close", "volume", "amount"])

    torch.manual_seed(3)
    predictor = KronosPredictor(oracle.mini, oracle.tokenizer, device="cpu", max_context=CONTEXT)
    expected = predictor.predict(
        frame.drop(columns=dropped), times[:48], times[48:], 6, T=0.9, sample_count=3, verbose=False
    )

    known = {"volume": frame["volume"].to_numpy(), "amount": frame["amount"].to_numpy()}
    candles = with_amount(
        frame[["open", "high", "low", "close"]].to_numpy(),
        **{name: column for name, column in known.items() if name not in dropped},
    )
    date = times.dt
    stamps = np.column_stack([date.minute, date.hour, date.day_of_week, date.day, date.month]).astype(np.int64)
    series = Series(candles, stamps[:48], stamps[48:], Sampling(temperature=0.9, samples=3, seed=3))
    result = forecast(load("mini", CONTEXT), series)

    np.testing.assert_allclose(result.mean, expected.to_numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Series.dt.weekday is deprecated")
@pytest.mark.parametrize("data_seed", range(12))
def test_in_float32_normalises_like_the_reference_to_the_last_bit(oracle, make_series, monkeypatch, data_seed):
    whole = make_series(400, 1, data_seed=data_seed)
    unit = 10.0 ** (data_seed - 6)
    candles = with_amount(whole.candles[:, :4] * unit, whole.candles[:, 4])
    times = pd.Series(pd.date_range("2024-12-30 22:45", periods=401, freq="15min"))
    seen = []
    predictor = KronosPredictor(oracle.mini, oracle.tokenizer, device="cpu", max_context=CONTEXT)

    def note(x, *_args):
        seen.append(x[0])
        return np.full((1, 1, 6), 1.5, dtype=np.float32)

    monkeypatch.setattr(predictor, "generate", note)
    frame = pd.DataFrame(candles[:, :5], columns=["open", "high", "low", "close", "volume"])
    expected = predictor.predict(frame, times[:400], times[400:], 1)

    scale = Scale.of(candles, "float32")
    assert np.array_equal(scale.normalise(candles), seen[0])
    assert np.array_equal(scale.denormalise(np.full((1, 6), 1.5, dtype=np.float32)), expected.to_numpy(np.float64))


def test_a_forecast_is_normalised_as_the_checkpoint_says(load, make_series):
    tiny = make_series(48, 6, seed=3)
    tiny = dataclasses.replace(tiny, candles=tiny.candles * 1e-6)
    exact, compatible = (
        forecast(dataclasses.replace(load("mini", CONTEXT), precision=precision), tiny).mean
        for precision in ("float64", "float32")
    )
    assert not np.allclose(exact, compatible, rtol=1e-3)


def normalised(series: Series) -> torch.Tensor:
    z = torch.from_numpy(Scale.of(series.candles).normalise(series.candles))
    assert z.abs().max() <= CLIP
    return z[None]
