"""What every panel shows: its unit, and the lines of each query by its legend, in the world of `world.py`.

A panel of another metric, with another matcher, aggregation or factor, would show another number. The legend is
without the installation, which every line has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import world
from simulate import BATCH, CONTRACT, SINGLE
from world import INSTANCES, buckets, gauge, quantile, rate

AT = 40  # minutes from the start of the world to the moment that is shown
ROUTES, UNMATCHED = (SINGLE, BATCH), "unmatched"
FAILED = ("error", "overloaded", "timeout")
ELIGIBLE = ("success", *FAILED)

Line = tuple[Mapping[str, str], float]
Panel = tuple[str, dict[str, list[Line]]]


def each(label: str, values: tuple[str, ...], number: Callable[[str], float]) -> list[Line]:
    """One line for each value of a label."""
    return [({label: value}, number(value)) for value in values]


def total(number: float) -> list[Line]:
    return [({}, number)]


def instances(number: Callable[[str], float]) -> list[Line]:
    return each("instance", tuple(INSTANCES), number)


def of(metric: str) -> list[Line]:
    """A gauge of each instance."""
    return instances(lambda instance: gauge(metric, instance))


def ratio(part: str, whole: str) -> list[Line]:
    return instances(lambda instance: gauge(part, instance) / gauge(whole, instance))


def limit(number: float) -> list[Line]:
    """A constant, which belongs to no installation."""
    return [({"limit": "yes"}, number)]


def closed(metric: str, label: str) -> tuple[str, ...]:
    return CONTRACT.values(metric, label) or world.VALUES[label]


def per_minute(metric: str, label: str) -> list[Line]:
    return each(label, closed(metric, label), lambda value: 60 * rate(metric, **{label: value}))


def percentiles(
    metric: str, label: str = "", names: tuple[int, ...] = (50, 95, 99), legend: str = ""
) -> dict[str, list[Line]]:
    """Quantiles by a label, or of all; a single one is named by its label alone."""
    found = {}
    for name in names:
        value = name / 100
        lines = (
            each(label, closed(metric, label), lambda one, q=value: quantile(q, buckets(metric, **{label: one})))
            if label
            else total(quantile(value, buckets(metric)))
        )
        words = ([f"p{name}"] if len(names) > 1 else []) + ([f"{{{{{label}}}}}"] if label else [])
        found[legend or " ".join(words)] = lines
    return found


def p95_by_instance(metric: str) -> dict[str, list[Line]]:
    return {"{{instance}}": instances(lambda instance: quantile(0.95, buckets(metric, (instance,))))}


def mean(metric: str, label: str) -> list[Line]:
    def of_children(children: Any) -> float:
        counts = {number: world.pace(metric, number, labels) for number, labels in children}
        return sum(count * world.mean(metric, n) for n, count in counts.items()) / sum(counts.values())

    if label == "instance":
        return instances(lambda _: of_children(list(world.matching(metric, {}))))
    return each(label, closed(metric, label), lambda one: of_children(list(world.matching(metric, {label: one}))))


def upto(metric: str, seconds: Mapping[str, str], route: str, **wanted: tuple[str, ...]) -> float:
    return buckets(metric, route=route, **wanted)[seconds[route]]


# Requests by how they ended, and how long they took.
SECONDS, MODEL = "kronos_request_duration_seconds", "kronos_model_inference_seconds"
OBJECTIVE = {SINGLE: "5.0", BATCH: "30.0"}
COUNTED = ("success", "timeout", "cancelled")


def eligible(route: str | tuple[str, ...]) -> float:
    return rate("kronos_requests_total", route=route, status=ELIGIBLE)


def timed(route: str) -> float:
    """All but faults, and but those who gave up before the objective."""
    return buckets(SECONDS, route=route, status=COUNTED)["+Inf"] - upto(
        SECONDS, OBJECTIVE, route, status=("cancelled",)
    )


def slow(route: str) -> float:
    return buckets(SECONDS, route=route, status=COUNTED)["+Inf"] - upto(
        SECONDS, OBJECTIVE, route, status=("cancelled", "success")
    )


def slow_model(route: str) -> float:
    return 1 - upto(MODEL, OBJECTIVE, route) / buckets(MODEL, route=route)["+Inf"]


ALL = (*ROUTES, UNMATCHED)
BAD = {
    "Availability": rate("kronos_requests_total", status=(*FAILED, "unavailable")),
    "Latency": sum(map(slow, ROUTES)),
}
VALID = {
    "Availability": rate("kronos_requests_total", status=(*ELIGIBLE, "unavailable")),
    "Latency": sum(map(timed, ROUTES)),
}
BUDGET = {"Availability": 0.005, "Latency": 0.05}
BURN = {name: BAD[name] / VALID[name] / BUDGET[name] for name in BAD}
assert all(0.1 < burn < 0.9 for burn in BURN.values()), BURN


def objective(name: str, bad: str) -> dict[str, Panel]:
    """The panels of an objective on the dashboard of both."""
    windows = ("1h", "6h", "1d", "3d")
    return {
        f"{name}: budget lasts": ("suffix: days", {"": total((1 - BURN[name]) * 15 / BURN[name])}),
        **{f"{name}: burn rate over {window}": ("suffix:×", {"": total(BURN[name])}) for window in windows},
        f"{name}: error budget left (15d)": ("percentunit", {"": total(1 - BURN[name]), "used up": limit(0)}),
        f"{name}: burn rate": (
            "suffix:×",
            {**{window: total(BURN[name]) for window in windows}, "allowed pace": limit(1)},
        ),
        f"{name}: {bad} per minute (5m)": (
            "reqpm",
            {bad: total(60 * BAD[name]), "all": total(60 * VALID[name])},
        ),
    }


def share_by(metric: str, label: str) -> list[Line]:
    """Errors of a kind as a share of all requests."""
    return each(label, closed(metric, label), lambda one: rate(metric, **{label: one}) / eligible(ALL))


PANELS: dict[str, dict[str, Panel]] = {
    "kronos-dashboard.json": {
        "Critical alerts": ("none", {"{{alertname}}": [({"alertname": "KronosServiceDown"}, 2)], "none": []}),
        "Warnings": ("none", {"{{alertname}}": [({"alertname": "KronosHighLatency"}, 3)], "none": []}),
        "Ready": ("percentunit", {"": total(1.5 * gauge("kronos_model_ready", "a"))}),
        "Availability": ("percentunit", {"": total(1 - BAD["Availability"] / VALID["Availability"])}),
        "Error budget left (15d)": ("percentunit", {"": total(1 - BURN["Availability"])}),
        "Within latency objective": ("percentunit", {"": total(1 - BAD["Latency"] / VALID["Latency"])}),
        "Latency budget left (15d)": ("percentunit", {"": total(1 - BURN["Latency"])}),
        "Request rate per minute (5m)": ("reqpm", {"{{status}}": per_minute("kronos_requests_total", "status")}),
        "Latency p50, p95, p99 (5m)": (
            "suffix:s",
            percentiles(SECONDS, "route")
            | {f"objective {route}": limit(float(le)) for route, le in OBJECTIVE.items()},
        ),
        "Error rate and types (5m)": (
            "percentunit",
            {
                "{{type}}": share_by("kronos_errors_total", "type"),
                "failed {{route}}": each(
                    "route", ALL, lambda r: rate("kronos_requests_total", route=r, status=FAILED) / eligible(r)
                ),
                "alert threshold": limit(0.01),
            },
        ),
        "Timeout rate (5m)": (
            "percentunit",
            {
                "in {{stage}}": share_by("kronos_timeouts_total", "stage"),
                "timed out {{route}}": each(
                    "route", ALL, lambda r: rate("kronos_requests_total", route=r, status="timeout") / eligible(r)
                ),
                "alert threshold": limit(0.005),
            },
        ),
        "Concurrent requests": (
            "none: requests",
            {"{{route}}": each("route", ROUTES, lambda _: 3 * world.NUMBERS["kronos_concurrent_requests"])},
        ),
        "Model inference time p50, p95, p99 (5m)": ("suffix:s", percentiles(MODEL, "route")),
        "Input size distribution (5m)": ("none: candles", percentiles("kronos_prediction_input_candles", "route")),
        "Security events per minute (5m)": (
            "reqpm",
            {
                "{{reason}}": per_minute("kronos_rejections_total", "reason"),
                "limited: {{client}}": per_minute("kronos_rate_limited_total", "client"),
            },
        ),
    },
    "kronos-inference.json": {
        "Request rate per minute (5m)": ("reqpm", {"{{route}}": per_minute("kronos_requests_total", "route")}),
        "Slow requests (5m)": (
            "percentunit",
            {
                "slow {{route}}": each("route", ROUTES, lambda route: slow(route) / timed(route)),
                "model {{route}}": each("route", ROUTES, slow_model),
                "objective": limit(0.05),
            },
        ),
        "Latency p95 by instance, with exemplars": ("suffix:s", p95_by_instance(SECONDS)),
        "Model inference time p95 by instance": ("suffix:s", p95_by_instance(MODEL)),
        "Queue wait p50, p95, p99 (5m)": ("suffix:s", percentiles("kronos_queue_wait_seconds")),
        "Queue depth": (
            "none: series",
            {"{{instance}}": of("kronos_queue_depth"), "capacity": total(gauge("kronos_queue_capacity", "a"))},
        ),
        "Time to first candle p50, p95, p99 (5m)": ("suffix:s", percentiles("kronos_time_to_first_candle_seconds")),
        "Time per candle p50, p95, p99 (5m)": ("suffix:s", percentiles("kronos_time_per_candle_seconds")),
        "Model stages p95 (5m)": ("suffix:s", percentiles("kronos_model_stage_seconds", "stage", (95,))),
        "Pre- and postprocessing p95 (5m)": ("s", percentiles("kronos_processing_seconds", "stage", (95,))),
        "Series in the model": ("none: series", {"{{instance}}": of("kronos_running_series")}),
        "Sample paths per step (mean)": ("none: rows", {"{{instance}}": mean("kronos_batch_rows", "instance")}),
        "Cached positions": (
            "none: positions",
            {
                "{{instance}}": of("kronos_cached_positions"),
                "limit": total(gauge("kronos_cached_positions_limit", "a")),
            },
        ),
        "Horizon (mean)": ("none: candles", {"{{route}}": mean("kronos_prediction_horizon_candles", "route")}),
        "Forecast candles per minute (5m)": (
            "none: candles per minute",
            {"{{route}}": per_minute("kronos_forecast_candles_total", "route")},
        ),
        "Request size p95 (5m)": ("bytes", percentiles("kronos_request_size_bytes", "route", (95,))),
        "Response size p95 (5m)": ("bytes", percentiles("kronos_response_size_bytes", "route", (95,))),
        "Odd input and output (per minute)": (
            "short",
            {
                "mended candles": total(60 * rate("kronos_mended_candles_total")),
                "refused series": total(60 * rate("kronos_refused_series_total")),
                "candles at or below 0": total(60 * rate("kronos_nonpositive_candles_total")),
            },
        ),
        "Corrected candles (5m)": (
            "percentunit",
            {
                "{{route}}": each(
                    "route",
                    ROUTES,
                    lambda route: rate("kronos_inconsistent_candles_total", route=route)
                    / rate("kronos_forecast_candles_total", route=route),
                )
            },
        ),
        "Cancelled requests per minute (5m)": (
            "reqpm",
            {"{{cause}}": per_minute("kronos_cancellations_total", "cause")},
        ),
    },
    "kronos-instances.json": {
        "Up": ("percentunit", {"": total(1.5 * gauge("up", "a"))}),
        "Draining": ("none", {"": total(3 * gauge("kronos_draining", "a"))}),
        "Version": ("prefix:× ", {"{{version}}": [({"version": "1.0.0"}, 2)]}),
        "Model": ("prefix:× ", {"{{model}} {{revision}}": [({"model": "small", "revision": "4f2a"}, 2)]}),
        "Ready instances": ("none: instances", {"{{instance}}": of("kronos_model_ready")}),
        "Concurrent requests by instance": ("none: requests", {"{{instance}}": of("kronos_concurrent_requests")}),
        "Memory usage": (
            "percentunit",
            {
                "{{instance}}": ratio("process_resident_memory_bytes", "kronos_memory_limit_bytes"),
                "GPU of {{instance}}": ratio("kronos_device_memory_used_bytes", "kronos_device_memory_limit_bytes"),
                "alert threshold": limit(0.9),
            },
        ),
        "Memory": (
            "bytes",
            {
                "{{instance}}": of("process_resident_memory_bytes"),
                "GPU of {{instance}}": of("kronos_device_memory_used_bytes"),
            },
        ),
        "CPU": (
            "none: cores",
            {"{{instance}}": instances(lambda i: rate("process_cpu_seconds_total", INSTANCES[i]))},
        ),
        "Event loop lag": ("s", {"{{instance}}": of("kronos_event_loop_lag_seconds"), "alert threshold": limit(1)}),
        "Starts in the last hour": (
            "none: starts",
            {"{{instance}}": instances(lambda _: 0), "alert threshold": limit(3)},
        ),
        "Model load time": ("s", {"{{instance}}": of("kronos_model_load_seconds")}),
        "Running model call": ("s", {"{{instance}}": of("kronos_model_call_seconds"), "alert threshold": limit(60)}),
        "Garbage collections per minute": (
            "none: runs per minute",
            {"{{instance}}": instances(lambda i: 60 * rate("python_gc_collections_total", INSTANCES[i]))},
        ),
        "Open files": ("percentunit", {"{{instance}}": ratio("process_open_fds", "process_max_fds")}),
        # The world is forty minutes old.
        "Failed model loads in the last hour": (
            "none: loads",
            {
                "{{outcome}} {{instance}}": [
                    ({"outcome": one, "instance": i}, AT * 60 * rate("kronos_model_loads_total", k, outcome=one))
                    for i, k in INSTANCES.items()
                    for one in ("not_found", "invalid", "error")
                ]
            },
        ),
        "Lost log lines in the last hour": (
            "none: lines",
            {"{{instance}}": instances(lambda i: AT * 60 * rate("kronos_log_lines_lost_total", INSTANCES[i]))},
        ),
        "Scraped series": ("none: series", {"{{instance}}": of("scrape_samples_scraped")}),
    },
    "kronos-slo.json": objective("Availability", "failed requests") | objective("Latency", "slow requests"),
}  # fmt: skip
