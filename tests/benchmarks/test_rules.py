"""The fleet of which the rules' cost is measured is what a Prometheus would see of real instances."""

from __future__ import annotations

import time

import httpx
import pytest

from benchmarks.rules import evaluation, slopes
from benchmarks.rules.evaluation import Cost, Load
from benchmarks.rules.fleet import Fleet
from kronos_mixin.contract import load_contract
from proof.servers import binaries
from proof.servers.prometheus import Prometheus


def test_the_past_and_the_scrapes_are_the_same_series():
    """And so many as an instance has: the benchmark once made up thousands, of labels whose values are open."""
    fleet = Fleet(load_contract(), 2, time.time() - 60)
    times = [time.time() - 45, time.time() - 30]
    past = fleet.past(times)
    flags = ["--web.enable-remote-write-receiver"]
    with fleet.serve() as job, Prometheus(binaries.newest(), {}, flags=flags) as server:
        evaluation._write(server, fleet, past, times)
        written = server.series('{job="kronos-api"}', times[0], times[1])
        (rose,) = server.query(
            'kronos_requests_total{instance="kronos-00001:8000", status="success", route=~".*single"}'
        )
        server.reload({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})
        server.wait_for("count(scrape_samples_scraped > 0) == 2")
        scraped = server.series('{job="kronos-api", __name__!~"scrape_.*"}', times[0], time.time())
        address = job["relabel_configs"][1]["replacement"]
        body = httpx.get(f"http://{address}{job['metrics_path']}", trust_env=False).text
    assert len(written) == 2 * (len(body.splitlines()) + 1)
    assert sorted(map(str, scraped)) == sorted(map(str, written))
    assert rose.value == pytest.approx(4 * 30, abs=5)


def test_what_many_cost_follows_from_few():
    group = {"name": "one:kronos-api", "interval": "30s", "rules": []}
    loads = [
        Load(
            size, 600 * size, 600, 0.001 * size, 2**20 * size, {"ours": {group["name"]: Cost(0.5 + 0.001 * size, 9)}}
        )
        for size in (10, 20)
    ]
    (row,) = slopes.groups(loads, [group], "ours").rows
    assert row == {
        "group": "one",
        "at 10, ms": pytest.approx(510),
        "at 20, ms": pytest.approx(520),
        "took at 20, ms": 9000,
        "at 10000, s": pytest.approx(10.5),
        "of its interval": pytest.approx(0.35),
    }
    *_, many = slopes.server(loads, [group], "ours").rows
    assert many["series"] == 6_000_000
    assert many["cores to scrape"] == pytest.approx(10)
    assert many["cores for rules"] == pytest.approx(0.35)
