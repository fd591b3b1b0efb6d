"""The faults of a drill, and the alerts that each of them sets off.

Each fault has a scrape job of its own, so all of them can happen at once, and no alert of one mutes those of another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kronos_mixin import windows
from kronos_mixin.contract import load_contract
from kronos_mixin.drill.kronos import Behaviour, Flow
from kronos_mixin.drill.measures import MEMORY_LIMIT, QUEUE_CAPACITY

UNDRILLED = {
    "KronosRayQueue": "it is about a proxy that a drill does not have",
    "KronosRayRequestsLost": "it is about a proxy that a drill does not have",
    "KronosTrafficDropped": "it compares with the traffic of a week ago",
    "KronosClusterSilent": "it is for a centre that several Prometheus servers send to",
}
"""Alerts that no fault of a few minutes sets off, and why."""

_PLENTY = 1000.0
"""Requests a second where their shares must be exact: those that are made up cost nothing."""

_MOST_INSTANCES = 20


@dataclass(frozen=True)
class Expected:
    """An alert that a fault sets off: its name, and the labels by which its rules differ."""

    alert: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.alert, *self.labels.values()])


@dataclass(frozen=True)
class Fault:
    """What happens to the instances of a job, each of which behaves well, then ill, then well again."""

    name: str
    """The end of the job's name."""
    says: str
    alerts: tuple[Expected, ...]
    well: tuple[Behaviour, ...]
    ill: tuple[Behaviour, ...]


def faults(config: Mapping[str, Any]) -> list[Fault]:
    """The faults that set off the alerts of a drill's configuration (`_config.kronos`), those that are enabled."""
    alerts = config["alerts"]
    found = (
        replace(one, alerts=tuple(each for each in one.alerts if alerts[each.alert]["enabled"]))
        for one in (*_service(config), *_requests(config), *_budgets(config), *_process(config), *_monitoring())
    )
    return [one for one in found if one.alerts]


def _fault(
    name: str, says: str, alerts: Sequence[Expected | str], ill: Behaviour, well: Behaviour | None = None
) -> Fault:
    """A fault of a job with a single instance."""
    expected = tuple(Expected(alert) if isinstance(alert, str) else alert for alert in alerts)
    return Fault(name, says, expected, (well or _WELL,), (ill,))


def _one_of(fault: Fault, count: int) -> Fault:
    """The same fault of one of so many instances."""
    rest = fault.well * (count - 1)
    return replace(fault, well=fault.well + rest, ill=fault.ill + rest)


_WELL = Behaviour()


