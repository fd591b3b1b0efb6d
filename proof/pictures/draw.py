"""Pictures of every dashboard, drawn by Grafana's own front end in a headless Chromium, over a day of history.

`nox -s pictures`: while it draws, it asks each panel how it is doing, chooses variables, follows links, and looks at
a time in which nothing happened. It needs Node and Chromium on PATH; all else comes by npm.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kronos_mixin.connect import Connection
from kronos_mixin.drill.story import END
from kronos_mixin.jsonnet import CompileError
from kronos_mixin.serve.app import AppError, build
from kronos_mixin.serve.live import Live
from kronos_mixin.serve.page import PageServer
from kronos_mixin.verify.api import QueryError
from proof.pictures import live, png
from proof.pictures.browser import Browser, BrowserError, MissingProgram, require
from proof.scene import backfill
from proof.servers import binaries
from proof.servers.process import ProcessError
from proof.servers.promtool import CheckFailed

ROOT = Path(__file__).parents[2]

HOURS = 12
"""How much of the day is shown: all that happens in it, and some hours before."""

_MARGIN = 360  # Seconds before the end: a label on the very edge of an axis would be cut in half.
_CELL = 38  # Pixels of one row of Grafana's grid, with the gap below it.
_FRAME = 160  # Pixels above and below the grid.
_THEMES = ("dark", "light")
_PLOTTED = 0.66  # Of the room inside a panel: what the lines and their axes have beside the legend.
_WALL = (1920, 1080)  # A screen on a wall, in Grafana's kiosk mode.
_ON_THE_WALL = "kronos-dashboard.json"

Dashboard = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Draw everything; returns the exit code: 0, or 1 with what is missing or wrong."""
    parser = argparse.ArgumentParser(prog="nox -s pictures --", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "pictures", help="folder of the PNG files")
    parser.add_argument("--app", type=Path, help="a folder with the app already built (default: build it)")
    options = parser.parse_args(argv)
    try:
        require("chromium", "chromium-browser", "google-chrome", install="apt-get install --yes chromium")
        app = options.app or build(print, types=True)
        problems = _draw(app, options.output)
    except (
        AppError,
        BrowserError,
        CheckFailed,
        CompileError,
        MissingProgram,
        OSError,
        ProcessError,
        QueryError,
        binaries.Missing,
    ) as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    for problem in problems:
        print(f"pictures: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _draw(app: Path, output: Path) -> list[str]:
    """Draw all dashboards and return what is wrong with them."""
    print("Back-filling a day of history ...")
    tools = binaries.newest(say=print)
    mixin = backfill.compile_for_history()
    shown = Live()
    shown.show(mixin.dashboards)
    with tempfile.TemporaryDirectory(prefix="kronos-pictures-") as folder:
        backfill.fill(tools, mixin, Path(folder))
        output.mkdir(parents=True, exist_ok=True)
        with (
            backfill.serve(tools, Path(folder) / "data") as prometheus,
            PageServer(app, shown, Connection(prometheus.url), backfill.STEP, follow=False) as pages,
            Browser() as browser,
        ):
            artist = _Artist(browser, pages.url)
            for name, dashboard in mixin.dashboards.items():
                for theme in _THEMES:
                    file = output / f"{Path(name).stem}-{theme}.png"
                    file.write_bytes(artist.picture(dashboard, theme))
                    print(f"{file.name}: {file.stat().st_size // 1024} kB")
                if name == _ON_THE_WALL:
                    (output / "kronos-wall.png").write_bytes(artist.wall(dashboard))
                artist.idle(dashboard)
                artist.variables(dashboard)
                artist.links(dashboard)
            (Path(folder) / "live").mkdir()
            wrong = live.problems(app, prometheus.url, browser, Path(folder) / "live")
            return [*artist.problems, *(f"kronos-mixin serve: {problem}" for problem in wrong)]


class _Artist:
    """Opens dashboards in the browser, and collects what is wrong with them in `problems`, one sentence each."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.problems: list[str] = []
        self._browser = browser
        self._url = url

    def picture(self, dashboard: Dashboard, theme: str) -> bytes:
        """The whole dashboard as a PNG; also checks what each panel reports of itself."""
        self._open(dashboard, theme=theme)
        for verdict in self._verdicts():
            self.problems += [f"{dashboard['title']}, {theme}: {problem}" for problem in _judge(verdict)]
        return png.encode(self._browser.pixels())

    def wall(self, dashboard: Dashboard) -> bytes:
        """The dashboard in kiosk mode as a PNG; all of its panels must fit the screen."""
        width, height = _WALL
        self._browser.resize(height, width)
        self._load(dashboard, "dark", END - _MARGIN - HOURS * 3600, "&kiosk")
        for panel in self._verdicts():
            if panel["bottom"] > height:
                self.problems.append(f"{dashboard['title']}: {panel['title']} is below the screen of a wall")
            self.problems += [f"{dashboard['title']}, wall: {problem}" for problem in _judge(panel)]
        return png.encode(self._browser.pixels())

    def idle(self, dashboard: Dashboard) -> None:
        """At a time without any data, each panel must say so."""
        self._open(dashboard, begin=END - 90 * 86400)
        for panel in self._verdicts():
            if panel["state"] == "Error" or panel["empty"] == "No data" or (not panel["rows"] and not panel["text"]):
                self.problems.append(
                    f"{dashboard['title']}: {panel['title']} says nothing useful while there is no data"
                )

    def variables(self, dashboard: Dashboard) -> None:
        """Choosing one value of a variable that has several must change the lines of some panel."""
        self._open(dashboard)
        for name, offered in self._ask("offers()").items():
            if len(offered) < 2:
                continue
            before = self._lines()
            self._ask(f"choose({json.dumps(name)}, [{json.dumps(offered[0])}])")
            time.sleep(0.2)  # Until the panels have begun to ask.
            self._settle()
            if self._lines() == before:
                self.problems.append(f"{dashboard['title']}: no line changes when {name} becomes {offered[0]}")
            self._ask(f"choose({json.dumps(name)}, ['$__all'])")
            self._settle()

    def links(self, dashboard: Dashboard) -> None:
        """Each link must lead to a dashboard with the same values and time range, and carry no empty parameter."""
        self._open(dashboard)
        offered = self._ask("offers()")
        chosen = {name: values[:1] for name, values in offered.items() if name != "datasource" and values}
        for name, values in chosen.items():
            self._ask(f"choose({json.dumps(name)}, {json.dumps(values)})")
            self._settle()
        for panel in [panel for panel in self._verdicts() if panel["links"]]:
            for link in panel["links"]:
                self._follow(dashboard, panel, link["title"], chosen)

    def _follow(
        self, dashboard: Dashboard, panel: Mapping[str, Any], title: str, chosen: Mapping[str, list[str]]
    ) -> None:
        here = self._browser.evaluate("location.href")
        where = f"{dashboard['title']}: the link {title!r} of {panel['title']}"
        time_range = self._ask("time()")
        address = next(link["address"] for link in panel["links"] if link["title"] == title)
        if empty := [key for key, values in parse_qs(urlsplit(address).query, True).items() if values == [""]]:
            self.problems.append(f"{where} has empty parameters: {', '.join(empty)}")
        self._browser.click(f"[data-viz-panel-key={panel['id']}] [data-link={json.dumps(title)}]")
        try:
            self._browser.wait_for(
                f"location.href !== {json.dumps(here)} && (window.failure || window.dashboard)", 15
            )
            if failure := self._browser.evaluate("window.failure"):
                raise BrowserError(failure)
            self._settle()
        except BrowserError as error:
            self.problems.append(f"{where} does not lead to a dashboard: {error}")
        else:
            if self._ask("time()") != time_range:
                self.problems.append(f"{where} changes the time to {self._ask('time()')}")
            carried = {
                key.removeprefix("var-") for key in parse_qs(urlsplit(address).query) if key.startswith("var-")
            }
            for name, values in self._ask("values()").items():
                if name in chosen and values != chosen[name]:
                    self.problems.append(
                        f"{where} has {name}={values}, not {chosen[name]} (it carries {sorted(carried)})"
                    )
        self._browser.open(here)
        self._browser.wait_for("window.failure || window.dashboard")
        for name, values in chosen.items():
            self._ask(f"choose({json.dumps(name)}, {json.dumps(values)})")
        self._settle()

    def _open(self, dashboard: Dashboard, theme: str = "dark", begin: float = END - _MARGIN - HOURS * 3600) -> None:
        rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
        self._browser.resize(rows * _CELL + _FRAME)
        self._load(dashboard, theme, begin)
        self._browser.resize(self._browser.evaluate("document.getElementById('page').firstChild.scrollHeight + 32"))
        self._settle()

    def _load(self, dashboard: Dashboard, theme: str, begin: float, more: str = "") -> None:
        end = begin + HOURS * 3600
        query = f"theme={theme}&from={begin * 1000:.0f}&to={end * 1000:.0f}{more}"
        self._browser.open(f"{self._url}/d/{dashboard['uid']}?{query}")
        self._browser.wait_for("window.failure || window.dashboard")
        if failure := self._browser.evaluate("window.failure"):
            raise BrowserError(f"{dashboard['title']}: {failure}")
        self._settle()

    def _settle(self) -> None:
        self._browser.wait_for("window.dashboard.settled()")
        # And painted.
        self._browser.evaluate(
            "new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(null)), 300))"
        )

    def _verdicts(self) -> list[dict[str, Any]]:
        verdicts: list[dict[str, Any]] = self._ask("verdicts()")
        return verdicts

    def _lines(self) -> dict[str, Any]:
        return {panel["id"]: (panel["names"], panel["rows"], panel["text"]) for panel in self._verdicts()}

    def _ask(self, call: str) -> Any:
        return self._browser.evaluate(f"window.dashboard.{call}")


def _judge(panel: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a panel, by what it reports of itself."""
    title = panel["title"]
    if panel["state"] not in {"Done", "NotStarted"}:
        yield f"{title} is in the state {panel['state']}: {panel['error'] or 'no reason given'}"
    elif panel["state"] == "Done" and not panel["rows"]:
        yield f"{title} is empty"
    if panel["plotted"] is not None and panel["plotted"] < _PLOTTED:
        yield f"{title}: its legend leaves the lines {panel['plotted']:.0%} of the panel"
    for text in panel["cut"]:
        yield f"{title}: {text!r} does not fit into its place"
    for name in sorted({name for name in panel["names"] if panel["names"].count(name) > 1}):
        yield f"{title}: several lines are named {name!r}"


if __name__ == "__main__":
    sys.exit(main())
