"""Stacks in which agents write to VictoriaMetrics, and vmalert evaluates: there is no target to ask for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from kronos_mixin.compile import render, write
from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import mixin_path
from kronos_mixin.drill.kronos import Instance
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.check import State
from proof.servers import victoriametrics
from proof.servers.process import free_port
from tests.tool.verify.bench import CONTRACT, Served, knobs, outcomes_of, told, wait_until, wrong

VERSIONS = victoriametrics.every()
STEP, PAST = 5, 180
"""Seconds between samples, and how far back they go."""
NAMES = ("forecasts-1:8000", "forecasts-2:8000")
AT_ONCE = "-search.latencyOffset=1s"


@pytest.fixture(scope="module")
def mixin(tmp_path_factory):
    own = knobs(*NAMES)
    folder = tmp_path_factory.mktemp("compiled")
    found = evaluate(
        mixin_path(),
        {
            "kronos": {
                **own,
                # VictoriaMetrics evaluates no more than 100,000 points of a subquery.
                **dict.fromkeys(("evaluationInterval", "slowEvaluationInterval"), "5s"),
                "scrape": {"targets": list(NAMES), "interval": f"{STEP}s", "timeout": f"{STEP}s"},
            }
        },
    )
    write(render(found), folder)
    return found, sorted((folder / "prometheus").glob("kronos-*.yml"))


def lines(instance: Instance, number: int, at: float, change: Callable[[str, dict[str, str]], list[dict[str, str]]]):
    """A scrape of an instance, as an agent writes it; `change` makes each series into several, or none."""
    target = {"job": "kronos-api", "instance": NAMES[number], "pod": f"kronos-{number}"}
    text = instance.scrape() + "up{} 1\nscrape_duration_seconds{} 0.01\nscrape_samples_scraped{} 700\n"
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        labels, _, value = rest.rpartition("} ")
        for added in change(name, target):
            shown = ",".join([*filter(None, [labels]), *(f'{label}="{text}"' for label, text in added.items())])
            yield f"{name}{{{shown}}} {value} {int(at * 1000)}\n"


@contextmanager
def written(
    tools: victoriametrics.Tools,
    change: Callable[[str, dict[str, str]], list[dict[str, str]]] = lambda _, target: [target],
    until: float = 0,
) -> Iterator[str]:
    """A VictoriaMetrics into which agents write since a while; `until` is when they stopped, in seconds from now."""
    clock = time.time() - PAST
    served = [Served(2.0 + number).instance for number in range(2)]
    instances = [Instance(CONTRACT, "", one.behaviour, clock=lambda: clock) for one in served]
    ended = threading.Event()
    with victoriametrics.storing(tools, AT_ONCE) as url, httpx.Client(trust_env=False) as client:

        def write_on() -> None:
            nonlocal clock
            while clock < time.time() + until:
                body = "".join(
                    line
                    for number, instance in enumerate(instances)
                    for line in lines(instance, number, clock, change)
                )
                client.post(f"{url}/api/v1/import/prometheus", content=body.encode()).raise_for_status()
                clock += STEP

        def keep_on() -> None:
            while not ended.wait(0.5):
                write_on()

        write_on()
        client.get(f"{url}/internal/force_flush").raise_for_status()
        thread = threading.Thread(target=keep_on)
        thread.start()
        try:
            yield url
        finally:
            ended.set()
            thread.join()


def servers(url: str, *rulers: str) -> Connections:
    return Connections(prometheus=Connection(url), rulers=tuple(map(Connection, rulers)))


def verify(mixin, *urls: str):
    return outcomes_of(servers(*urls), mixin[0])


def until(right, mixin, *urls: str):
    return wait_until(right, servers(*urls), mixin[0])


def messages(found, check: str) -> str:
    return "\n".join(finding.wrong for finding in found[check].findings)


def evaluating(mixin, tools, url: str, *flags: str):
    return victoriametrics.alerting(tools, mixin[1], url, "-notifier.blackhole", *flags)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.version)
def test_all_is_well_until_a_second_ruler_writes(mixin, version):
    with ExitStack() as running:
        url = running.enter_context(written(version))
        writing = (f"-remoteWrite.url={url}", f"-remoteRead.url={url}")
        ruler = running.enter_context(evaluating(mixin, version, url, *writing))
        found = until(lambda found: not wrong(found), mixin, url, ruler)
        assert not [name for name, outcome in found.items() if outcome.state is State.unasked], told(found)
        assert {name for name, outcome in found.items() if outcome.state is State.skipped} == {
            "retention",
            "targets-whole",
            "scrape-limits",
            "service-contract",
        }
        # Without its address nobody knows what it evaluates.
        alone = verify(mixin, url)
        assert "name who does, such as vmalert, by --ruler URL" in alone["rulers-answer"].reason
        assert alone["groups-once"].state is State.unasked
        assert not wrong(alone)
        second = running.enter_context(evaluating(mixin, version, url, *writing, "-external.label=replica=two"))
        # Its own rules may fail, for they find everything twice, too.
        found = until(lambda found: wrong(found) - {"rules-healthy"} == {"recorded-once"}, mixin, url, ruler, second)
        assert "they differ in replica (none, two)" in messages(found, "recorded-once")


def test_a_ruler_that_writes_elsewhere(mixin):
    tools = VERSIONS[-1]
    with ExitStack() as running:
        url, other = running.enter_context(written(tools)), running.enter_context(victoriametrics.storing(tools))
        ruler = running.enter_context(evaluating(mixin, tools, url, f"-remoteWrite.url={other}"))
        found = until(lambda found: wrong(found) == {"recorded-series"}, mixin, url, ruler)
        assert "should be there soon" in messages(found, "recorded-series")
        found = verify(mixin, url, f"http://127.0.0.1:{free_port()}")
        assert wrong(found) == {"rulers-answer"}
        assert "can't be reached" in messages(found, "rulers-answer")


def replicated(_: str, target: dict[str, str]) -> list[dict[str, str]]:
    return [{**target, "prometheus_replica": replica} for replica in ("a", "b")]


def without_up(name: str, target: dict[str, str]) -> list[dict[str, str]]:
    return [] if name == "up" else [target]


def federated(_: str, target: dict[str, str]) -> list[dict[str, str]]:
    return [{**target, "job": "federate", "exported_job": target["job"]}]


def nameless(_: str, target: dict[str, str]) -> list[dict[str, str]]:
    return [{**target, "instance": "gateway:443"}]


@pytest.mark.parametrize(
    ("change", "ended", "check", "message"),
    [
        (replicated, 0, "targets-once", "is there 2 times: they differ in prometheus_replica (a, b)"),
        (nameless, 0, "targets-once", "2 processes are called gateway:443: they differ in"),
        (without_up, 0, "targets-found", "but not `up`: what collects them leaves it out"),
        (federated, 0, "targets-found", "the job federate collects kronos-api, and has renamed its label job"),
        (None, -100, "samples-fresh", "2 of 2 targets have no recent sample: the last of forecasts-"),
    ],
    ids=["replicas", "one name for two", "no up", "federated", "stopped"],
)
def test_a_fault_of_what_writes(mixin, change, ended, check, message):
    with written(VERSIONS[-1], *([change] if change else []), until=ended) as url:
        found = verify(mixin, url)
        assert wrong(found) == {check}, told(found)
        assert message in messages(found, check)


def test_another_server_answers(mixin):
    with victoriametrics.storing(VERSIONS[-1]) as url:
        found = verify(mixin, f"{url}/nowhere")
        assert wrong(found) == {"prometheus-answers"}
        assert {outcome.state for outcome in found.values()} == {State.error, State.unasked}
        assert wrong(verify(mixin, url)) == {"targets-found"}
