"""What a drill found: for programs (JSON), for people (Markdown), and for the file (HTML, see `page`)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kronos_mixin.drill.causes import Causes
from kronos_mixin.drill.environment import LABEL
from kronos_mixin.drill.play import Case, Stage


@dataclass(frozen=True)
class Line:
    """One alert. Times are seconds after its fault began, or after it was mended."""

    alert: str
    labels: Mapping[str, str]
    fault: str
    began: str
    after: Mapping[str, float]
    """pending, firing, arrived, mended: seconds after the fault began."""
    then: Mapping[str, float]
    """resolved, gone: seconds after the fault was mended."""
    receivers: tuple[str, ...]
    really: tuple[str, ...]
    """The receivers of the real alert, which has the real job's name and no label `drill`; none if not known."""
    muted_by: tuple[str, ...]
    """Alerts that mute this one in Alertmanager, and time intervals in which its route says nothing."""
    lost: str
    """The stage that it did not reach; empty: it was seen all the way."""
    cause: str

    @property
    def name(self) -> str:
        """The alert, and what tells its rules apart."""
        return " ".join(
            [self.alert, *(self.labels[key] for key in ("long", "short", "histogram") if key in self.labels)]
        )


@dataclass(frozen=True)
class Report:
    """A whole drill."""

    began: str
    seconds: float
    prometheus: str
    alertmanager: str
    job: str
    lines: tuple[Line, ...]
    undrilled: Mapping[str, str]
    """Alerts that were left out, and why."""
    strangers: tuple[str, ...]
    """Alerts of others that the drill has set off."""
    undelivered: Mapping[str, int]
    """Notifications, of any alert, that Alertmanager could not deliver meanwhile, by integration."""
    removed: str = ""
    """What is left of the drill, in words."""
    clean: bool = True
    """Whether nothing is left of it."""

    @property
    def ok(self) -> bool:
        """Whether every alert was seen all the way, and nothing is left of the drill."""
        return self.clean and not any(line.lost for line in self.lines)

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        good = sum(not line.lost for line in self.lines)
        receivers = sorted({name for line in self.lines for name in line.receivers})
        return f"{good} of {len(self.lines)} alerts fired, arrived and resolved" + (
            f"; receivers: {', '.join(receivers)}" if receivers else ""
        )

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"ok": self.ok, **asdict(self)}

    def markdown(self) -> str:
        """As Markdown, which is read as it is, too."""
        servers = f"Prometheus {self.prometheus}, Alertmanager {self.alertmanager or 'none'}"
        notes = [f"- {note}" for note in self.notes]
        return "\n".join(
            [
                f"# Drill of the Kronos alerts: {'passed' if self.ok else 'not passed'}",
                "",
                f"{self.summary}. {self.began}, {self.seconds:.0f} s; {servers}. {self.removed}",
                "",
                "| alert | severity | fires after | arrives after | resolved after | receivers | |",
                "|---|---|---:|---:|---:|---|---|",
                *(_row(line) for line in self.lines),
                *(["", *notes] if notes else []),
                "",
                EXPLAINED,
                "",
            ]
        )

    @property
    def notes(self) -> list[str]:
        """What the table does not tell."""
        lost = [f"{line.name} got lost at {line.lost}: {line.cause}" for line in self.lines if line.lost]
        left_out = [f"{name} was left out: {why}" for name, why in self.undrilled.items()]
        others = [f"Its targets set off alerts of others: {', '.join(self.strangers)}"] if self.strangers else []
        failed = [
            f"Alertmanager could not deliver {count} notifications by {name} meanwhile: its log says why"
            for name, count in self.undelivered.items()
        ]
        return [*lost, *failed, *left_out, *others]


EXPLAINED = (
    "Seconds count from the beginning of the fault, and for the resolution from its end. Windows and `for` are "
    "seconds in a drill where those of the installation are minutes."
)


def _row(line: Line) -> str:
    cells = [
        line.name,
        line.labels.get("severity", ""),
        told(line.after, "firing"),
        told(line.after, "arrived"),
        told(line.then, "resolved"),
        ", ".join(line.receivers) or "-",
        remark(line),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def told(times: Mapping[str, float], stage: str) -> str:
    """How long it took to reach a stage."""
    return f"{times[stage]:.1f} s" if stage in times else "-"


def remark(line: Line) -> str:
    """What there is to say of an alert; `ok` if nothing."""
    words = [f"lost at {line.lost}"] if line.lost else []
    words += [f"muted by {', '.join(line.muted_by)}"] if line.muted_by else []
    words += [f"the real one goes to {', '.join(line.really)}"] if differs(line) else []
    return "; ".join(words) or "ok"


def differs(line: Line) -> bool:
    """Whether the real alert goes to others than the one of the drill."""
    return bool(line.receivers and line.really) and set(line.really) != set(line.receivers)


def line_of(case: Case, causes: Causes, job: str) -> Line:
    """What is told of a case; `job` is that of the real installation."""
    lost = causes.lost(case)
    sent = case.sent
    after = {stage.value: at - case.began for stage, at in case.times.items() if stage in _FIRST}
    then = {stage.value: at - case.mended for stage, at in case.times.items() if stage not in _FIRST}
    really: tuple[str, ...] = ()
    if sent is not None and causes.routing is not None:
        real = {name: value for name, value in sent.labels.items() if name != LABEL} | {"job": job}
        really = tuple(causes.routing.receivers(real))
    return Line(
        case.expected.alert,
        dict(case.labels) if sent is None else dict(sent.labels),
        case.fault.says,
        _utc(case.began),
        _rounded({**after, "mended": case.mended - case.began} if case.mended else after),
        _rounded(then),
        () if sent is None else sent.receivers,
        really,
        () if sent is None else tuple(dict.fromkeys((*sent.inhibited_by, *sent.muted_by))),
        lost.stage if lost else "",
        lost.cause if lost else "",
    )


_FIRST = (Stage.pending, Stage.firing, Stage.arrived)


def _rounded(times: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds, 1) for name, seconds in times.items()}


def _utc(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""
