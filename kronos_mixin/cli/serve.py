"""`kronos-mixin serve`."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from kronos_mixin.cli.connections import QueryServers
from kronos_mixin.cli.console import USAGE, Console, fail, interruptible
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import Source
from kronos_mixin.config import ConfigError
from kronos_mixin.connect import AnswerError, ConnectError, Connection
from kronos_mixin.inputs import Inputs
from kronos_mixin.jsonnet import CompileError
from kronos_mixin.serve.app import AppError, build
from kronos_mixin.serve.live import Live
from kronos_mixin.serve.page import PageServer
from kronos_mixin.windows import seconds


@grouped
def serve(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. Whoever reaches it may query.", metavar="ADDRESS")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0: any that is free.", min=0)] = 8765,
    scrape_interval: Annotated[
        str,
        typer.Option("--scrape-interval", help="As in Prometheus, for $__rate_interval.", metavar="DURATION"),
    ] = "15s",
    app: Annotated[
        Path | None,
        typer.Option("--app", help="Folder of a page that was built elsewhere. Default: build it.", metavar="DIR"),
    ] = None,
    *,
    servers: QueryServers,
    source: Source,
    console: Console,
) -> None:
    """Draw a mixin's dashboards in the browser, live.

    Grafana's own front end draws them, over a Prometheus of yours, without a Grafana. After every save they are
    compiled and drawn again, with the same variables and time. If the mixin doesn't compile, the page says why, and
    shows the last that did. Panels read recorded series from your Prometheus: load the rules there, too.

    Queries go through this program, so that credentials stay here. It listens on this machine only, unless --host
    says otherwise. Draws time series, stats, bar gauges, tables and texts, and gauges as stats; other panels are
    named.

    The page is built from Grafana's packages on npm, once, with Node 20 or newer: 500 MB, some minutes.

    \b
    Examples
      kronos-mixin serve --prometheus http://localhost:9090
      kronos-mixin serve --mixin vendor/node-mixin --config mine.yml \\
        --prometheus https://mimir.example.com/prometheus \\
        --header 'X-Scope-OrgID: team' --token-file token

    Exit code 0: ended by Ctrl-C; 1: the page can't be built, or the port is taken; 2: bad command line.
    """
    known = servers.read()
    if known.prometheus is None:
        fail("name your Prometheus: --prometheus URL, PROMETHEUS_URL, or prometheus in --connections FILE", USAGE)
    if not (interval := seconds(scrape_interval)):
        fail(f"--scrape-interval {scrape_interval}: is no duration such as 15s", USAGE)
    if app is not None and not (app / "index.html").is_file():
        fail(f"--app {app}: holds no index.html", USAGE)
    live = Live()
    try:
        page = app or build(console.note)
        server = PageServer(page, live, known.prometheus, interval, host=host, port=port)
    except AppError as error:
        fail(str(error))
    except ConnectError as error:
        fail(str(error), USAGE)
    except OSError as error:
        fail(f"{host}:{port}: {error.strerror}")
    with contextlib.suppress(KeyboardInterrupt), server:
        console.result(f"{server.url} draws the dashboards over {known.prometheus.url}. Ctrl-C ends it.")
        if problem := _unreachable(known.prometheus):
            console.note(problem)
        _follow(source, live, console)


def _follow(source: Source, live: Live, console: Console) -> NoReturn:
    """Compile after every change, for ever."""
    while True:
        inputs, start = Inputs(), time.monotonic()
        try:
            with interruptible():
                mixin = source.read(inputs=inputs)
        except (CompileError, ConfigError) as error:
            live.fail(str(error))
            console.note(str(error))
        else:
            live.show(mixin.dashboards)
            console.done(f"{len(mixin.dashboards)} dashboards in {time.monotonic() - start:.2f} s")
        for path in inputs.wait():
            console.done(f"{path}: changed")


def _unreachable(prometheus: Connection) -> str:
    """What keeps the Prometheus from answering now, as one sentence; empty if it answers."""
    try:
        with prometheus.client(5) as client:
            client.data("/api/v1/query", params={"query": "1"})
    except AnswerError as error:
        return f"{error}: the panels will say so until it answers"
    return ""