def _service(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Is the service there?"""
    alerts = config["alerts"]
    down = Behaviour(up=False)
    yield _fault("down", "nothing answers any more", ["KronosServiceDown"], down)
    # While it is down, the others must be enough for the service to count as up.
    others = float(alerts["KronosServiceDown"]["threshold"])
    yield _one_of(
        _fault("one-down", "one of several instances does not answer", ["KronosTargetDown"], down),
        _fewest(lambda count: (count - 1) / count > others),
    )
    yield _fault(
        "vanished", "service discovery finds no target any more", ["KronosTargetMissing"], Behaviour(listed=False)
    )
    loading = Behaviour(gauges={"kronos_model_ready": 0.0})
    yield _fault("not-ready", "no instance has a model", ["KronosModelNotReady"], loading)
    yield _one_of(
        _fault("one-not-ready", "one of two instances has no model", ["KronosInstanceNotReady"], loading), 2
    )
    call = {"kronos_model_call_seconds": _above(alerts["KronosModelStuck"])}
    yield _fault("stuck", "the model does not come back from a call", ["KronosModelStuck"], Behaviour(gauges=call))


def _requests(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Do requests end as they should, in time, and who is turned away?"""
    alerts, pace = config["alerts"], _pace(config)
    yield _fault("failing", "every request fails", ["KronosHighErrorRate"], Behaviour((Flow(pace, _failed(config)),)))
    nothing = alerts["KronosNothingSucceeds"]
    enough = max(pace, 3 * float(nothing["minimum"]) / windows.seconds(nothing["window"]))
    yield _fault(
        "misunderstood",
        "every request is refused as invalid",
        ["KronosNothingSucceeds"],
        Behaviour((Flow(enough, "invalid"),)),
    )
    slow = _slow(config)
    yield _fault(
        "slow", "answers come late", ["KronosHighLatency"], Behaviour((Flow(pace, seconds=slow, inference=0.1),))
    )
    yield _fault(
        "slow-model",
        "the model takes too long",
        ["KronosSlowInference"],
        Behaviour((Flow(pace, seconds=slow, inference=slow),)),
    )
    late = Flow(pace, "timeout", seconds=slow)
    yield _fault("late", "requests run into the time limit", ["KronosHighTimeoutRate"], Behaviour((late,)))
    refused = Flow(_above(alerts["KronosExcessiveRateLimiting"]), "rate_limited")
    yield _fault(
        "greedy",
        "a client ignores its rate limit",
        ["KronosExcessiveRateLimiting"],
        Behaviour((*_WELL.flows, refused)),
    )


def _budgets(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Will the objectives be met? Just as many requests miss one as set off an alert and none of the quicker ones."""
    slow = _slow(config)
    kinds = (
        ("KronosErrorBudgetBurn", "availability", "fail", Flow(_PLENTY, _failed(config))),
        ("KronosLatencyBudgetBurn", "latency", "are slow", Flow(_PLENTY, seconds=slow)),
    )
    for alert, objective, what, miss in kinds:
        budget = 1 - float(config["objectives"][objective]["target"])
        shares = [float(burn["factor"]) * budget for burn in config["objectives"]["burn"]]
        for burn, share in zip(config["objectives"]["burn"], shares, strict=True):
            chosen = math.sqrt(share * min([1.0, *(other for other in shares if other > share)]))
            flows = (Flow(_PLENTY * (1 - chosen)), replace(miss, pace=_PLENTY * chosen))
            yield _fault(
                f"{objective}-{burn['long']}-{burn['short']}",
                f"{chosen:.2%} of the requests {what}",
                [Expected(alert, {"long": burn["long"], "short": burn["short"]})],
                Behaviour(flows),
                Behaviour((Flow(_PLENTY),)),
            )


def _process(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Does the process have what it needs?"""
    alerts = config["alerts"]

    def gauge(name: str, value: float) -> Behaviour:
        return Behaviour(gauges={name: value})

    memory = gauge("process_resident_memory_bytes", _nearly(alerts["KronosHighMemoryUsage"]) * MEMORY_LIMIT)
    yield _fault("memory", "the process has almost all of its memory", ["KronosHighMemoryUsage"], memory)
    gpu = gauge("kronos_device_memory_used_bytes", _nearly(alerts["KronosHighGpuMemoryUsage"]) * MEMORY_LIMIT)
    yield _fault(
        "gpu",
        "the process has almost all of the GPU's memory",
        ["KronosHighGpuMemoryUsage"],
        replace(gpu, device="cuda:0"),
        Behaviour(device="cuda:0"),
    )
    queue = gauge("kronos_queue_depth", _nearly(alerts["KronosQueueSaturated"]) * QUEUE_CAPACITY)
    yield _fault("queue", "the queue is almost full", ["KronosQueueSaturated"], queue)
    blocked = gauge("kronos_event_loop_lag_seconds", _above(alerts["KronosEventLoopBlocked"]))
    yield _fault("blocked", "the event loop is blocked", ["KronosEventLoopBlocked"], blocked)
    lost = Behaviour(events={"kronos_log_lines_lost_total": 10 + _above(alerts["KronosLogLinesLost"])})
    yield _fault("unread", "nobody reads the log", ["KronosLogLinesLost"], lost)
    pause = RESTART * windows.seconds(config["scrape"]["interval"])
    again = Behaviour(restart=pause)
    most = float(alerts["KronosRestartingEverywhere"]["threshold"])
    yield _one_of(
        _fault("restarting", "one of several instances restarts again and again", ["KronosRestarting"], again),
        _fewest(lambda count: 1 / count <= most),
    )
    yield _fault("crash-loop", "all instances restart again and again", ["KronosRestartingEverywhere"], again)


RESTART = 2
"""Scrapes between two starts of a process."""


def _monitoring() -> Iterator[Fault]:
    """Can the monitoring itself be trusted?"""
    histograms = ("kronos_request_duration_seconds", "kronos_model_inference_seconds")
    yield _fault(
        "foreign",
        "another program answers in its place",
        ["KronosMetricsMissing", "KronosRulesMissing"],
        Behaviour(foreign=True),
    )
    label = next(iter(load_contract().metrics["kronos_requests_total"].labels))
    yield _fault(
        "labelled",
        f"the target has a label {label} of its own",
        ["KronosLabelsTaken"],
        Behaviour(displaced={label: "taken"}),
    )
    yield _fault(
        "no-buckets",
        "the buckets of histograms get lost on the way",
        [Expected("KronosHistogramsMissing", {"histogram": histogram}) for histogram in histograms],
        Behaviour(without=frozenset(histograms)),
    )
    other = _fault(
        "two-versions", "one of two instances has another version", ["KronosVersionSkew"], Behaviour(version="2.0.0")
    )
    yield _one_of(other, 2)


def _above(knobs: Mapping[str, str]) -> float:
    """Well above a threshold."""
    return 3 * float(knobs["threshold"]) + 1


def _nearly(knobs: Mapping[str, str]) -> float:
    """Between a threshold and everything."""
    return (float(knobs["threshold"]) + 1) / 2


def _slow(config: Mapping[str, Any]) -> float:
    """Seconds that are too slow for every route."""
    return 1 + max(map(float, config["objectives"]["latency"]["seconds"].values()))


def _failed(config: Mapping[str, Any]) -> str:
    """A status that counts as failed, and as nothing else if there is such a one."""
    statuses: list[str] = config["requests"]["failedStatuses"]
    return next((status for status in statuses if status != "timeout"), "timeout")


def _pace(config: Mapping[str, Any]) -> float:
    """Requests a second that are enough for every guard."""
    return max(4.0, 3 * float(config["requests"]["guardCount"]) / windows.seconds(config["rateWindow"]))


def _fewest(enough: Callable[[int], bool]) -> int:
    """The smallest number of instances that is enough, two at least."""
    return next(count for count in range(2, _MOST_INSTANCES) if count == _MOST_INSTANCES - 1 or enough(count))
