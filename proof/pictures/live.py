"""`kronos-mixin serve` in a browser: a foreign mixin of an old schema, a save, an error, and a broken dashboard."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proof.pictures.browser import Browser
from proof.servers.process import Process, free_port

_OLD = Path(__file__).with_suffix(".json")
_MIXIN = "{ grafanaDashboards: { 'old.json': (import 'old.json') + { title: '%s' }, 'new.json': %s } }"
_BROKEN = "{ title: 'Broken', uid: 'new', templating: { list: [{ name: 'x', type: 'hologram' }] } }"
_WHOLE = "{ title: 'Whole', uid: 'new', panels: [{ type: 'text', title: 'Words', options: { content: 'hello' } }] }"

_STATES = {"Graph": "Done", "Single": "Done", "Gauge": "Done", "Pie": "Done", "Logs": "Done", "Wrong": "Error"}
_TEXTS = {"Single": "50%", "Pie": "drawn by Grafana only", "Logs": "Its data is in loki"}


def problems(app: Path, prometheus: str, browser: Browser, work: Path) -> Iterator[str]:
    """What is wrong with the page in `app`, over the Prometheus at an address. `work` is an empty folder."""
    file, port = work / "mixin.jsonnet", free_port()
    (work / "old.json").write_text(_OLD.read_text(encoding="utf-8"), encoding="utf-8")
    file.write_text(_MIXIN % ("First", _BROKEN), encoding="utf-8")
    argv = [sys.executable, "-m", "kronos_mixin", "serve", "--mixin", str(file), "--prometheus", prometheus]
    with Process(
        [*argv, "--app", str(app), "--port", str(port)], cwd=work, log=work / "log", name="kronos-mixin serve"
    ) as process:
        url = f"http://127.0.0.1:{port}"
        process.wait_http(f"{url}/settings.json")
        browser.open(f"{url}/d/old?from=now-5m&to=now")
        _settle(browser, "First")
        yield from _panels(browser)

        browser.evaluate("window.dashboard.choose('many', ['4'])")
        file.write_text(_MIXIN % ("Second", _BROKEN), encoding="utf-8")
        _settle(browser, "Second")
        if (chosen := _values(browser))["many"] != "4" or chosen["job"] not in ("$__all", ["$__all"]):
            yield f"a save changes what was chosen to {chosen}"

        file.write_text("oops(", encoding="utf-8")
        browser.wait_for("(document.querySelector('[data-wrong]') || {}).textContent")
        if "mixin.jsonnet:1:" not in (said := browser.evaluate("document.querySelector('[data-wrong]').textContent")):
            yield f"the page says of an error only {said!r}"
        if browser.evaluate("document.title") != "Second":
            yield "an error takes the dashboard away"

        browser.open(f"{url}/d/new")
        browser.wait_for("window.failure")
        if "hologram" not in browser.evaluate("document.body.textContent"):
            yield "a broken dashboard does not say why"
        file.write_text(_MIXIN % ("Third", _WHOLE), encoding="utf-8")
        _settle(browser, "Whole")
        browser.wait_for("document.body.textContent.includes('hello')")


def _settle(browser: Browser, title: str) -> None:
    browser.wait_for(f"document.title === {json.dumps(title)} && window.dashboard && window.dashboard.settled()")


def _values(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = browser.evaluate("window.dashboard.values()")
    return found


def _panels(browser: Browser) -> Iterator[str]:
    time.sleep(0.5)  # Until they are painted.
    panels = {panel["title"]: panel for panel in browser.evaluate("window.dashboard.verdicts()")}
    states = {title: panel["state"] for title, panel in panels.items()}
    if states != _STATES:
        yield f"the panels of an old dashboard are {states}"
    for title, text in _TEXTS.items():
        if text not in panels[title]["text"]:
            yield f"the panel {title} says {panels[title]['text']!r}, not {text!r}"
