"""`nox -s proof`: every alert on a real fault, in the oldest and the newest Prometheus, with a real Alertmanager.

Prints a table, with `--write` into docs/proof.md: from the fault until each alert fires and from the mending until it
resolves, with the defaults (as promtool finds it for the scenarios in tests/mixin/scenarios/timing.py) and here,
where minutes are seconds; and the receiver of the Alertmanager example that heard of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from scenarios.timing import ONSETS

from kronos_mixin.compile import render
from kronos_mixin.contract import mixin_path
from kronos_mixin.documents import fill
from kronos_mixin.documents.reference import table
from kronos_mixin.jsonnet import evaluate
from proof.servers import alertmanager, binaries
from proof.servers.alertmanager import Alertmanager, Receivers, hurried
from tests.e2e.faults import FAULTS
from tests.e2e.performance import PATIENCE, WITHOUT_A_FAULT, Performance

DOCUMENT = Path(__file__).parents[2] / "docs" / "proof.md"


@dataclass(frozen=True)
class Seen:
    """Seconds until an alert fired and, after the mending, resolved; and who heard of it."""

    fired: float
    resolved: float
    receiver: str


def routes() -> dict[str, object]:
    """The Alertmanager example without its inhibitions, which have tests of their own: here everybody is heard."""
    text = render(evaluate(mixin_path()))["alertmanager/alertmanager-example.yml"]
    return {key: value for key, value in yaml.safe_load(text).items() if key != "inhibit_rules"}


def prove(tools: binaries.Tools, folder: Path) -> dict[str, Seen]:
    """What each alert did, in one Prometheus. Raises if one does not fire or resolve."""
    with (
        Receivers() as receivers,
        Alertmanager(alertmanager.every()[-1], hurried(routes(), receivers.url)) as manager,
    ):
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [manager.url.removeprefix("http://")]}]}]}
        with Performance(tools, folder, alerting) as performance:
            server = performance.server
            for job, fault in FAULTS.items():
                server.wait_for(
                    f'last_over_time(ALERTS{{alertstate="firing", job="{job}"}}[30m])',
                    lambda found, names=frozenset(fault.alerts): {s.labels["alertname"] for s in found} >= names,
                    timeout=PATIENCE,
                )
                say(f"{tools.version}: {', '.join(fault.alerts)} fired ({words(job)})")
            deadline = time.monotonic() + PATIENCE
            while missing := [key for key in wanted() if not heard(receivers, *key)]:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"No receiver has heard of {missing}")
                time.sleep(0.2)
            performance.mend()
            for job, fault in FAULTS.items():
                names = "|".join(fault.alerts)
                server.wait_for(
                    f'ALERTS{{alertstate="firing", job="{job}", alertname=~"{names}"}}',
                    lambda found: not found,
                    timeout=PATIENCE,
                )
            say(f"{tools.version}: all have resolved")
            begin, end = min(performance.broken.values()), time.time()
            step = max(1, (end - begin) // 10_000)
            times: dict[tuple[str, str], list[float]] = {}
            for one in server.query_range('ALERTS{alertstate="firing"}', begin, end, step):
                key = one.labels.get("job", ""), one.labels["alertname"]
                times.setdefault(key, []).extend(at for at, _ in one.points)
            return {
                alert: Seen(
                    max(0, min(times[job, alert]) - performance.broken[job]),
                    max(0, max(times[job, alert]) + step - performance.mended[job]),
                    " ".join(sorted(heard(receivers, job, alert))),
                )
                for job, alert in wanted()
            }


def wanted() -> Iterator[tuple[str, str]]:
    """The job and the name of each alert."""
    return ((job, alert) for job, fault in FAULTS.items() for alert in fault.alerts)


def heard(receivers: Receivers, job: str, alert: str) -> set[str]:
    """Who has heard of an alert of a job."""
    return {name for name, one in list(receivers.heard) if (one.get("job"), one["alertname"]) == (job, alert)}


def words(job: str) -> str:
    return job.replace("-", " ")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def rows(proofs: Mapping[str, Mapping[str, Seen]]) -> Iterator[list[str]]:
    """One row for each alert, with the seconds in each version of Prometheus."""
    for job, alert in wanted():
        onset = ONSETS[alert]
        seen = [proof[alert] for proof in proofs.values()]
        yield [
            alert,
            words(job),
            f"{onset.fires} s",
            "stays" if onset.resolves is None else f"{onset.resolves} s",
            *(f"{one.fired:.0f} s, {one.resolved:.0f} s" for one in seen),
            ", ".join(sorted({one.receiver for one in seen})),
        ]


def main() -> None:
    """Prove it in each version, and print or write the table."""
    parser = argparse.ArgumentParser(prog="nox -s proof --", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/proof.md")
    parser.add_argument("--prometheus", choices=("oldest", "newest"), help="only this one")
    options = parser.parse_args()
    versions = binaries.every()
    chosen = {"oldest": versions[:1], "newest": versions[-1:]}.get(options.prometheus, [versions[0], versions[-1]])
    proofs = {}
    for tools in dict.fromkeys(chosen):
        with tempfile.TemporaryDirectory(prefix="kronos-proof-") as folder:
            proofs[tools.version] = prove(tools, Path(folder))
    head = ["alert", "fault", "fires by default", "resolves by default", *(f"in {v}" for v in proofs), "receiver"]
    text = table(head, rows(proofs))
    text += f"\n\nWithout a fault here: {', '.join(sorted(WITHOUT_A_FAULT))}."
    say(text)
    if options.write:
        page = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(fill(page, {"proof": lambda _: text}), encoding="utf-8")


if __name__ == "__main__":
    main()
