"""What a mistake has to get past, the cheapest first. Runs in a copy of the checkout, in a process of its own.

Generated files never give a mistake away: they are generated anew before any gate looks, as whoever made it would.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kronos_mixin import contract, documents, jsonnet
from kronos_mixin.compile import render, write
from kronos_mixin.jsonnet import Mixin
from proof.servers import binaries, promtool

EQUIVALENT, SURVIVED = "equivalent", "survived"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which gate caught a mistake, and what it said first."""

    gate: str
    said: str = ""


@dataclass(frozen=True)
class Made:
    """What the mixin makes, part by part: with its defaults, and with every knob at a value of its own."""

    parts: Mapping[str, str]
    configured: Mapping[str, str]
    contract: str
    runbooks: Mapping[str, str]
    alerts: Mapping[str, str]
    """An alert whose own rules, and those that it reads, are the same does the same."""


NOTHING = Made({}, {}, "", {}, {})


def make(root: Path) -> tuple[Made, Mixin, Mapping[str, str]]:
    """Compile the mixin below `root`, and write the files for Prometheus and Grafana, and the documents.

    Raises whatever is wrong with it.
    """
    import distinct
    import needs

    mixin = root / "mixin"
    contract.load_contract(mixin / "metrics.json")
    data = jsonnet.evaluate(mixin)
    files = render(data)
    write(files, root / "monitoring", data.name)
    documents.write(mixin, data)
    every = jsonnet.evaluate(mixin, {"kronos": distinct.KNOBS})
    of = dict.fromkeys(needs.names(every), every) | dict.fromkeys(needs.names(data), data)
    made = Made(
        parts=_parts(data),
        configured=_parts(every),
        # In order: clients see values and boundaries in the order of the contract.
        contract=json.dumps(json.loads((mixin / "metrics.json").read_text())),
        runbooks={path.name: path.read_text() for path in sorted((mixin / "runbooks").glob("*.md"))},
        alerts={name: str([(part := needs.needed(one, {name})).rules, part.alerts]) for name, one in of.items()},
    )
    return made, data, files


def _parts(data: Mixin) -> dict[str, str]:
    return {field.name: json.dumps(getattr(data, field.name)) for field in dataclasses.fields(data)}


def judge(root: Path, before: Made) -> Outcome:
    """Ask each gate that may know something about a mistake, until one refuses it."""
    # The files stay as they are for as long as this process lives.
    jsonnet.evaluate = _remembering(jsonnet.evaluate)
    try:
        after, data, files = make(root)
    except Exception as error:
        return Outcome("compile", f"{type(error).__name__}: {error}")
    if after == before:
        return Outcome(EQUIVALENT)
    for gate, ask in _gates(root, before, after, data, files):
        if said := ask():
            return Outcome(gate, said)
    return Outcome(SURVIVED)


def refusal(root: Path) -> Outcome:
    """What a gate has against the mixin as it is: then it would catch every mistake."""
    return judge(root, NOTHING)


def _remembering(evaluate: Callable[..., Mixin]) -> Callable[..., Mixin]:
    known: dict[str, Mixin] = {}

    @functools.wraps(evaluate)
    def remembered(mixin: Path, config: Any = (), **options: Any) -> Mixin:
        key = repr((mixin, config, options))
        if key not in known:
            known[key] = evaluate(mixin, config, **options)
        return known[key]

    return remembered


