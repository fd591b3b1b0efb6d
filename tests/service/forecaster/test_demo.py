import json

import numpy as np
from model.kronos import Kronos, KronosTokenizer

from kronos_service.forecaster import forecast, load_checkpoint, write_demo_checkpoint


def test_is_the_same_every_time(tmp_path):
    first, again = (write_demo_checkpoint(tmp_path / name) for name in ("a", "b"))

    for one, other in zip(first, again, strict=True):
        for file in ("config.json", "model.safetensors"):
            assert (one / file).read_bytes() == (other / file).read_bytes()


def test_can_be_written_again_in_place(tmp_path):
    assert write_demo_checkpoint(tmp_path) == write_demo_checkpoint(tmp_path)


def test_loads_like_any_other(demo_folders):
    model, tokenizer = demo_folders

    checkpoint = load_checkpoint(str(model), str(tokenizer))

    assert (checkpoint.model_name, checkpoint.tokenizer_name) == ("demo-untrained", "demo-untrained")
    assert (checkpoint.model.config.s1_bits, checkpoint.model.config.s2_bits) == (10, 10)
    assert checkpoint.max_context == 512
    assert checkpoint.parameters < 500_000


def test_the_reference_loads_it_too(demo_folders):
    for folder, kind in zip(demo_folders, (Kronos, KronosTokenizer), strict=True):
        assert kind.from_pretrained(folder, strict=True)
        assert json.loads((folder / "config.json").read_text())["s1_bits"] == 10


def test_forecasts_look_like_candles_of_the_history(demo, make_series):
    series = make_series(60, 24, samples=20, seed=1)

    paths = forecast(demo, series).paths

    z = (paths - series.candles.mean(axis=0)) / series.candles.std(axis=0)
    assert 0.2 < z.std() < 2
    open_, high, low, close = (paths[..., column] for column in range(4))
    proper = (high >= np.maximum(open_, close)) & (low <= np.minimum(open_, close))
    assert proper.mean() > 0.5
