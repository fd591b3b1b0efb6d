"""Each fault, sown in a running stack, is found by the check whose kind it is of, and by no other."""

from __future__ import annotations

import copy
import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest

from kronos_mixin.verify.relabel import relabelled
from tests.tool.verify.bench import Bench, bench, is_well, wrong

LANES = {"newest": 2, "oldest": 1}
"""Stacks side by side, with which Prometheus: most of the time a fault waits for the next scrape."""


@pytest.fixture(scope="module")
def tried(tmp_path_factory, request):
    """The outcome of each fault that is asked for, by version; they are tried in several stacks at once."""
    asked = [item.callspec.params for item in request.session.items if item.module is request.module]
    lanes: dict[str, SimpleQueue[Bench]] = {version: SimpleQueue() for version in LANES}
    with ExitStack() as running:
        for version in [one for one, count in LANES.items() for _ in range(count)]:
            lanes[version].put(running.enter_context(bench(tmp_path_factory.mktemp("stack"), version)))
        pools = {version: running.enter_context(ThreadPoolExecutor(count)) for version, count in LANES.items()}

        def attempt(version: str, fault: str) -> None:
            lane = lanes[version].get()
            try:
                try_out(lane, *FAULTS[fault]) if fault in FAULTS else live_with(lane, *NORMAL[fault])
            finally:
                lanes[version].put(lane)

        yield {tuple(one.values()): pools[one["version"]].submit(attempt, **one) for one in asked}
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)


def job(config: dict[str, Any]) -> dict[str, Any]:
    return config["scrape_configs"][0]


def targets(config: dict[str, Any]) -> list[str]:
    return job(config)["static_configs"][0]["targets"]


def relabel(**rule: Any):
    """Change series on their way."""
    return lambda _, config, __: job(config).update(metric_relabel_configs=[rule])


def drop(regex: str, *labels: str):
    return relabel(action="drop", regex=regex, source_labels=["__name__", *labels])


def in_job(**changes: Any):
    return lambda _, config, __: job(config).update(changes)


def answering(number: int, **answer: Any):
    """Let an instance answer in another way."""
    return lambda stack, *_: [setattr(stack.instances[number], name, value) for name, value in answer.items()]


def edited(number: int, pattern: str, replacement: str):
    return answering(number, edit=lambda text: re.sub(pattern, replacement, text))


def group(rules: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for data in rules.values() for one in data["groups"] if one["name"].partition(":")[0] == name)


def rule(rules: dict[str, Any], name: str) -> dict[str, Any]:
    every = [one for data in rules.values() for each in data["groups"] for one in each["rules"]]
    return next(one for one in every if name in (one.get("alert"), one.get("record")))


def another_job(name: str, *addresses: int, **changes: Any):
    def sow(stack: Bench, config: dict[str, Any], _: object) -> None:
        found = [stack.addresses[number] for number in addresses]
        config["scrape_configs"].append(
            {**copy.deepcopy(job(config)), "job_name": name, "static_configs": [{"targets": found}], **changes}
        )

    return sow


def sharded(_: Bench, config: dict[str, Any], __: object) -> None:
    """Keep the parts that our targets are in, of very many."""
    divide = {"source_labels": ["__address__"], "modulus": 1000, "target_label": "__part", "action": "hashmod"}
    parts = [relabelled({"__address__": address}, [divide])[0]["__part"] for address in targets(config)]
    keep = {"source_labels": ["__part", "__all"], "regex": f"({'|'.join(parts)});|.+;.+", "action": "keep"}
    job(config)["relabel_configs"] = [divide, keep]


def twice(_, __, rules):
    rules["copy.rules.yml"] = copy.deepcopy(rules["kronos-alerts.rules.yml"])


def left_by_a_drill(stack, _, rules):
    old = stack.rules_of("kronos-drill", "kronos-alerts")
    for one in (one for group in old["groups"] for one in group["rules"]):
        one["labels"]["drill"] = "true"
    rules["old.rules.yml"] = old


def saved(stack: Bench, *_: object) -> None:
    text = stack.instances[0].text()
    stack.instances[0].edit = lambda _: text


def flapping(stack: Bench, *_: object) -> None:
    scrapes = itertools.cycle([True, False])
    stack.instances[0].edit = lambda text: text if next(scrapes) else "no metrics"


