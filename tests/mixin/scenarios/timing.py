"""How long each alert takes with its defaults: from the fault until it fires, and from the mending until it resolves.

Both are the sum of what an alert waits for: one evaluation, the part of its window that brings it over the threshold,
and `for`; then the part of the window that brings it back, and `keepFiringFor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulate import HOUR, MINUTE, Instance, every

from scenarios.scenario import Scenario, many, one

BROKEN = 30 * MINUTE
"""When each fault begins."""


@dataclass(frozen=True)
class Onset:
    """A fault from BROKEN until `mended`, and the seconds until its alert fires and, if ever, resolves."""

    instances: list[Instance]
    fires: int
    resolves: int | None
    mended: float = BROKEN + HOUR


def within(value: float, otherwise: float, mended: float = BROKEN + HOUR) -> Callable[[float], float]:
    """A gauge that has another value while the fault lasts."""
    return lambda time: value if BROKEN <= time < mended else otherwise


MENDED = BROKEN + HOUR
LASTS = {"start": BROKEN, "stop": MENDED}
WELL = every(10, stop=3 * HOUR)
DOWN = ((BROKEN, MENDED),)
CRASHES = ((1200, 1230), (1500, 1530), (BROKEN - 30, BROKEN))

ONSETS = {
    "KronosErrorBudgetBurn": Onset(one(WELL, every(1, status="error", **LASTS)), 210, 900),
    "KronosEventLoopBlocked": Onset(one(gauges={"kronos_event_loop_lag_seconds": within(3, 0.01)}), 300, 300),
    "KronosExcessiveRateLimiting": Onset(
        one(WELL, every(0.5, status="rate_limited", client="greedy", **LASTS)), 750, 450
    ),
    "KronosHighErrorRate": Onset(one(WELL, every(1, status="error", **LASTS)), 330, 780),
    "KronosHighGpuMemoryUsage": Onset(
        one(gauges={"kronos_device_memory_used_bytes": within(95, 50), "kronos_device_memory_limit_bytes": 100}),
        900,
        300,
    ),
    "KronosHighLatency": Onset(one(WELL, every(1, seconds=6, model=0.1, **LASTS)), 630, 600),
    "KronosHighMemoryUsage": Onset(one(gauges={"process_resident_memory_bytes": within(950, 500)}), 180, 300),
    "KronosHighTimeoutRate": Onset(one(WELL, every(1, status="timeout", seconds=120, **LASTS)), 630, 600),
    "KronosHistogramsMissing": Onset(
        one(every(20, stop=3 * HOUR), lost={"kronos_request_duration_seconds": BROKEN}), 1170, None
    ),
    "KronosInstanceNotReady": Onset(many(3, Instance("i1", gauges={"kronos_model_ready": within(0, 1)})), 900, 0),
    "KronosLabelsTaken": Onset(
        [*one(), Instance("b", gauges={"kronos_concurrent_requests": 1}, taken={"route": "x"}, **LASTS)], 900, 0
    ),
    "KronosLatencyBudgetBurn": Onset(one(WELL, every(1, seconds=6, model=0.1, **LASTS)), 870, 840),
    "KronosLogLinesLost": Onset(one(events={"kronos_log_lines_lost_total": [BROKEN]}), 0, 1800, BROKEN),
    "KronosMetricsMissing": Onset([*one(), Instance("b", foreign=True, **LASTS)], 600, 0),
    "KronosModelNotReady": Onset(one(gauges={"kronos_model_ready": within(0, 1)}), 600, 0),
    "KronosModelStuck": Onset(
        one(gauges={"kronos_model_call_seconds": lambda t: t - BROKEN if BROKEN <= t < MENDED else 0}), 210, 0
    ),
    "KronosNothingSucceeds": Onset(
        one(every(10, stop=BROKEN), every(5, status="invalid", **LASTS), every(10, start=MENDED, stop=3 * HOUR)),
        900,
        300,
    ),
    "KronosQueueSaturated": Onset(one(gauges={"kronos_queue_depth": within(100, 0)}), 540, 360),
    "KronosRestarting": Onset(many(3, Instance("i1", down=CRASHES)), 0, 7500, BROKEN),
    "KronosRestartingEverywhere": Onset(one(down=CRASHES), 0, 3900, BROKEN),
    "KronosRulesMissing": Onset([Instance("b", foreign=True, **LASTS)], 900, 0),
    "KronosServiceDown": Onset(one(down=DOWN), 240, 420),
    "KronosSlowInference": Onset(one(WELL, every(1, seconds=6, **LASTS)), 630, 600),
    "KronosTargetDown": Onset(many(3, Instance("i1", down=DOWN)), 420, 480),
    "KronosTargetMissing": Onset([Instance("a", stop=BROKEN), Instance("b", start=MENDED)], 600, 0),
    "KronosVersionSkew": Onset(
        [*one(), Instance("b", version="2.0.0", start=BROKEN, stop=BROKEN + 2 * HOUR)], 3600, 0, BROKEN + 2 * HOUR
    ),
}


def told(alert: str, onset: Onset) -> Scenario:
    """One evaluation before it fires and then, one before it resolves and then."""
    times = {BROKEN + onset.fires - 30: False, BROKEN + onset.fires: True}
    if onset.resolves is not None:
        times |= {onset.mended + onset.resolves - 30: True, onset.mended + onset.resolves: False}
    if alert.endswith("Burn"):
        burning = {time / MINUTE: [f"{alert} 1h"] * fires for time, fires in times.items()}
        return Scenario(alert, onset.instances, {}, burning=burning, about=f"{alert} 1h")
    return Scenario(
        alert, onset.instances, {time / MINUTE: {alert: 1} if f else {} for time, f in times.items()}, about=alert
    )


TIMING = [told(alert, onset) for alert, onset in ONSETS.items()]
