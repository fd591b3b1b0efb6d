"""What can go wrong, and what must be right then."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from kronos_service.api.paths import SINGLE_PATH
from proof.ray.bench import TARGETS_PORT, Bench, Result, Wrong, more
from proof.scene.live import series

REPLICAS = 2
_SOME = 60
"""Requests before and after what happens."""


def client_leaves(bench: Bench, _results: list[Result]) -> None:
    """A client that leaves is cancelled as one that left, and not as by a shutdown."""
    value = 'sum by (cause) (last_over_time(kronos_cancellations_total{cause=~"client_disconnect|shutdown"}[3h]))'
    try:
        httpx.post(f"{bench.url}{SINGLE_PATH}", json=series(2000, 512, samples=32), trust_env=False, timeout=3)
    except httpx.ReadTimeout:
        seen = bench.prometheus.wait_for(value, lambda found: any(sample.value for sample in found), timeout=120)
        causes = {sample.labels["cause"]: sample.value for sample in seen}
        if causes != {"client_disconnect": 1, "shutdown": 0}:
            raise Wrong(f"a client left, and counted was {causes}") from None
        bench.prometheus.wait_for('ray_serve_num_http_requests_total{status_code="499"}', timeout=120)
    else:
        raise Wrong("the forecast came before the client could leave")


def rolling_update(bench: Bench, results: list[Result]) -> None:
    """New replicas for old ones."""
    before = bench.targets()
    with bench.calling("rolling update", results) as clients:
        more(clients, _SOME)
        bench.deploy({"log_rejections": "21"}, num_replicas=REPLICAS)
        bench.until_running(REPLICAS, without=before)
        more(clients, _SOME)
    _expect_nothing_lost(results[-1])


def broken_model(bench: Bench, results: list[Result]) -> None:
    """A model that cannot be loaded is rolled out, and taken back."""
    good = bench.targets()
    with bench.calling("broken model rolled out and back", results) as clients:
        bench.deploy({"model": "/no/model", "tokenizer": "/no/tokenizer"}, num_replicas=REPLICAS)
        bench.prometheus.wait_for('ALERTS{alertname="KronosInstanceNotReady",alertstate="firing"}', timeout=300)
        bench.prometheus.wait_for('kronos_model_loads_total{outcome="not_found"} > 0', timeout=300)
        more(clients, 2 * _SOME)
        if not good <= bench.up():
            raise Wrong("good replicas were stopped for broken ones")
        bench.deploy({"log_rejections": "21"}, num_replicas=REPLICAS)
        bench.until_running(REPLICAS)
    _expect_nothing_lost(results[-1])


def replica_killed(bench: Bench, results: list[Result]) -> None:
    """kill -9 of a replica that has work."""
    before = bench.targets()
    (victim,) = [target for target in before if bench.nodes.is_head(target)][:1]
    with bench.calling("replica killed (kill -9)", results, exact=False) as clients:
        more(clients, _SOME)
        bench.nodes.kill_listener(int(victim.rpartition(":")[2]))
        bench.until_running(REPLICAS, without={victim})
        more(clients, _SOME)
    if results[-1].lost:
        lost = 'last_over_time(ALERTS{alertname="KronosRayRequestsLost",alertstate="firing"}[10m])'
        bench.prometheus.wait_for(lost, timeout=120)


def registry_killed(bench: Bench, results: list[Result]) -> None:
    """kill -9 of the registry of targets: Prometheus goes on with those that it knows."""
    before, start = bench.targets(), time.monotonic()
    with bench.calling("registry killed (kill -9)", results) as clients:
        more(clients, _SOME)
        bench.nodes.kill_listener(TARGETS_PORT)
        bench.nodes.until("the registry to be gone", lambda: not _answers(bench))
        bench.nodes.until("the registry to know all replicas again", lambda: bench.targets() == before)
        more(clients, _SOME)
    meanwhile = f"{time.monotonic() - start:.0f}s:1s"
    fewest = bench.prometheus.query(f'min_over_time(count(up{{job="kronos-api"}})[{meanwhile}])')
    if [sample.value for sample in fewest] != [REPLICAS]:
        raise Wrong(f"Prometheus lost targets meanwhile: {fewest}")
    _expect_nothing_lost(results[-1])


def autoscaling(bench: Bench, results: list[Result]) -> None:
    """More replicas under load, and one when it is over."""
    scaling = {
        "min_replicas": 1,
        "max_replicas": 3,
        "target_ongoing_requests": 1,
        "upscale_delay_s": 2,
        "downscale_delay_s": 5,
        "look_back_period_s": 5,
    }
    bench.deploy({"log_rejections": "21"}, autoscaling_config=scaling)
    bench.until_running(1)
    with bench.calling("autoscaling from 1 to 3 and back", results, callers=1) as clients:
        with clients.calling(7):
            bench.until_running(3)
        bench.until_running(1)
        more(clients, _SOME)
    _expect_nothing_lost(results[-1])
    bench.deploy({"log_rejections": "21"}, num_replicas=REPLICAS)
    bench.until_running(REPLICAS)


def node_cut_off(bench: Bench, results: list[Result]) -> None:
    """The second node loses its network, with one or two of three replicas on it: each node has room for two."""
    bench.deploy({"log_rejections": "21"}, num_replicas=REPLICAS + 1)
    away = {target for target in bench.until_running(REPLICAS + 1) if not bench.nodes.is_head(target)}
    with bench.calling("node cut off", results, exact=False) as clients:
        more(clients, _SOME)
        bench.nodes.cut()
        bench.nodes.until("the targets there to be forgotten", lambda: not bench.targets() & away)
        bench.nodes.until("the others to be scraped", lambda: bench.up() == bench.targets())
        more(clients, _SOME)


def _answers(bench: Bench) -> bool:
    try:
        bench.targets()
    except httpx.HTTPError:
        return False
    return True


def _expect_nothing_lost(result: Result) -> None:
    if result.lost or result.refused:
        raise Wrong(f"{result.name}: lost {result.lost}, refused {result.refused}")


SCENARIOS: tuple[Callable[[Bench, list[Result]], None], ...] = (
    client_leaves,
    rolling_update,
    broken_model,
    replica_killed,
    registry_killed,
    autoscaling,
    node_cut_off,
)