FAULTS = {
    "another job name": (in_job(job_name="forecasts"), "targets-found", "scraped by the job forecasts"),
    "the label job rewritten": (
        in_job(relabel_configs=[{"target_label": "job", "replacement": "web"}]),
        "targets-found",
        'the targets of the scrape job kronos-api have job="web"',
    ),
    "discovery finds nothing": (
        in_job(static_configs=[]),
        "targets-found",
        "finds no target: its discovery lists none",
    ),
    "all targets dropped": (
        in_job(relabel_configs=[{"action": "drop", "regex": ".*", "source_labels": ["__address__"]}]),
        "targets-found",
        "finds no target",
    ),
    "wrong path": (in_job(metrics_path="/metrics"), "targets-up", "has no such path .*404"),
    "wrong scheme": (in_job(scheme="https"), "targets-up", "speaks HTTP, and is asked by HTTPS"),
    "a key is wanted": (answering(1, key="secret"), "targets-up", "1 of 2 targets .* wants a key"),
    "another port": (
        lambda _, config, __: targets(config).__setitem__(0, "127.0.0.1:1"),
        "targets-up",
        "127.0.0.1:1 does not listen",
    ),
    "a page in place of metrics": (
        answering(0, edit=lambda _: "<html><body>Welcome</body></html>", kind="text/html"),
        "targets-up",
        "answers with something other than metrics",
    ),
    "out of order": (answering(0, status=503), "targets-up", "answers with an error .*503"),
    "sample limit exceeded": (in_job(sample_limit=100), "targets-up", "is refused for a limit"),
    "another service": (
        answering(1, edit=lambda _: "node_load1 0.5\nnode_boot_time_seconds 1.7e9\n"),
        "targets-ours",
        "another service answers at .*none of its 2 samples",
    ),
    "all series dropped": (drop("kronos_.*"), "targets-ours", "relabelling leaves 16, none of which"),
    "series in another job": (
        relabel(target_label="job", replacement="web"),
        "targets-ours",
        'have job="web", and its `up` has job="kronos-api"',
    ),
    "series of another instance": (
        relabel(source_labels=["instance"], target_label="instance", regex="(.*):.*"),
        "targets-ours",
        "there are series of 127.0.0.1, which is the name of no target",
    ),
    "all series renamed": (
        relabel(source_labels=["__name__"], regex="kronos_(.*)", target_label="__name__", replacement="prod_$1"),
        "targets-ours",
        "exposes Kronos, but none of its .* samples begins with kronos_ any more",
    ),
    "one name for all targets": (
        in_job(relabel_configs=[{"target_label": "instance", "replacement": "kronos"}]),
        "targets-once",
        "all have the labels instance=kronos, job=kronos-api",
    ),
    "two names for one process": (
        lambda stack, config, _: targets(config).append(stack.addresses[0].replace("127.0.0.1", "localhost")),
        "targets-once",
        "one process is scraped as .*localhost",
    ),
    "scraped by a second job, too": (another_job("web", 0), "targets-once", "is scraped by the job web, too"),
    "a second job that no rule reads": (
        another_job("web", 2),
        "jobs-watched",
        "1 instances are scraped by the job web",
    ),
    "scraped too seldom": (
        in_job(scrape_interval="10s", scrape_timeout="10s"),
        "scrape-pace",
        "is scraped every 10s, but .* must hold 4 scrapes",
    ),
    "a shorter timeout": (in_job(scrape_timeout="500ms"), "scrape-pace", "is 0.5 s, and was compiled as 1 s"),
    "near the sample limit": (
        in_job(sample_limit=640),
        "scrape-limits",
        "sample_limit .* is 640, and an instance can",
    ),
    "rules on a shard": (sharded, "targets-whole", "the scrape job kronos-api keeps 2 of 1000 parts of its targets"),
    "near the target limit": (in_job(target_limit=2), "scrape-limits", "target_limit .* is 2, and there are 2"),
    "a saved answer": (saved, "samples-fresh", "has answered the same 10 times in a row: its CPU time does not move"),
    "every other scrape fails": (flapping, "targets-up", "is up now, but .* of its last 12 scrapes failed"),
    "a metric dropped": (
        drop("kronos_queue_depth"),
        "series-present",
        "there is no kronos_queue_depth of any target",
    ),
    "a metric renamed": (
        relabel(source_labels=["__name__"], regex="kronos_draining", target_label="__name__", replacement="draining"),
        "series-present",
        "there is no kronos_draining",
    ),
    "a histogram dropped on one target": (
        lambda stack, *rest: relabel(
            action="drop",
            source_labels=["__name__", "instance"],
            regex=f"kronos_queue_wait_seconds.*;{stack.addresses[1]}",
        )(stack, *rest),
        "series-present",
        "there is no kronos_queue_wait_seconds of 127.0.0.1",
    ),
    "a target's label over ours": (
        lambda _, config, __: job(config).update(
            honor_labels=False, static_configs=[{"targets": targets(config), "labels": {"stage": "prod"}}]
        ),
        "series-labels",
        "displaces the one of the service, which is now exported_stage",
    ),
    "a label dropped": (
        relabel(action="labeldrop", regex="dtype"),
        "series-labels",
        "the label dtype is missing, on kronos_model_info",
    ),
    "a label rewritten": (
        relabel(source_labels=["route"], regex="/v1/(.+)", target_label="route", replacement="$1"),
        "series-labels",
        'is there with route="predict/batch", which the service never says',
    ),
    "an outcome dropped": (drop("kronos_requests_total;error", "status"), "series-complete", 'with status "error"'),
    "a bucket dropped": (
        drop("kronos_request_duration_seconds_bucket;5.0", "le"),
        "series-complete",
        'kronos_request_duration_seconds_bucket has no series with le "5"',
    ),
    "a sum dropped": (drop("kronos_queue_wait_seconds_sum"), "series-complete", "no kronos_queue_wait_seconds_sum"),
    "another spelling of le": (
        relabel(source_labels=["le"], regex=r"(\d+)\.0", target_label="le", replacement="${1}.000"),
        "bucket-bounds",
        'has le="5.000", and the rules read le=~',
    ),
    "two spellings of le": (
        lambda stack, *rest: relabel(
            source_labels=["instance", "le"],
            regex=stack.addresses[0] + r";(\d+)\.0",
            target_label="le",
            replacement="$1",
        )(stack, *rest),
        "bucket-bounds",
        "has le in two spellings, 1 and 1.0",
    ),
    "buckets dropped": (drop("kronos_.*_bucket"), "histograms", "arrive without their buckets"),
    "histograms converted": (
        in_job(convert_classic_histograms_to_nhcb=True),
        "histograms",
        "arrive as native histograms, and the rules read classic buckets",
    ),
    "rules not loaded": (
        lambda _, config, __: config.update(rule_files=[config["rule_files"][0].replace("*.rules", "none")]),
        "groups-once",
        "none of our groups is loaded",
    ),
    "alerts not loaded": (
        lambda _, config, __: config.update(rule_files=[config["rule_files"][0].replace("*", "kronos-rules")]),
        "groups-once",
        "kronos-availability-alerts:kronos-api, .* and 2 more is not loaded",
    ),
    "alerts loaded twice": (twice, "groups-once", "runs the group kronos-availability-alerts:kronos-api 2 times"),
    "rules of an older layout": (
        lambda _, __, rules: rules["kronos-alerts.rules.yml"]["groups"].append(
            {"name": "kronos", "rules": [copy.deepcopy(rule(rules, "KronosQueueSaturated"))]}
        ),
        "groups-once",
        "the group kronos .* has KronosQueueSaturated, as one of our groups has",
    ),
    "rules of a job that has gone": (
        lambda stack, _, rules: rules.update({"old.rules.yml": stack.rules_of("forecasts", "kronos-alerts")}),
        "groups-once",
        r"5 groups \(.*old.rules.yml\) read the job forecasts, which has no targets",
    ),
    "rules of a drill that was killed": (
        left_by_a_drill,
        "groups-once",
        r"5 groups of a drill that has not ended \(.*\) read the job kronos-drill",
    ),
    "a threshold edited": (
        lambda _, __, rules: rule(rules, "KronosHighMemoryUsage").update(
            expr=rule(rules, "KronosHighMemoryUsage")["expr"].replace("0.9", "0.99")
        ),
        "rules-equal",
        "KronosHighMemoryUsage: expr has 0.99 instead of 0.9",
    ),
    "another for": (
        lambda _, __, rules: rule(rules, "KronosHighMemoryUsage").update({"for": "1h"}),
        "rules-equal",
        "KronosHighMemoryUsage: for is 1h instead of ",
    ),
    "another severity": (
        lambda _, __, rules: rule(rules, "KronosHighMemoryUsage")["labels"].update(severity="info"),
        "rules-equal",
        "labels.severity is info instead of warning",
    ),
    "another interval": (
        lambda _, __, rules: group(rules, "kronos-work").update(interval="4s"),
        "rules-equal",
        "its interval is 4s instead of 2s",
    ),
    "another job in an expression": (
        lambda _, __, rules: rule(rules, "job:kronos_targets:count").update(expr='count by (job) (up{job="kronos"})'),
        "rules-equal",
        'expr .*has "kronos" instead of "kronos-api"',
    ),
    "a record renamed": (
        lambda _, __, rules: rule(rules, "job:kronos_targets:count").update(record="job:kronos_targets:total"),
        "rules-equal",
        "job:kronos_targets:count is missing; job:kronos_targets:total is there",
    ),
    "an outcome dropped on one target": (
        lambda stack, *rest: drop(f"kronos_requests_total;error;{stack.addresses[1]}", "status", "instance")(
            stack, *rest
        ),
        "series-complete",
        'kronos_requests_total has no series with status "error" on 1 of 2 targets',
    ),
    "a rule taken out": (
        lambda _, __, rules: group(rules, "kronos-causes")["rules"].pop(),
        "rules-equal",
        "is missing",
    ),
    "a limit on a group": (
        lambda _, __, rules: group(rules, "kronos-requests").update(limit=1),
        "rules-healthy",
        "job_route_status:kronos_requests:rate20s of kronos-requests:kronos-api fails: exceeded limit",
    ),
    "metrics of the process dropped": (
        drop("process_.*"),
        "alert-inputs",
        "there is no process_resident_memory_bytes .* KronosHighMemoryUsage reads",
    ),
    "a newer service": (
        edited(0, 'version="0.1.0"', 'version="1.0.0"'),
        "service-version",
        "1 instances have version 1.0.0, and this mixin is of",
    ),
    "a metric that the service lacks": (
        edited(0, r"(?m)^.*kronos_draining.*\n", ""),
        "service-contract",
        "exposes something else than the contract says: no kronos_draining",
    ),
    "another bucket": (
        edited(0, 'kronos_queue_wait_seconds_bucket{le="0.25"}', 'kronos_queue_wait_seconds_bucket{le="0.3"}'),
        "service-contract",
        "kronos_queue_wait_seconds_bucket",
    ),
    "a metric that the mixin does not know": (
        edited(0, r"\Z", "# TYPE kronos_new_total counter\nkronos_new_total 1\n"),
        "service-contract",
        "exposes kronos_new_total, which this mixin does not know",
    ),
}


