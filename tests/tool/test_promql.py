"""Expressions that Prometheus accepts, but for which it returns nothing."""

import pytest

from kronos_mixin import promql

TARGET = {"job": None, "instance": None}
ROUTES = frozenset({"/single", "/batch"})
STATUSES = frozenset({"success", "error", "timeout"})
KNOWN = {
    "requests_total": TARGET | {"route": ROUTES, "status": STATUSES},
    "limited_total": TARGET | {"client": None},
    "seconds_bucket": TARGET | {"le": frozenset({"1.0", "5.0", "+Inf"})},
    "seconds": TARGET,
    "ready": TARGET,
    "job:requests:rate5m": {"job": None},
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
        ('sum by (job) (rate(seconds_bucket{le="+Inf"}[5m]))', {"job"}),
        ('sum(seconds_bucket{job="a", le=~"1|1.0"} or seconds_bucket{job="b", le=~"5([.]0)?"})', set()),
        ("sum without (instance) (seconds_bucket)", {"job", "le"}),
        ("histogram_quantile(0.9, sum by (job, le) (rate(seconds_bucket[5m])))", {"job"}),
        ("histogram_quantile(0.9, sum by (job) (rate(seconds[5m])))", {"job"}),
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
    assert set(reading.labels) == labels


@pytest.mark.parametrize(
    ("expression", "label", "values"),
    [
        ("requests_total", "route", ROUTES),
        ('requests_total{status="error"}', "status", {"error"}),
        ('requests_total{status!="error"}', "status", {"success", "timeout"}),
        ('requests_total{status=~"error|timeout"}', "status", {"error", "timeout"}),
        ('requests_total{status!~"error|timeout"}', "status", {"success"}),
        ('requests_total{status=~".*e.*", status!="error"}', "status", {"success", "timeout"}),
        ('requests_total{status=~"$status"}', "status", STATUSES),
        ('sum by (status) (rate(requests_total{status="error"}[5m]))', "status", {"error"}),
        ('requests_total{status="error"} or requests_total{status="success"}', "status", {"error", "success"}),
        ('sum by (status) (requests_total{status="error"}) or vector(0)', "status", {"error", ""}),
        ('requests_total{job="a" or status="error"}', "status", STATUSES),
        ("ready * on (job, instance) group_left (status) requests_total", "status", STATUSES),
        ('absent(ready{job="a"})', "job", {"a"}),
        ('label_replace(ready, "le", "5.0", "", "")', "le", {"5.0"}),
        ('label_replace(ready, "le", "$1", "instance", "(.*)")', "le", None),
        ('ready{job="a"}', "job", {"a"}),
        ('ready{job=~"a|b"}', "job", None),
    ],
)
def test_values_of_a_label_of_the_result(expression, label, values):
    reading = promql.read(expression, KNOWN)
    assert reading.problems == []
    assert reading.labels[label] == values


def test_series_by_a_pattern():
    reading = promql.read('count by (zone) ({__name__=~"requests_.*"})', KNOWN)
    assert (reading.problems, reading.labels) == ([], {"zone": None})


def test_selectors():
    reading = promql.read('1 - max_over_time(rate(requests_total{job!~"a"}[5m])[1h:]) / ready', KNOWN)
    counter, gauge = reading.selectors
    assert (counter.name, counter.matchers) == ("requests_total", (("job", "!~", "a"),))
    assert counter.functions == ("rate", "max_over_time")
    assert counter.counted
    assert not gauge.counted


def test_series_that_are_read():
    reading = promql.read("sum(ready) / sum(rate(requests_total[5m])) > 0 unless ALERTS", KNOWN)
    assert reading.series == {"ready", "requests_total", "ALERTS"}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(", "is no PromQL"),
        ("newest(ready)", "can't read it"),
        ("rate(requests_total)", "is no PromQL"),
        ('requests_total{route=~"("}', "is no PromQL"),
        ("rate(request_total[5m])", "reads request_total, which nothing exposes"),
        ('{job="a"}', "reads series without a name"),
        ('{__name__=~"requests?"}', "reads requests?, which matches nothing"),
        ('requests_total{state="error"}', "matches state, which requests_total does not have"),
        ('requests_total{job="a" or state="error"}', "matches state"),
        # A value that is none, among others that are some.
        ('requests_total{status="erorr"}', "matches status='erorr', which status of requests_total never is"),
        ('requests_total{status!="erorr"}', "matches status!='erorr'"),
        ('requests_total{status=~"error|timeouts"}', "matches status=~'timeouts'"),
        ('requests_total{status!~"error|timeouts"}', "matches status!~'timeouts'"),
        ('requests_total{route=~"/v2/.*"}', "matches route=~'/v2/.*'"),
        ('seconds_bucket{le="50"}', "it is +Inf, 1.0, 5.0"),
        # Prometheus keeps `le` as it was written: 5 is not 5.0.
        ('seconds_bucket{le="5"}', "services write 5.0, OpenTelemetry collectors 5;"),
        ('seconds_bucket{le=~"1.0|5.0"}', 'le=~"5([.]0)?" matches both'),
        ('seconds_bucket{le!="5.0"}', "matches only one spelling of le"),
        ("sum by (rout) (requests_total)", "groups by rout"),
        ("sum by (route) (sum by (job) (requests_total))", "groups by route"),
        ("histogram_quantile(0.9, sum by (job) (seconds_bucket))", "takes a quantile over le"),
        ("sum by (job) (rate(seconds_bucket[5m]))", "takes the sum of buckets of every le"),
        ("avg without (le) (seconds_bucket)", "takes the avg of buckets of every le"),
        ('sum(seconds_bucket{le="1.0"} or seconds_bucket{le=~"1.0|5.0"})', "takes the sum of buckets of every le"),
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


def test_series_with_arbitrary_labels_cause_no_problems():
    assert promql.read('count by (route) (ALERTS{alertname="A"})', KNOWN).problems == []
    assert promql.read("ALERTS and ready", KNOWN).problems == []


@pytest.mark.parametrize(
    ("written", "laid_out"),
    [
        ("sum( x )by(a)", "sum by (a) (x)"),
        ("  sum( x ) # why\n    + 1\n", "sum( x ) # why\n  + 1"),
        ("    # why\n    x\n", "# why\nx"),
        ("x{a='#'}", 'x{a="#"}'),
        ("x[ 5m*2 ]", "x[ 5m*2 ]"),
    ],
)
def test_comments_and_newer_promql_stay_as_they_were_written(written, laid_out):
    assert promql.pretty(written) == laid_out


@pytest.mark.parametrize(
    ("expression", "how"),
    [
        ("up == 0", ""),
        ("memory / on (job, instance) limit > 0.9", ""),
        ("memory / ignoring (device) limit > 0.9", ""),
        ("max by (instance) (rate(requests_total[5m])) > 0", ""),
        ("max without (route) (requests_total)", ""),
        ("time() - started > 60 and vector(1)", ""),
        ("sum(", ""),
        ("sum(up)", "takes the sum of several instances"),
        ("avg by (job) (up) < 0.5", "takes the avg of several instances"),
        ("topk(1, up)", "takes the topk of several instances"),
        ("up == 0 and max without (instance) (up) == 1", "takes the max of several instances"),
        ("up == 0 and on (job) ready", "compares instances with one another by and"),
        ("up unless ignoring (instance) ready", "compares instances with one another by unless"),
        ("max_over_time(sum(up)[1h:1m])", "takes the sum of several instances"),
        ("abs(-(job:requests:rate5m)) > 1", "reads job:requests:rate5m, which is recorded of all instances"),
        ("rate(job:requests:sum[5m])", "reads job:requests:sum, which is recorded of all instances"),
        ('absent(up{job="a"})', "asks by absent whether there is any instance"),
        ("up > scalar(wanted)", "asks by scalar whether there is any instance"),
    ],
)
def test_expressions_that_look_at_one_instance_alone(expression, how):
    assert promql.mixes_instances(expression) == how
