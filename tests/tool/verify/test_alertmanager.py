"""Faults between a real Prometheus and a real Alertmanager, each found by its own check and by no other."""

from __future__ import annotations

import copy
import time
from contextlib import closing, contextmanager

import pytest
import yaml
from httpx import HTTPStatusError

from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import load_contract
from kronos_mixin.verify import alert_labels, delivery, muted, receivers
from kronos_mixin.verify.alertmanager import Alertmanager as Client
from kronos_mixin.verify.alertmanager import Metrics
from kronos_mixin.verify.check import Severity, State, outcomes
from kronos_mixin.verify.checks import CHECKS
from kronos_mixin.verify.stack import Stack
from proof.servers import alertmanager, binaries
from proof.servers.alertmanager import Alertmanager, Receivers, hurried
from proof.servers.central import compile_into
from proof.servers.process import free_port
from proof.servers.prometheus import Prometheus

TOOLS = alertmanager.every()
newest = pytest.mark.parametrize("manager", TOOLS[-1:], ids=lambda tools: tools.version, indirect=True)
OURS = [check.name for check in (*delivery.CHECKS, *alert_labels.CHECKS, *receivers.CHECKS, *muted.CHECKS)]
PLACES = [{"cluster": "berlin"}, {"cluster": "paris"}]
JOB = {
    "job_name": "kronos-api",
    "static_configs": [{"targets": ["127.0.0.1:9"], "labels": labels} for labels in PLACES],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("central")


@pytest.fixture(scope="module")
def mixin(folder):
    return compile_into(folder, {}, [JOB])


@pytest.fixture(scope="module")
def heard():
    with Receivers() as running:
        yield running


@pytest.fixture(scope="module", params=TOOLS, ids=lambda tools: tools.version)
def manager(request, mixin, heard):
    with Alertmanager(request.param, hurried(mixin.alertmanager, heard.url)) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(mixin, folder):  # noqa: ARG001 - It has written the configuration.
    with Prometheus(binaries.newest(), folder / "prometheus.yml", flags=["--rules.alert.resend-delay=1s"]) as running:
        yield running


class Bench:
    """The two servers, which a test may change; `restore` puts back what it changed."""

    def __init__(self, mixin, folder, prometheus, manager, heard):
        self.mixin, self.prometheus, self.manager = mixin, prometheus, manager
        self.config = hurried(mixin.alertmanager, heard.url)
        self._file = folder / "prometheus.yml"
        self._plain = {**yaml.safe_load(self._file.read_text()), "alerting": self.alerting(manager.url)}
        self._scraped = self._routed = None
        self._silences = []

    @staticmethod
    def alerting(*urls, **more):
        sets = []
        for url in urls:
            host, _, path = url.removeprefix("http://").partition("/")
            sets.append({"static_configs": [{"targets": [host]}], "path_prefix": f"/{path}"})
        return {"alertmanagers": sets, **more}

    def scrape(self, *, wait=True, **changes):
        config = {**self._plain, **changes}
        if config == self._scraped:
            return
        self._scraped = config
        self._file.write_text(yaml.safe_dump(config))
        self.prometheus.reload()
        sets = config["alerting"].get("alertmanagers", [])
        if wait:  # Discovery takes seconds.
            self.wait(lambda: sum(map(len, self.prometheus.alertmanagers().values())) == len(sets))

    def route(self, **changes):
        config = {**self.config, **changes}
        if config != self._routed:
            self._routed = config
            self.manager.reload(config)

    def ours(self):
        """A copy of the route to our receivers, below the root."""
        return copy.deepcopy(self.config["route"]["routes"][0])

    def below(self, *routes):
        self.route(route={**self.config["route"], "routes": list(routes)})

    def silence(self, *matchers, **when):
        self._silences.append(self.manager.silence(matchers, **when))

    def restore(self):
        while self._silences:
            self.manager.expire(self._silences.pop())
        self.route()
        self.scrape()

    @staticmethod
    def wait(condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @contextmanager
    def stack(self, **named):
        connections = Connections(prometheus=Connection(self.prometheus.url), **named)
        with Stack(connections, self.mixin, load_contract()) as stack:
            yield stack

    def found(self, **named):
        """What is wrong, but for checks that wait for another one: findings, or the reason why there are none."""
        with self.stack(**named) as stack:
            ended = list(outcomes(CHECKS, stack, OURS))
        return {
            one.check.name: one.reason or "; ".join(f.wrong for f in one.findings if f.severity is not Severity.note)
            for one in ended
            if one.state not in {State.ok, State.early} and not one.reason.endswith("has to be right first")
        }


@pytest.fixture(scope="module")
def shared(mixin, folder, prometheus, manager, heard):
    return Bench(mixin, folder, prometheus, manager, heard)


@pytest.fixture
def bench(shared):
    shared.restore()
    return shared


def test_nothing_is_found_where_all_is_well(bench):
    assert bench.found() == {}
    assert bench.found(alertmanager=Connection(bench.manager.url)) == {}


def test_every_alert_is_told_with_its_receivers(bench):
    with bench.stack() as stack:
        (told,) = outcomes(CHECKS, stack, ["receivers"])
    assert told.state is State.ok
    names = " ".join(finding.wrong for finding in told.findings)
    for group in bench.mixin.alerts:
        for rule in group["rules"]:
            assert rule["alert"] in names
    assert {finding.wrong.split()[0] for finding in told.findings} == {"kronos-page", "kronos-ticket", "kronos-info"}


def nobody(bench):
    bench.scrape(alerting={})


def dropped(bench):
    alerting = bench.alerting(bench.manager.url)
    alerting["alertmanagers"][0]["relabel_configs"] = [
        {"source_labels": ["__address__"], "action": "drop", "regex": ".+"}
    ]
    bench.scrape(alerting=alerting)


def down(bench):
    bench.scrape(alerting=bench.alerting(f"http://127.0.0.1:{free_port()}"))


def wrong_path(bench):
    bench.scrape(alerting=bench.alerting(f"{bench.manager.url}/alerts"))


def wrong_scheme(bench):
    alerting = bench.alerting(bench.manager.url)
    alerting["alertmanagers"][0]["scheme"] = "https"
    bench.scrape(alerting=alerting)


def bad_file(bench):
    with pytest.raises(HTTPStatusError):
        bench.route(route={"receiver": "unknown"})


def relabelling(**rule):
    def apply(bench):
        bench.scrape(wait=False, alerting=bench.alerting(bench.manager.url, alert_relabel_configs=[rule]))

    return apply


def relabelling_of_one(bench):
    alerting = bench.alerting(bench.manager.url)
    rule = {"source_labels": ["alertname"], "regex": "Kronos.*Memory.*", "action": "drop"}
    alerting["alertmanagers"][0]["alert_relabel_configs"] = [rule]
    bench.scrape(wait=False, alerting=alerting)


def no_route(bench):
    bench.below()


def mistyped_route(bench):
    bench.below({**bench.ours(), "matchers": ['alertname=~"Kronos_.+"']})


def mistyped_severity(bench):
    ours = bench.ours()
    ours["routes"][0]["matchers"] = ['severity="critcal"']
    bench.below(ours)


def taken_by_another(bench):
    """A route before ours takes all that is ours."""
    places = "|".join(place["cluster"] for place in PLACES)
    bench.below({"receiver": "kronos-info", "match_re": {"cluster": places}}, bench.ours())


def no_integration(bench):
    receivers = [{"name": one["name"]} if one["name"] == "kronos-page" else one for one in bench.config["receivers"]]
    bench.route(receivers=receivers)


def cluster_to_nobody(bench):
    receivers = [*bench.config["receivers"], {"name": "null"}]
    routes = [{"receiver": "null", "matchers": ["cluster=paris"]}, bench.ours()]
    bench.route(receivers=receivers, route={**bench.config["route"], "routes": routes})


def muted(key, interval):
    def apply(bench):
        ours = bench.ours()
        ours["routes"][0][key] = ["nights"]
        route = {**bench.config["route"], "routes": [ours]}
        bench.route(route=route, time_intervals=[{"name": "nights", "time_intervals": [interval]}])

    return apply


def no_inhibitions(bench):
    bench.route(inhibit_rules=[])


def one_inhibition_less(bench):
    bench.route(inhibit_rules=bench.config["inhibit_rules"][1:])


def edited_inhibition(bench):
    rules = copy.deepcopy(bench.config["inhibit_rules"])
    rules[0]["target_matchers"] = ['alertname="KronosHighErrorRate"']
    bench.route(inhibit_rules=rules)


def without_equal(bench):
    rules = copy.deepcopy(bench.config["inhibit_rules"])
    rules[0]["equal"] = []
    bench.route(inhibit_rules=rules)


def generic_without_equal(bench):
    wide = {"source_match": {"severity": "critical"}, "target_match_re": {"severity": "warning|info"}}
    bench.route(inhibit_rules=[*bench.config["inhibit_rules"], wide])


def mutes_a_page(bench):
    wide = {"source_matchers": ["alertname=~Kronos.+"], "target_matchers": ["alertname=KronosServiceDown"]}
    bench.route(inhibit_rules=[*bench.config["inhibit_rules"], {**wide, "equal": ["job", "cluster"]}])


def muted_by_another(bench):
    wide = {"source_matchers": ['alertname="Watchdog"'], "target_matchers": ['severity!="none"']}
    bench.route(inhibit_rules=[*bench.config["inhibit_rules"], wide])
    bench.manager.fire([{"alertname": "Watchdog", "severity": "none"}])


def silenced(name, value, *, regex=False, equal=True, **when):
    def apply(bench):
        bench.silence({"name": name, "value": value, "isRegex": regex, "isEqual": equal}, **when)

    return apply


ALWAYS, NEVER = {}, {"years": ["2001"]}
ON_THE_WAY = {
    "no Alertmanager": (nobody, "alertmanager-known", "to no Alertmanager"),
    "relabelling leaves it out": (dropped, "alertmanager-known", "leaves out the 1"),
    "a file with an error": (bad_file, "alertmanager-answers", "runs the one before"),
    "tickets are dropped": (
        relabelling(source_labels=["severity"], regex="warning", action="drop"),
        "alerts-relabelled",
        "relabelling drops Kronos",
    ),
    "only others are kept": (
        relabelling(source_labels=["team"], regex="ops|web", action="keep"),
        "alerts-relabelled",
        "and 23 more before they are sent",
    ),
    "some are dropped for one Alertmanager": (
        relabelling_of_one,
        "alerts-relabelled",
        "drops KronosHighGpuMemoryUsage, KronosHighMemoryUsage before",
    ),
    "the severity is taken off": (
        relabelling(regex="sever.*", action="labeldrop"),
        "alerts-relabelled",
        "changes the severity to nothing",
    ),
    "replicas tell themselves apart": (
        lambda bench: bench.scrape(wait=False, **{"global": {"external_labels": {"prometheus_replica": "a"}}}),
        "alerts-relabelled",
        "sent with the label prometheus_replica",
    ),
    "the severity is lowered": (
        relabelling(source_labels=["severity"], regex="critical", target_label="severity", replacement="warning"),
        "alerts-relabelled",
        "changes the severity to warning on",
    ),
}
IN_ALERTMANAGER = {
    "no route": (no_route, "receivers", "elsewhere, the receiver of all that no route takes, gets Kronos"),
    "a route with a typing error": (mistyped_route, "receivers", "elsewhere, the receiver"),
    "a severity with a typing error": (
        mistyped_severity,
        "receivers",
        'the route {alertname=~"Kronos.+"} {severity="critcal"} gets none of our alerts',
    ),
    "a route of others before ours": (
        taken_by_another,
        "receivers",
        'gets none of our alerts: {cluster=~"berlin|paris"} before it takes them all',
    ),
    "no integration": (no_integration, "receivers", "the receiver kronos-page, to which Kronos"),
    "an installation that leads to nobody": (
        cluster_to_nobody,
        "receivers",
        "and 22 more would go",
    ),
    "muted now": (muted("mute_time_intervals", ALWAYS), "mute-times", "(nights), and not now, by nights"),
    "muted at times": (muted("mute_time_intervals", NEVER), "mute-times", "are told at some times only (nights)"),
    "active at times": (muted("active_time_intervals", NEVER), "mute-times", "(nights), and not now, by nights"),
    "no inhibitions": (no_inhibitions, "inhibitions", "none of the inhibitions of"),
    "one inhibition less": (
        one_inhibition_less,
        "inhibitions",
        "KronosModelNotReady does not mute KronosErrorBudgetBurn, KronosHighErrorRate, KronosHighLatency",
    ),
    "an inhibition of fewer": (edited_inhibition, "inhibitions", "KronosServiceDown does not mute KronosErrorBudget"),
    "an inhibition without equal": (without_equal, "inhibitions", "of one installation mute"),
    "everybody's inhibition without equal": (generic_without_equal, "inhibitions", "of every other"),
    "a ticket mutes a page": (
        mutes_a_page,
        "inhibitions",
        "KronosEventLoopBlocked (warning) mutes KronosServiceDown",
    ),
    "another team's alert mutes ours": (muted_by_another, "inhibitions", "Watchdog, which fires now, mutes Kronos"),
    "all are silenced": (silenced("alertname", "Kronos.*", regex=True), "silences", "a silence hides Kronos"),
    "one instance is silenced": (silenced("instance", "127.0.0.1:9"), "silences", "KronosEventLoopBlocked (warning)"),
    "one installation is silenced": (
        silenced("cluster", "paris"),
        "silences",
        '{cluster="paris"}, by test (up',
    ),
    "all others are silenced": (silenced("team", "ops", equal=False), "silences", '{team!="ops"}'),
    "a label that can't be known": (silenced("client", "crawler"), "silences", "hides KronosExcessiveRateLimiting"),
    "a silence that will begin": (silenced("severity", "critical", begins=600), "silences", "a silence will hide"),
}


@newest
@pytest.mark.parametrize("fault", IN_ALERTMANAGER)
def test_a_fault_in_alertmanager_is_found_by_its_check_alone(bench, fault):
    found_alone(bench, *IN_ALERTMANAGER[fault])


@newest
@pytest.mark.parametrize("fault", ON_THE_WAY)
def test_a_fault_on_the_way_is_found_by_its_check_alone(bench, fault):
    found_alone(bench, *ON_THE_WAY[fault])


def found_alone(bench, apply, check, said):
    apply(bench)
    found = bench.found()
    assert list(found) == [check], found
    assert said in found[check]


HARMLESS = {
    "another team is silenced": silenced("alertname", "DiskFull"),
    "another cluster is silenced": silenced("cluster", "rome"),
    "replicas that are dropped": lambda bench: bench.scrape(
        wait=False,
        **{"global": {"external_labels": {"replica": "a"}}},
        alerting=bench.alerting(
            bench.manager.url, alert_relabel_configs=[{"action": "labeldrop", "regex": "replica"}]
        ),
    ),
    "the severity has another name": lambda bench: [
        bench.below({**bench.ours(), "receiver": "kronos-page", "routes": []}),
        relabelling(source_labels=["severity"], regex="(w).+", target_label="severity", replacement="P$1")(bench),
    ],
    "labels are added": relabelling(target_label="region", replacement="eu"),
    "external labels": lambda bench: bench.scrape(**{"global": {"external_labels": {"zone": "a", "severity": "x"}}}),
    "a narrow inhibition for everybody": lambda bench: bench.route(
        inhibit_rules=[
            *bench.config["inhibit_rules"],
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity=~"warning|info"'],
                "equal": ["cluster", "alertname"],
            },
        ]
    ),
    "one rule says what several said": lambda bench: bench.route(
        inhibit_rules=[
            *bench.config["inhibit_rules"][1:],
            {
                "source_match_re": {"alertname": "KronosServiceDown|KronosModelNotReady|KronosTargetMissing"},
                "target_match_re": {"alertname": "|".join(RATIOS)},
                "equal": ["job", "namespace", "cluster"],
            },
        ]
    ),
    "a second receiver for all": lambda bench: bench.below({"receiver": "elsewhere", "continue": True}, bench.ours()),
    "a route by installation": lambda bench: bench.below(
        *({**bench.ours(), "matchers": [f"cluster={place['cluster']}"]} for place in PLACES)
    ),
}
RATIOS = ("KronosErrorBudgetBurn", "KronosHighErrorRate", "KronosHighLatency", "KronosHighTimeoutRate")
RATIOS += ("KronosLatencyBudgetBurn", "KronosNothingSucceeds", "KronosSlowInference")


@newest
@pytest.mark.parametrize("change", HARMLESS)
def test_what_is_no_fault_is_not_found(bench, change):
    HARMLESS[change](bench)
    assert bench.found() == {}


@newest
def test_another_alertmanager_was_named(bench, heard):
    with Alertmanager(bench.manager.tools, hurried(bench.mixin.alertmanager, heard.url)) as other:
        found = bench.found(alertmanager=Connection(other.url))
        bench.scrape(alerting=bench.alerting(bench.manager.url, other.url))
        assert list(bench.found()) == ["alertmanager-cluster"]
    assert list(found) == ["alertmanager-known"]
    assert f"which is not {other.url}" in found["alertmanager-known"]


@newest
@pytest.mark.parametrize(
    ("fault", "said"),
    [(down, "refused"), (wrong_path, "answers 404"), (wrong_scheme, "can't be trusted")],
    ids=["down", "path", "scheme"],
)
def test_alerts_go_to_where_no_alertmanager_is(bench, fault, said):
    fault(bench)
    found = bench.found()
    assert list(found) == ["alertmanager-answers"], found
    assert said in found["alertmanager-answers"]
    # The one that is named is well, but Prometheus does not send there.
    found = bench.found(alertmanager=Connection(bench.manager.url))
    assert list(found) == ["alertmanager-known"], found
    assert "where no Alertmanager answers: http" in found["alertmanager-known"]


@newest
def test_one_of_two_alertmanagers_is_not_there(bench):
    bench.scrape(alerting=bench.alerting(bench.manager.url, "http://127.0.0.1:9"))
    found = bench.found(alertmanager=Connection(bench.manager.url))
    assert list(found) == ["alertmanager-known"], found
    assert "http://127.0.0.1:9, where no Alertmanager answers" in found["alertmanager-known"]


@newest
def test_the_one_that_was_named_is_down(bench):
    found = bench.found(alertmanager=Connection(f"http://127.0.0.1:{free_port()}"))
    assert list(found) == ["alertmanager-answers"], found


@newest
def test_the_same_alertmanager_under_another_name(bench):
    assert bench.found(alertmanager=Connection(bench.manager.url.replace("127.0.0.1", "localhost"))) == {}


@newest
def test_alerts_that_do_not_arrive(bench, folder):
    rule = {"alert": "Always", "expr": "vector(1)"}
    (folder / "always.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "always", "rules": [rule], "interval": "1s"}]})
    )
    files = [str(folder / "always.yml"), "prometheus/kronos-*.yml"]
    bench.scrape(rule_files=files, alerting=bench.alerting(f"{bench.manager.url}/wrong"))
    bench.wait(lambda: errors(bench))
    assert "could send none of" in bench.found(alertmanager=Connection(bench.manager.url))["alertmanager-known"]


def errors(bench):
    counted = Metrics(bench.prometheus.text("/metrics")).by("alertmanager", "prometheus_notifications_errors_total")
    return counted.get(f"{bench.manager.url}/wrong/api/v2/alerts")


@newest
def test_notifications_that_do_not_get_through(bench):
    url = f"http://127.0.0.1:{free_port()}"
    receivers = [{"name": one["name"], "webhook_configs": [{"url": url}]} for one in bench.config["receivers"]]
    with Alertmanager(bench.manager.tools, {**bench.config, "receivers": receivers}) as deaf:
        bench.scrape(alerting=bench.alerting(deaf.url))
        deaf.fire([{"alertname": "KronosServiceDown"}])
        bench.wait(lambda: failures(deaf))
        found = bench.found(alertmanager=Connection(deaf.url))
    assert list(found) == ["notifications-sent"]
    assert "notifications by webhook got through" in found["notifications-sent"]


def failures(manager):
    with closing(Client(Connection(manager.url))) as client:
        counted = client.metrics.by("integration", "alertmanager_notification_requests_failed_total")
    return counted.get("webhook")