def staging(stack: Bench, config: dict[str, Any], rules: dict[str, Any]) -> None:
    """A second environment, with rules of its own."""
    another_job("staging", 2)(stack, config, rules)
    for name in ("kronos-rules", "kronos-alerts"):
        rules[f"staging-{name}.rules.yml"] = stack.rules_of("staging", name)


def behaving(**changes: Any):
    """Let the instances behave in another way."""

    def sow(stack: Bench, *_: object) -> None:
        for served in stack.instances:
            served.instance.behave(replace(served.instance.behaviour, **changes))

    return sow


def labelled(**labels: str):
    return lambda _, config, __: job(config)["static_configs"][0].update(labels=labels)


def unloaded(text: str) -> str:
    """What an instance exposes before it has loaded its model."""
    text = re.sub(r"(?m)^kronos_model_info.*\n", "", text)
    return re.sub(r"(?m)^(kronos_model_ready|kronos_model_load_seconds)\{\} .*", r"\1{} 0", text)


NORMAL = {
    "labels of the target": (labelled(cluster="berlin", team="quant", pod="a"), 'kronos_build_info{team="quant"}'),
    "a label added to series": (relabel(target_label="team", replacement="a"), 'kronos_build_info{team="a"}'),
    "a second environment": (staging, 'job:kronos_targets:count{job="staging"}'),
    "no traffic": (behaving(flows=()), "sum(rate(kronos_requests_total[5s])) == 0"),
    "a GPU": (behaving(device="cuda:0"), "kronos_device_memory_used_bytes"),
    "no model yet": (answering(0, edit=unloaded), "kronos_model_ready == 0"),
    "a single instance": (lambda _, config, __: targets(config).pop(), 'count(up{job="kronos-api"}) == 1'),
    "generous limits": (in_job(sample_limit=2000, target_limit=50, label_limit=30), "up"),
}
"""What is no fault, and how Prometheus shows that it is there."""

FIRST = {check: fault for fault, (_, check, _) in reversed(FAULTS.items())}
"""The first fault of each check: what the oldest Prometheus is tried with."""


def try_out(stack: Bench, sow, check: str, message: str) -> None:
    """Break a stack that is well, and wait until verify says so."""
    stack.until(is_well)
    with stack.changed(sow):
        stack.until(
            lambda found: (
                wrong(found) == {check} and any(re.search(message, one.wrong) for one in found[check].findings)
            ),
        )


def live_with(stack: Bench, sow, expr: str) -> None:
    """Change a stack in a way that is no fault, and wait until verify is content with it."""
    with stack.changed(sow):
        stack.server.wait_for(expr)
        stack.until(is_well)


@pytest.mark.parametrize(
    ("version", "fault"),
    [("newest", fault) for fault in FAULTS] + [("oldest", fault) for fault in FIRST.values()],
)
def test_a_fault_is_found_by_its_check_alone(tried, version, fault):
    tried[version, fault].result()


@pytest.mark.parametrize(("version", "fault"), [("newest", name) for name in NORMAL])
def test_what_is_no_fault(tried, version, fault):
    tried[version, fault].result()
