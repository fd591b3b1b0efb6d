"""The event loop's lag."""

from __future__ import annotations

import asyncio
import time

from kronos_service.telemetry.loop_lag import LoopLag


def test_a_blocked_loop_shows_while_it_is_blocked_and_after():
    async def block() -> tuple[float, float]:
        lag = LoopLag()
        sampling = asyncio.create_task(lag.sample_forever())
        await asyncio.sleep(0.25)
        time.sleep(0.5)  # noqa: ASYNC251 - this is the fault to be seen
        during = lag.largest_seconds()
        await asyncio.sleep(0.25)
        sampling.cancel()
        return during, lag.largest_seconds()

    during, after = asyncio.run(block())
    assert during > 0.3
    assert after > 0.3


def test_before_the_first_sample_there_is_no_lag():
    assert LoopLag().largest_seconds() == 0
