"""The server of the page: its files, the dashboards, news of them, and queries to the Prometheus behind."""

from __future__ import annotations

import functools
import http.server
import json
import re
import sys
import threading
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kronos_mixin.connect import AnswerError, Client, Connection
from kronos_mixin.serve.live import Live, State

_PROXIED = re.compile(r"/api/v1/(query|query_range|series|labels|label/\w+/values)")
"""What of Prometheus' API the page may ask: what reads series, and nothing else."""

_HERE = {"localhost", "127.0.0.1", "::1"}
_HEARTBEAT = 15.0
"""Seconds after which a page that hears of nothing new is told so: this is how one that is gone is found out."""


class PageServer:
    """`/d/UID` is a dashboard, as in Grafana; `url` is where the server listens.

    `app` is the folder of the built page. Queries go to `prometheus`, with the credentials of that connection, which
    the page never sees. `scrape_interval` is in seconds. On a loopback address it answers only pages of its own:
    other sites that the same browser has open can't ask through it.
    """

    def __init__(
        self,
        app: Path,
        live: Live,
        prometheus: Connection,
        scrape_interval: float = 15,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        follow: bool = True,
    ) -> None:
        """`follow` has the page show news; without it, it stays as it was loaded. Raises OSError, ConnectError."""
        self._client = prometheus.client()
        handler = functools.partial(
            _Handler,
            live=live,
            client=self._client,
            settings={"prometheus": "/prometheus", "scrapeInterval": scrape_interval, "follow": follow},
            names=_HERE if host in _HERE else None,
            directory=str(app),
        )
        self._server = _Server((host, port), handler)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_port}"

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
        self._client.close()


class _Server(http.server.ThreadingHTTPServer):
    # Pages that wait for news would keep it from ending.
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pages are left in the middle of an answer all the time: only what is our fault is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(
        self,
        *arguments: Any,
        live: Live,
        client: Client,
        settings: Mapping[str, Any],
        names: set[str] | None,
        directory: str,
    ) -> None:
        self._live = live
        self._client = client
        self._settings = settings
        self._names = names
        super().__init__(*arguments, directory=directory)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if not self._is_own():
            self._json({"error": "this page is for browsers on its own machine"}, HTTPStatus.FORBIDDEN)
        elif path == "/dashboards.json":
            state = self._live.state
            self._json({"revision": state.revision, "dashboards": state.dashboards})
        elif path == "/settings.json":
            self._json(self._settings)
        elif path == "/events":
            self._events()
        elif path.startswith("/prometheus/"):
            self._proxy("GET", path.removeprefix("/prometheus"), query)
        else:
            if path == "/" or path.startswith("/d/"):
                self.path = "/index.html"  # The page reads its own address.
            elif path.startswith("/build/"):
                self.path = self.path.removeprefix("/build")  # Where Grafana's own build has its icons.
            super().do_GET()

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(length)) if length.isdecimal() else b""
        if not self._is_own():
            self._json({"error": "this page is for browsers on its own machine"}, HTTPStatus.FORBIDDEN)
        else:
            self._proxy("POST", path.removeprefix("/prometheus"), query, body)

    def _is_own(self) -> bool:
        """Whether a request comes from a page of ours, and not from another site or by a name that it made up."""
        if self._names is None:
            return True
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        named = urllib.parse.urlsplit(f"//{host}").hostname in self._names
        return named and origin in (None, f"http://{host}")

    def _proxy(self, method: str, path: str, query: str, body: bytes | None = None) -> None:
        if not _PROXIED.fullmatch(path):
            self._json({"status": "error", "error": f"{path} is not asked here"}, HTTPStatus.NOT_FOUND)
            return
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        try:
            answer = self._client.request(method, f"{path}?{query}" if query else path, content=body, headers=headers)
        except AnswerError as error:
            self._json({"status": "error", "error": str(error)}, HTTPStatus.BAD_GATEWAY)
            return
        try:
            answer.json()
        except ValueError:  # The page would show "Unexpected token".
            said = f"HTTP {answer.status_code}: {answer.text[:300]}"
            self._json({"status": "error", "error": said}, HTTPStatus.BAD_GATEWAY)
            return
        self._send(answer.content, "application/json", HTTPStatus(answer.status_code))

    def _events(self) -> None:
        """Tell of the newest state, then of each newer one, until the page is left."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        state: State | None = self._live.state
        revision = -1
        try:
            while True:
                if state is None:
                    self.wfile.write(b": nothing new\n\n")
                else:
                    revision = state.revision
                    news = json.dumps({"revision": revision, "error": state.error})
                    self.wfile.write(f"data: {news}\n\n".encode())
                self.wfile.flush()
                state = self._live.newer(revision, _HEARTBEAT)
        except OSError:
            return  # The page was left.

    def _json(self, data: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(data).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Nothing: what fails is shown by the page."""