def _gates(
    root: Path, before: Made, after: Made, data: Mixin, files: Mapping[str, str]
) -> Iterable[tuple[str, Callable[[], str]]]:
    import needs

    changed = {
        part
        for old, new in ((before.parts, after.parts), (before.configured, after.configured))
        for part in new
        if old.get(part) != new[part]
    }
    records, boards = "rules" in changed, "dashboards" in changed
    rules = records or "alerts" in changed
    metrics = after.contract != before.contract
    alerts = {
        name
        for name in before.alerts.keys() | after.alerts.keys()
        if before.alerts.get(name) != after.alerts.get(name)
    }
    if "config" in changed:  # The knobs of those that are off by default.
        alerts |= data.config["alerts"].keys() - needs.names(data)
    newest = binaries.newest().version

    everything = (
        ("check", True, lambda: _check(root, data, files)),
        ("tests of the contract", metrics, lambda: _pytest("contract/test_contract.py", "contract/test_limits.py")),
        ("tests of knobs", rules or boards, lambda: _pytest("mixin/test_knobs.py")),
        ("tests of alerts' texts", rules, lambda: _pytest("mixin/test_annotations.py")),
        (
            "tests of records",
            records,
            lambda: _pytest("mixin/test_records.py", words=f"({newest} and as_exposed) or every_record"),
        ),
        ("tests of panels", boards, lambda: _pytest("mixin/test_panels.py")),
        (
            "tests of dashboards",
            boards,
            lambda: _pytest("mixin/test_dashboards.py", "mixin/test_data_source.py", words="not faults_are_found"),
        ),
        (
            "tests of examples",
            bool(changed & {"alertmanager", "scrape_configs"}),
            lambda: _pytest("mixin/test_scrape.py", "mixin/test_alertmanager.py", words="not 0.25"),
        ),
        (
            "tests of manifests",
            "manifests" in changed,
            lambda: _pytest("mixin/test_scaling.py", "tool/test_kustomize.py"),
        ),
        ("scenarios", bool(alerts), lambda: _scenarios(root, alerts)),
        (
            "tests of Ray",
            any(name.startswith("KronosRay") for name in alerts),
            lambda: _pytest("mixin/test_ray.py", words=f"{newest} or off_by_default"),
        ),
        ("tests of the centre", "central" in changed, lambda: _pytest("mixin/test_central.py", words=newest)),
        (
            "tests of configs",
            rules or boards,
            lambda: _pytest("mixin/test_config.py", words="not loads and not engines and not dashboard"),
        ),
        (
            "tests of native histograms",
            records,
            lambda: _pytest("mixin/test_records.py", words=f"{newest} and native"),
        ),
        ("tests of the service", metrics, lambda: _pytest_anew(root, "service/telemetry", "contract")),
        (
            "panels over a history",
            boards or metrics,
            lambda: _pytest_anew(root, "e2e/test_panels.py", words="history or overview or every_variable"),
        ),
        (
            "runbooks over a live service",
            metrics or after.runbooks != before.runbooks,
            lambda: _pytest_anew(root, "e2e/test_runbooks.py"),
        ),
    )
    return ((gate, ask) for gate, applies, ask in everything if applies)


def _check(root: Path, data: Mixin, files: Mapping[str, str]) -> str:
    from kronos_mixin.check.ours import check

    found = check(data, contract.load_contract(), files, root / "monitoring", root / "mixin", configured=False)
    return "; ".join(str(one) for one in found[:1])


def _scenarios(root: Path, alerts: set[str]) -> str:
    """First the scenarios in which `alerts` fire, then all others: an alert may fire where it must not."""
    import needs
    import unit_tests
    from scenarios import SCENARIOS, alerts_of

    expected = set().union(*map(alerts_of, SCENARIOS))
    mixin = unit_tests.installations()
    if strange := needs.names(mixin) ^ expected:
        return f"an alert without a scenario, or a scenario without its alert: {', '.join(sorted(strange))}"
    tools, folder = binaries.newest(), root / ".scenarios"
    folder.mkdir(exist_ok=True)
    about = [one for one in SCENARIOS if not one.about or one.about.split()[0] in alerts]
    for first in (True, False):
        chosen = [one for one in about if alerts.isdisjoint(alerts_of(one)) != first]
        for checked, together in unit_tests.slices(mixin, chosen).items():
            rules = needs.needed(mixin, checked & alerts)
            for batch in unit_tests.batches(together) if rules.alerts else ():
                try:
                    failed = unit_tests.failures(tools, unit_tests.write(batch, rules, folder / "batch.yml"))
                except promtool.CheckFailed as error:
                    return str(error)
                if failed:
                    return str(batch[min(failed)].name)
    return ""


class _First:
    """A pytest plugin that keeps the name of the first test that failed."""

    def __init__(self) -> None:
        self.said = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._note(report)

    def pytest_collectreport(self, report: Any) -> None:
        self._note(report)

    def _note(self, report: Any) -> None:
        if report.failed and not self.said:
            self.said = report.nodeid.rpartition("/")[2]


_ARGUMENTS = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")


def _pytest(*paths: str, words: str = "") -> str:
    """The first test that fails, in this process."""
    import pytest

    first, said = _First(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main([*_ARGUMENTS, "-k", words, *(f"tests/{path}" for path in paths)], plugins=[first])
    return first.said or ("" if code == 0 else f"pytest ended with {code}: {said.getvalue()[-300:]}")


def _pytest_anew(root: Path, *paths: str, words: str = "") -> str:
    """The same in a process of its own, for what starts servers and threads."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *_ARGUMENTS, "-k", words, *(f"tests/{path}" for path in paths)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'service'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [
        line.split()[1].rpartition("/")[2]
        for line in done.stdout.splitlines()
        if line.startswith(("FAILED ", "ERROR "))
    ]
    return failed[0] if failed else "" if done.returncode == 0 else f"pytest ended with {done.returncode}"
