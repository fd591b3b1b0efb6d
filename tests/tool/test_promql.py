"""Expressions that Prometheus would accept, and answer with nothing."""

import pytest

from kronos_mixin import promql

KNOWN = {
    "requests_total": frozenset({"job", "instance", "route", "status"}),
    "limited_total": frozenset({"job", "instance", "client"}),
    "seconds_bucket": frozenset({"job", "instance", "le"}),
    "ready": frozenset({"job", "instance"}),
    "job:requests:rate5m": frozenset({"job"}),
    "ALERTS": None,
}


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("requests_total", {"job", "instance", "route", "status"}),
        ('{__name__="ready", job="a"}', {"job", "instance"}),
        ("sum(rate(requests_total[5m]))", set()),
        ("sum by (job, route) (rate(requests_total[5m]))", {"job", "route"}),
        ("sum without (instance, status) (requests_total)", {"job", "route"}),
        ("topk(3, requests_total)", {"job", "instance", "route", "status"}),
        ("topk(3, requests_total) by (job)", {"job", "instance", "route", "status"}),
        ("max_over_time(sum by (job) (requests_total)[1h:1m])", {"job"}),
        ("histogram_quantile(0.9, sum by (job, le) (rate(seconds_bucket[5m])))", {"job"}),
        ('label_replace(ready, "zone", "$1", "instance", "(.*)")', {"job", "instance", "zone"}),
        ('absent(ready{job="a", instance=~"b.*"})', {"job"}),
        ("vector(0)", set()),
        ("1 - ready", {"job", "instance"}),
        ("-ready > bool (2 * 3)", {"job", "instance"}),
        ("sum by (job) (requests_total) / sum by (job) (limited_total)", {"job"}),
        ("requests_total * on (job, instance) group_left () ready", {"job", "instance", "route", "status"}),
        ("ready * on (job, instance) group_right () requests_total", {"job", "instance", "route", "status"}),
        ("requests_total and on (job) job:requests:rate5m", {"job", "instance", "route", "status"}),
        ("sum by (job) (ready) or vector(0)", {"job"}),
        ("rate(requests_total[$__rate_interval])", {"job", "instance", "route", "status"}),
        ("avg_over_time(ready[${__interval}])", {"job", "instance"}),
    ],
)
def test_labels_of_the_result(expression, labels):
    reading = promql.read(expression, KNOWN)
    assert reading.problems == []
    assert reading.labels == labels


def test_series_that_are_read():
    reading = promql.read("sum(ready) / sum(rate(requests_total[5m])) > 0 unless ALERTS", KNOWN)
    assert reading.series == {"ready", "requests_total", "ALERTS"}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(", "is not PromQL"),
        ("rate(requests_total)", "is not PromQL"),
        ('requests_total{route=~"("}', "is not PromQL"),
        ("rate(request_total[5m])", "reads request_total, which nothing exposes"),
        ('{job="a"}', "reads series without a name"),
        ('requests_total{state="error"}', "matches state, which requests_total does not have"),
        ('requests_total{job="a" or state="error"}', "matches state"),
        ("sum by (rout) (requests_total)", "groups by rout"),
        ("sum by (route) (sum by (job) (requests_total))", "groups by route"),
        ("histogram_quantile(0.9, sum by (job) (seconds_bucket))", "takes a quantile over le"),
        # What an alert of a public bundle does: the sides differ in their labels, so it never fires.
        ("requests_total > 0 and ready == 0", "never matches: only one of its sides has route, status"),
        ("limited_total / requests_total", "never matches: only one of its sides has client, route, status"),
        ("sum by (job) (requests_total) / ready", "never matches: only one of its sides has instance"),
        ("requests_total and on (client) limited_total", "matches on client, which the left side of and"),
        ("requests_total * ignoring (status) group_left () ready", "only one of its sides has route"),
        ('absent(read{job="a"})', "reads read,"),
    ],
)
def test_problems(expression, problem):
    assert any(problem in found for found in promql.read(expression, KNOWN).problems)


def test_unknown_labels_are_not_held_against_anybody():
    assert promql.read('count by (route) (ALERTS{alertname="A"})', KNOWN).problems == []
    assert promql.read("ALERTS and ready", KNOWN).problems == []
