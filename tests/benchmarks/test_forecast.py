"""The benchmark of the forecaster compares what is equal, and says when it is not."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from benchmarks.forecast import checkpoints, ratio
from benchmarks.forecast.cases import Case
from benchmarks.forecast.floors import Floors
from kronos_service.forecaster import load_checkpoint

TINY = Case("mini", 20, 3)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return checkpoints.build(tmp_path_factory.mktemp("reference"), "mini")


def test_both_forecast_the_same(reference):
    ours = load_checkpoint(str(reference.model_folder), str(reference.tokenizer_folder))
    found = ratio.measure(TINY, reference, ours, rounds=2)
    assert found.same
    assert min(found.reference, found.ours, found.times) > 0


def test_another_model_is_noticed(reference, tmp_path):
    torch.manual_seed(1)
    other = checkpoints.Kronos(**checkpoints._MODEL, **checkpoints.SIZES["mini"])
    other.save_pretrained(tmp_path / "mini")
    ours = load_checkpoint(str(tmp_path / "mini"), str(reference.tokenizer_folder))
    assert not ratio.measure(TINY, reference, ours, rounds=1).same


class TestFloor:
    floors = Floors(gflops=100, gibs={14: 20, 94: 8})

    def test_a_step_of_small_reads_its_weights(self):
        steps = [self.floors.seconds(Case("small", 2, horizon)) for horizon in (2, 12)]
        assert (steps[1] - steps[0]) / 10 == pytest.approx(94 / 1024 / 8, rel=0.1)

    @pytest.mark.parametrize("more", [{"history": 200}, {"horizon": 24}, {"samples": 5}, {"size": "small"}])
    def test_more_takes_longer(self, more):
        case = Case("mini", 100, 12)
        assert self.floors.seconds(dataclasses.replace(case, **more)) > self.floors.seconds(case)

    def test_a_window_that_slides_is_computed_again(self):
        before, after = (self.floors.seconds(Case("small", 400, horizon)) for horizon in (113, 114))
        assert after - before > 10 * (before - self.floors.seconds(Case("small", 400, 112)))
