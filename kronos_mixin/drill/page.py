"""The report of a drill as an HTML page that needs nothing else, for the file and for the printer."""

from __future__ import annotations

import html

from kronos_mixin.drill.report import EXPLAINED, Line, Report, remark, told

_STYLE = """
:root { color-scheme: light dark; --good: #2a7d3b; --bad: #c4162a; --line: #8884; }
:root { --wait: #c9c9c9; --fire: #e0752d; --fade: #f2b98f; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
h1 b { color: var(--good); } h1 b.bad { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1rem 0; }
dt { opacity: .7; } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.r { white-space: nowrap; }
td small { display: block; opacity: .7; }
tr.bad td:first-child { border-left: 3px solid var(--bad); } .lost { color: var(--bad); }
svg { display: block; width: 100%; min-width: 9rem; height: 1.1rem; }
svg text { font-size: 9px; fill: currentColor; }
.key span { display: inline-block; width: .9rem; height: .6rem; margin: 0 .3rem 0 1rem; }
footer { margin-top: 1.5rem; opacity: .7; font-size: .85rem; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } tr { break-inside: avoid; } }
"""


def page(report: Report) -> str:
    """The whole page."""
    longest = max([1.0, *(_end(line) for line in report.lines)])
    rows = "\n".join(_row(line, longest) for line in report.lines)
    facts = {
        "Result": report.summary,
        "Began": f"{report.began}, took {report.seconds:.0f} s",
        "Prometheus": report.prometheus,
        "Alertmanager": report.alertmanager or "none",
        "Jobs": f'{report.job}-*, with the label drill="true"',
        "Afterwards": report.removed,
    }
    told_facts = "\n".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items())
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in report.notes)
    verdict = "<b>passed</b>" if report.ok else '<b class="bad">not passed</b>'
    keys = "".join(
        f'<span style="background: var({colour})"></span>{words}'
        for colour, words in (
            ("--wait", "fault, not yet firing"),
            ("--fire", "firing"),
            ("--fade", "mended, still firing"),
        )
    )
    columns = ("Alert", "Severity", f"Course, {longest:.0f} s", "Fires", "Arrives", "Resolved", "Receivers", "")
    heads = "".join(f"<th>{column}</th>" for column in columns)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Drill of the Kronos alerts, {html.escape(report.began)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Drill of the Kronos alerts: {verdict}</h1>
<dl>
{told_facts}
</dl>
{f"<ul>{notes}</ul>" if notes else ""}
<p class="key">{keys}</p>
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<footer>{html.escape(EXPLAINED).replace("`for`", "<code>for</code>")}</footer>
</body>
</html>
"""


def _row(line: Line, longest: float) -> str:
    cause = f"<small>{html.escape(line.cause)}</small>" if line.cause else ""
    said = html.escape(remark(line))
    cells = [
        f"<td>{html.escape(line.name)}<small>{html.escape(line.fault)}</small></td>",
        f"<td>{html.escape(line.labels.get('severity', ''))}</td>",
        f"<td>{_course(line, longest)}</td>",
        *(
            f'<td class="n">{told(times, stage)}</td>'
            for times, stage in ((line.after, "firing"), (line.after, "arrived"), (line.then, "resolved"))
        ),
        f'<td class="r">{"<br>".join(map(html.escape, line.receivers)) or "-"}</td>',
        f"<td{' class=lost' if line.lost else ''}>{said}{cause}</td>",
    ]
    return f"<tr{' class=bad' if line.lost else ''}>{''.join(cells)}</tr>"


def _course(line: Line, longest: float) -> str:
    """A bar with the phases of a fault: until it fires, until it is mended, until the alert is resolved."""
    fires, mended, end = line.after.get("firing"), line.after.get("mended", 0.0), _end(line)
    spans = [(0.0, mended if fires is None else fires, "--wait")]
    if fires is not None:
        spans += [(fires, mended, "--fire"), (mended, end, "--fade")]
    bars = "".join(
        f'<rect x="{100 * begin / longest:.2f}%" width="{100 * max(stop - begin, 0) / longest:.2f}%" '
        f'y="3" height="11" style="fill: var({colour})"/>'
        for begin, stop, colour in spans
    )
    return f'<svg role="img" aria-label="{html.escape(line.name)}: {end:.0f} s">{bars}</svg>'


def _end(line: Line) -> float:
    """Seconds from the beginning of the fault to the last that was seen of it."""
    return line.after.get("mended", 0.0) + max(line.then.values(), default=0.0)
