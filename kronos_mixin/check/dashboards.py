"""Checks the form of dashboards: mistakes that Grafana imports silently, and then shows wrongly or not at all."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Any

from kronos_mixin.check.expressions import LEGEND_LABEL, Expression
from kronos_mixin.check.finding import Finding
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.promql import Labels

_UID = re.compile(r"[a-zA-Z0-9_-]{1,40}")  # Grafana refuses others.
_VARIABLE = re.compile(r"\$\{(\w+)(?:[:.][^}]*)?\}|\$(\w+)|\[\[(\w+)(?::[^\]]*)?\]\]")
_COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3}){1,2}|transparent|text")
_LINK = re.compile(r"/d/([\w-]+)")
_OWN_UNITS = ("prefix:", "suffix:")  # Units in free text.
_WIDTH = 24


@functools.cache
def vocabulary() -> Mapping[str, Any]:
    """The ids that Grafana knows, and of which version they are (made by proof/grafana_vocabulary.cjs)."""
    text = (resources.files(__package__) / "grafana_vocabulary.json").read_text(encoding="utf-8")
    data: Mapping[str, Any] = json.loads(text)
    return data


def check(mixin: Mixin, expressions: Iterable[Expression]) -> Iterator[Finding]:
    """Check the form of dashboards; expressions are checked elsewhere."""
    uids: set[str] = set()
    queries: dict[int, list[Expression]] = {}
    for one in expressions:
        queries.setdefault(id(one.holder), []).append(one)
    for name, dashboard in mixin.dashboards.items():
        file = f"grafana/{name}"
        for problem in (*_dashboard(dashboard, uids), *_variables(dashboard), *_grid(dashboard)):
            yield Finding(file, "", problem)
        for panel in dashboard["panels"]:
            place = f"panel {panel.get('title', panel.get('id'))!r}"
            problems = [*_panel(panel), *_ids(panel), *_links(panel, dashboard, mixin)]
            problems += _legends(panel, queries.get(id(panel), []))
            yield from (Finding(file, place, problem) for problem in problems)


def _dashboard(dashboard: Mapping[str, Any], uids: set[str]) -> Iterator[str]:
    uid = str(dashboard.get("uid"))
    if not _UID.fullmatch(uid):
        yield f"has the uid {uid!r}: 1 to 40 letters, digits, hyphens and underscores"
    if uid in uids:
        yield f"has the uid {uid} of another dashboard"
    uids.add(uid)
    for key in ("title", "description"):
        if not dashboard.get(key):
            yield f"has no {key}"
    numbers = [panel.get("id") for panel in dashboard["panels"]]
    for number in sorted({number for number in numbers if numbers.count(number) > 1}, key=str):
        yield f"has two panels with the id {number}"


def _variables(dashboard: Mapping[str, Any]) -> Iterator[str]:
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    shown = json.dumps([dashboard["panels"], dashboard.get("annotations")])
    everything = shown + json.dumps([dashboard["templating"], dashboard.get("links")])
    for name in names:
        if name not in _used(shown):
            yield f"has the variable {name}, which no panel uses"
        if names.count(name) > 1:
            yield f"has two variables {name}"
    # `$__interval` and the like are built into Grafana; `$__all` is a value.
    for name in sorted(_used(everything) - set(names)):
        if not name.startswith("__"):
            yield f"uses the variable {name}, which it does not have"


def _used(text: str) -> set[str]:
    # `$1` in a replacement is not a variable: names begin with a letter.
    return {name for groups in _VARIABLE.findall(text) for name in groups if name and not name[0].isdigit()}


def _grid(dashboard: Mapping[str, Any]) -> Iterator[str]:
    boxes = [(panel.get("title"), panel.get("gridPos") or {}) for panel in dashboard["panels"]]
    for title, box in boxes:
        if not all(isinstance(box.get(side), int) for side in "xywh"):
            yield f"{title!r} has a gridPos that is not in whole numbers"
            return
        if box["x"] < 0 or box["y"] < 0 or box["w"] < 1 or box["h"] < 1 or box["x"] + box["w"] > _WIDTH:
            yield f"{title!r} extends beyond the grid"
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        across = a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"]
        if across and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]:
            yield f"{one!r} overlaps {other!r}"


def _panel(panel: Mapping[str, Any]) -> Iterator[str]:
    for key in ("title", "description"):
        if not str(panel.get(key) or "").strip():
            yield f"has no {key}"
    targets = panel.get("targets", [])
    references = [target.get("refId") for target in targets]
    if len(set(references)) < len(references):
        yield "has two queries with the same refId"
    for target in targets:
        if target.get("datasource") != panel.get("datasource"):
            yield f"query {target.get('refId')} uses another data source than the panel"
    if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
        yield "has no unit"


def _ids(panel: Mapping[str, Any]) -> Iterator[str]:
    """Ids that Grafana does not know, and would silently ignore."""
    options, config = panel.get("options", {}), panel.get("fieldConfig", {})
    overrides = config.get("overrides", [])
    properties = [item for override in overrides for item in override.get("properties", [])]

    def set_to(name: str) -> list[Any]:
        """All values of a standard property, from the defaults and the overrides."""
        everywhere = [config.get("defaults", {}).get(name)]
        return [value for value in everywhere + [p.get("value") for p in properties if p.get("id") == name] if value]

    steps = [step for thresholds in set_to("thresholds") for step in thresholds.get("steps", [])]
    colours = [color.get("fixedColor") for color in set_to("color")] + [step.get("color") for step in steps]
    used = {
        "units": [unit for unit in set_to("unit") if not str(unit).startswith(_OWN_UNITS)],
        "reducers": [
            *options.get("reduceOptions", {}).get("calcs", []),
            *options.get("legend", {}).get("calcs", []),
        ],
        "colorModes": [color.get("mode") for color in set_to("color")],
        "colors": [colour for colour in colours if colour and not _COLOUR.fullmatch(colour)],
        "matchers": [override.get("matcher", {}).get("id") for override in overrides],
        # `custom.` ones depend on the kind of panel: proof/grafana_types.py checks them against Grafana's types.
        "properties": [p.get("id") for p in properties if not str(p.get("id")).startswith("custom.")],
        "transformers": [transformation.get("id") for transformation in panel.get("transformations", [])],
    }
    for kind, ids in used.items():
        for unknown in sorted({str(found) for found in ids} - set(vocabulary()[kind])):
            yield f"{unknown!r} is not among the {kind} that {vocabulary()['source']} knows"
    for thresholds in set_to("thresholds"):
        yield from _steps(thresholds.get("steps", []))


def _steps(steps: list[dict[str, Any]]) -> Iterator[str]:
    for step in steps:
        if not step.get("color"):
            yield f"the threshold step at {step.get('value')} has no color"
    values: list[Any] = [step.get("value") for step in steps]
    if values and (values[0] is not None or None in values[1:] or values[1:] != sorted(set(values[1:]))):
        yield f"threshold steps must begin at null and rise from there: {values}"


def _links(panel: Mapping[str, Any], dashboard: Mapping[str, Any], mixin: Mixin) -> Iterator[str]:
    """Links to our own dashboards, and the variables that they pass on."""
    boards = {board["uid"]: board for board in mixin.dashboards.values()}
    links = [*panel.get("links", []), *panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])]
    for link in links:
        for uid in _LINK.findall(link.get("url", "")):
            if uid not in boards:
                yield f"the link {link.get('title')!r} leads to {uid}, which is not a dashboard of the mixin"
                continue
            there, here = ({v["name"] for v in board["templating"]["list"]} for board in (boards[uid], dashboard))
            carried = {name for name in _used(link["url"]) if not name.startswith("__")}
            for name in sorted((carried - there) & here):
                yield f"the link {link.get('title')!r} passes the variable {name}, which {uid} does not have"


def _legends(panel: Mapping[str, Any], queries: list[Expression]) -> Iterator[str]:
    """Lines of one panel that could have the same name."""
    names: dict[str, str] = {}
    for target, query in zip(panel.get("targets", []), queries, strict=False):
        legend, reference = target.get("legendFormat", ""), target.get("refId")
        if not legend.strip():
            yield f"query {reference} has no legend"
            continue
        labels = query.reading.labels
        if labels is None:
            continue
        for label in _not_told(legend, labels):
            yield f"the legend of {reference} lacks {label}: lines that differ only in it would have the same name"
        for name in _names(legend, labels):
            if names.setdefault(name, reference) != reference:
                yield f"lines of {names[name]} and {reference} would both be called {name!r}"


def _not_told(legend: str, labels: Labels) -> list[str]:
    """The labels in which lines with the same name may differ."""
    shown = set(LEGEND_LABEL.findall(legend))
    differing = {label for label, values in labels.items() if values is None or len(values) > 1}
    if "instance" in shown:
        # An instance is one target, so its target labels need not be shown.
        return sorted(label for label in differing - shown if labels[label] is not None)
    return sorted(differing - shown)


def _names(legend: str, labels: Labels) -> set[str]:
    """All names that lines can have, where the values of labels are known."""
    parts = LEGEND_LABEL.split(legend)
    choices = [
        [part] if at % 2 == 0 else sorted(labels.get(part) or {"{{" + part + "}}"}) for at, part in enumerate(parts)
    ]
    return {"".join(choice) for choice in itertools.product(*choices)}
