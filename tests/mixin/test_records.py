"""Recorded series against values worked out by hand, on every version of Prometheus.

Inputs are scraped every 15 s: `0+15x40` is one per second. Instances a and b belong to one job and must be added up.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

import pytest
import yaml
from simulate import BATCH, CONTRACT, SINGLE

from kronos_mixin.compile import rule_files
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import binaries, promtool

# Those that have native histograms with custom buckets.
NATIVE = [tools for tools in binaries.every() if tools.release >= (3, 5)]
assert NATIVE

AT = 40  # minutes
STEPS = AT * 4


def counter(name: str, per_second: float, **labels: str) -> dict[str, str]:
    """A steady counter on two instances, half the rate on each."""
    return {
        selector(name, instance=instance, **labels): f"0+{per_second * 15 / 2:g}x{STEPS}" for instance in ("a", "b")
    }


def gauge(name: str, a: float, b: float, **labels: str) -> dict[str, str]:
    values = {"a": a, "b": b}
    return {selector(name, instance=instance, **labels): f"{values[instance]:g}x{STEPS}" for instance in values}


def histogram(name: str, buckets: dict[str, float], **labels: str) -> dict[str, str]:
    """Buckets from cumulative observations per second by `le`."""
    series: dict[str, str] = {}
    for le, per_second in buckets.items():
        series |= counter(f"{name}_bucket", per_second, le=le, **labels)
    return series


def selector(name: str, **labels: str) -> str:
    pairs = {"job": "kronos-api", **labels}
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in sorted(pairs.items())) + "}"


def requests(**per_second: float) -> dict[str, str]:
    series: dict[str, str] = {}
    for status, rate in per_second.items():
        series |= counter("kronos_requests_total", rate, route=SINGLE, status=status)
    return series


# Of 10 a second: 6 in time, 1 in 8 s, 1 times out, 1 is given up at once, 1 after 20 s. Errors do not count.
DURATIONS = {
    **histogram("kronos_request_duration_seconds", {"5.0": 6, "10.0": 7, "+Inf": 7}, route=SINGLE, status="success"),
    **histogram("kronos_request_duration_seconds", {"5.0": 0, "10.0": 0, "+Inf": 1}, route=SINGLE, status="timeout"),
    **histogram(
        "kronos_request_duration_seconds", {"5.0": 1, "10.0": 1, "+Inf": 2}, route=SINGLE, status="cancelled"
    ),
    **histogram("kronos_request_duration_seconds", {"5.0": 4, "10.0": 4, "+Inf": 4}, route=SINGLE, status="error"),
    **histogram(
        "kronos_request_duration_seconds", {"5.0": 0, "10.0": 0, "+Inf": 1}, route=SINGLE, status="unavailable"
    ),
}
# The batch route may take 30 s: 1 a second of 4 is too slow.
BATCHES = {
    **histogram("kronos_request_duration_seconds", {"5.0": 0, "30.0": 3, "+Inf": 4}, route=BATCH, status="success"),
    **histogram("kronos_request_duration_seconds", {"5.0": 0, "30.0": 0, "+Inf": 0}, route=BATCH, status="cancelled"),
}
BOTH = DURATIONS | BATCHES
MODEL = histogram("kronos_model_inference_seconds", {"5.0": 3, "10.0": 4, "+Inf": 4}, route=SINGLE)

ENDED = requests(success=6, error=1, overloaded=0.5, timeout=0.5, unavailable=2, invalid=100, cancelled=100)
ROUTE = {"route": SINGLE}
BURN_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


Record = tuple[dict[str, str], list[tuple[dict[str, str], float]]]
"""Input series, and the value of each recorded series by its labels (without job)."""


def plain() -> Iterator[tuple[str, Record]]:
    """The records of plain metric rates: 2 events per second must be recorded as 2."""
    for metric in CONTRACT.metrics.values():
        if metric.rule_group is None:
            continue
        labels = {label: (CONTRACT.values(metric.name, label) or ("anything",))[0] for label in sorted(metric.labels)}
        series = metric.name
        if metric.type == "histogram":
            series += "_bucket"
            labels["le"] = metric.buckets[-1]
        record = f"{'_'.join(['job', *labels])}:{series.removesuffix('_total')}:rate5m"
        yield record, (counter(series, 2, **labels), [(labels, 2)])


RECORDS: dict[str, Record] = {
    **dict(plain()),
    "job_route:kronos_requests_eligible:rate5m": (ENDED, [(ROUTE, 8)]),
    "job_route:kronos_requests_failed:rate5m": (ENDED, [(ROUTE, 2)]),
    "job_route:kronos_requests_failed:ratio_rate5m": (ENDED, [(ROUTE, 0.25)]),
    "job_route:kronos_requests_failed:ratio_rate30m": (ENDED, [(ROUTE, 0.25)]),
    # 2 a second for 40 minutes; `increase` carries the rate on to the start of the series and no further.
    "job_route:kronos_requests_failed:increase1h": (ENDED, [(ROUTE, 4800)]),
    "job_route:kronos_requests_timed_out:rate5m": (ENDED, [(ROUTE, 0.5)]),
    "job_route:kronos_requests_timed_out:ratio_rate5m": (ENDED, [(ROUTE, 0.0625)]),
    "job_route:kronos_requests_timed_out:ratio_rate30m": (ENDED, [(ROUTE, 0.0625)]),
    "job_route:kronos_requests_timed_out:increase1h": (ENDED, [(ROUTE, 1200)]),
    # 10, less the one that was given up at once.
    "job_route:kronos_requests_timed:rate5m": (DURATIONS, [(ROUTE, 9)]),
    "job_route:kronos_requests_slow:rate5m": (BOTH, [(ROUTE, 3), ({"route": BATCH}, 1)]),
    "job_route:kronos_requests_slow:ratio_rate5m": (BATCHES, [({"route": BATCH}, 0.25)]),
    "job_route:kronos_requests_slow:ratio_rate30m": (BATCHES, [({"route": BATCH}, 0.25)]),
    "job_route:kronos_requests_slow:increase1h": (BATCHES, [({"route": BATCH}, 2400)]),
    "job:kronos_availability_bad:rate5m": (ENDED, [({}, 4)]),
    "job:kronos_availability_valid:rate5m": (ENDED, [({}, 10)]),
    **{f"job:kronos_availability_bad:ratio_rate{window}": (ENDED, [({}, 0.4)]) for window in BURN_WINDOWS},
    "job:kronos_availability_objective:ratio": (ENDED, [({}, 0.995)]),
    "job:kronos_availability_error_budget:ratio": (ENDED, [({}, 0.005)]),
    # Prometheus keeps no more than that by default.
    "job:kronos_availability_period:days": (ENDED, [({}, 15)]),
    "job:kronos_latency_objective:ratio": (BOTH, [({}, 0.95)]),
    "job:kronos_latency_error_budget:ratio": (BOTH, [({}, 0.05)]),
    "job:kronos_latency_period:days": (BOTH, [({}, 15)]),
    # 40 % were bad where 0.5 % may be: 80 times the budget.
    "job:kronos_availability_budget_left:ratio": (ENDED, [({}, -79)]),
    "job:kronos_latency_bad:rate5m": (BOTH, [({}, 4)]),
    "job:kronos_latency_valid:rate5m": (BOTH, [({}, 13)]),
    **{f"job:kronos_latency_bad:ratio_rate{window}": (BATCHES, [({}, 0.25)]) for window in BURN_WINDOWS},
    "job:kronos_latency_budget_left:ratio": (BATCHES, [({}, -4)]),
    "job_route:kronos_model_inferences:rate5m": (MODEL, [(ROUTE, 4)]),
    "job_route:kronos_model_inferences_slow:rate5m": (MODEL, [(ROUTE, 1)]),
    "job_route:kronos_model_inferences_slow:ratio_rate5m": (MODEL, [(ROUTE, 0.25)]),
    "job_route:kronos_model_inferences_slow:ratio_rate30m": (MODEL, [(ROUTE, 0.25)]),
    "job_route:kronos_model_inferences_slow:increase1h": (MODEL, [(ROUTE, 2400)]),
    # A process that was up at some time is one of two that exist.
    "job_instance:kronos_targets:seen": (gauge("up", 1, 0), [({"instance": "a"}, 1)]),
    "job:kronos_targets:count": (gauge("up", 1, 0), [({}, 2)]),
    "job:kronos_model_ready:max": (gauge("kronos_model_ready", 0, 1), [({}, 1)]),
    # Their value is the rate.
    "job_route:kronos_requests_eligible:ongoing": (ENDED, [(ROUTE, 8)]),
    "job_route:kronos_requests_timed:ongoing": (DURATIONS, [(ROUTE, 9)]),
    "job_route:kronos_model_inferences:ongoing": (MODEL, [(ROUTE, 4)]),
    "job:kronos_availability_valid:ongoing": (ENDED, [({}, 10)]),
    "job:kronos_latency_valid:ongoing": (BOTH, [({}, 13)]),
    # The fuller of two queues; one without capacity does not count.
    "job:kronos_queue_utilisation:max": (
        gauge("kronos_queue_depth", 10, 30) | gauge("kronos_queue_capacity", 100, 60),
        [({}, 0.5)],
    ),
    "job_route:kronos_concurrent_requests:sum": (
        gauge("kronos_concurrent_requests", 2, 3, route=SINGLE),
        [(ROUTE, 5)],
    ),
}


def metrics(inputs: dict[str, str]) -> set[str]:
    return {series.partition("{")[0] for series in inputs}


def native(inputs: dict[str, str]) -> dict[str, str]:
    """The same inputs with native histograms, as Prometheus makes them of classic ones."""
    found: dict[str, str] = {}
    buckets: dict[str, dict[str, float]] = {}
    for series, values in inputs.items():
        if match := re.fullmatch(r'(.*)_bucket({.*), le="([^"]*)"(.*)', series):
            step = float(values.removeprefix("0+").partition("x")[0])
            buckets.setdefault(match[1] + match[2] + match[4], {})[match[3]] = step
        else:
            found[series] = values
    for series, steps in buckets.items():
        cumulative = [0.0, *(steps[le] for le in sorted(steps, key=float))]
        each = " ".join(f"{after - before:g}" for before, after in itertools.pairwise([*cumulative, max(cumulative)]))
        bounds = " ".join(le.removesuffix(".0") for le in sorted(steps, key=float) if le != "+Inf")
        each = each if "+Inf" not in steps else each.rpartition(" ")[0]
        step = f"{{{{schema:-53 count:{max(cumulative):g} custom_values:[{bounds}] buckets:[{each}]}}}}"
        nothing = f"{{{{schema:-53 custom_values:[{bounds}] buckets:[{' '.join('0' for _ in each.split())}]}}}}"
        found[series] = f"{nothing}+{step}x{STEPS}"
    return found


Checks = list[tuple[str, list[dict[str, object]]]]
"""Expressions, and the samples that each must give."""


def exactly(record: str) -> Checks:
    """The values of a record, and no others. The last bit of a float differs between versions of Prometheus."""
    samples = [{"labels": selector("", **labels), "value": value} for labels, value in RECORDS[record][1]]
    return [(f"round({record} * 1e6) / 1e6", samples)]


def nearly(record: str) -> Checks:
    """The values of a record to one percent: `increase` extrapolates native histograms beyond their first sample."""
    found: Checks = []
    for labels, value in RECORDS[record][1]:
        expr = f"abs({selector(record, **labels)} / {value} - 1) < bool 0.01"
        found.append((expr, [{"labels": selector("", **labels), "value": 1}]))
    return found


def promtool_tests(
    checks: Callable[[str], Checks], stored: Callable[[dict[str, str]], dict[str, str]] = dict
) -> list[dict[str, object]]:
    """promtool evaluates all rules in each test, so records whose inputs do not overlap share one."""
    shared: list[tuple[dict[str, str], list[str]]] = []
    for record, (inputs, _) in RECORDS.items():
        for together, records in shared:
            if metrics(together).isdisjoint(metrics(inputs)):
                together.update(inputs)
                records.append(record)
                break
            if any(RECORDS[other][0] is inputs for other in records):
                records.append(record)
                break
        else:
            shared.append((dict(inputs), [record]))
    return [
        {
            "interval": "15s",
            "input_series": [{"series": series, "values": values} for series, values in stored(inputs).items()],
            "promql_expr_test": [
                {"expr": expr, "eval_time": f"{AT}m", "exp_samples": samples}
                for record in records
                for expr, samples in checks(record)
            ],
        }
        for inputs, records in shared
    ]


def as_exposed(tests: str) -> str:
    return tests


def by_a_collector(tests: str) -> str:
    """OpenTelemetry collectors write the boundary 5.0 as 5."""
    respelt, changes = re.subn(r'le="(\d+)\.0"', r'le="\1"', tests)
    assert changes
    return respelt


@pytest.mark.parametrize("spelt", [as_exposed, by_a_collector])
def test_values_worked_out_by_hand(compiled, tools, tmp_path, spelt):
    path = tmp_path / "records.yml"
    tests = yaml.safe_dump(promtool_tests(exactly), width=1_000_000)
    file = {"rule_files": [compiled.rules], "evaluation_interval": "30s", "tests": yaml.safe_load(spelt(tests))}
    path.write_text(yaml.safe_dump(file))
    promtool.test_rules(tools, path)


def twice(inputs: dict[str, str]) -> dict[str, str]:
    return inputs | native(inputs)


@pytest.mark.parametrize(("knob", "stored"), [("native", native), ("both", native), ("both", dict), ("both", twice)])
@pytest.mark.parametrize("newer", NATIVE, ids=lambda tools: tools.version)
def test_values_from_native_histograms(newer, tmp_path, knob, stored):
    for name, text in rule_files(evaluate(mixin_path(), {"kronos": {"histograms": knob}})).items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "records.yml"
    tests = promtool_tests(nearly, stored)
    path.write_text(
        yaml.safe_dump({"rule_files": ["kronos-rules.yml"], "evaluation_interval": "30s", "tests": tests})
    )
    promtool.test_rules(newer, path)


@pytest.mark.parametrize("idle", [ENDED, DURATIONS])
def test_a_ratio_of_nothing_is_absent_and_not_nan(compiled, tools, tmp_path, idle):
    path = tmp_path / "idle.yml"
    test = {
        "interval": "15s",
        "input_series": [{"series": series, "values": f"0x{STEPS}"} for series in idle],
        "promql_expr_test": [
            {"expr": '{__name__=~".*:ratio_.*|.*_left:ratio"}', "eval_time": f"{AT}m", "exp_samples": []},
            # Positive control: the rates that the ratios are made of exist.
            {
                "expr": 'count({__name__=~".*:rate5m"}) > bool 0',
                "eval_time": f"{AT}m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            },
        ],
    }
    file = {
        "rule_files": [compiled.rules],
        "evaluation_interval": "30s",
        "tests": [test],
    }
    path.write_text(yaml.safe_dump(file))
    promtool.test_rules(tools, path)


def test_every_record_is_tested():
    recorded = {rule["record"] for group in evaluate(mixin_path()).rules for rule in group["rules"]}
    assert recorded == set(RECORDS)
