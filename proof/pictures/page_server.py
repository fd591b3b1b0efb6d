"""Serves the app that draws dashboards, and the dashboards themselves, on a loopback port."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class PageServer:
    """`/d/UID` is a dashboard, as in Grafana; `url` is where the server listens.

    `app` is the folder of the built app, `prometheus` the address that the page asks, `scrape_interval` the seconds
    between two scrapes there.
    """

    def __init__(
        self, app: Path, dashboards: Iterable[Mapping[str, Any]], prometheus: str, scrape_interval: int
    ) -> None:
        documents = {
            "/dashboards.json": json.dumps([dict(dashboard) for dashboard in dashboards]),
            "/settings.json": json.dumps({"prometheus": prometheus, "scrapeInterval": scrape_interval}),
        }
        handler = functools.partial(_Handler, documents=documents, directory=str(app))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Answer from now on."""
        self._thread = threading.Thread(target=self._server.serve_forever, name="page server", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, documents: Mapping[str, str], directory: str) -> None:
        self._documents = documents
        super().__init__(*arguments, directory=directory)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/d/"):
            self.path = "/index.html"  # The page reads its own address.
        elif path.startswith("/build/"):
            self.path = self.path.removeprefix("/build")  # Where Grafana's own build has its icons.
        if (document := self._documents.get(path)) is None:
            return super().do_GET()
        body = document.encode()
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Nothing: what fails is reported by the page."""
