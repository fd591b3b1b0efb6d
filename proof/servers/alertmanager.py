"""A real Alertmanager on a loopback port, and receivers that write down what they hear."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from proof.servers.binaries import version_of
from proof.servers.debian import Missing, Say, debian, unavailable
from proof.servers.process import Process, ProcessError, free_port

SUITES = ("bookworm", "sid")
"""Debian suites: the oldest Alertmanager, 0.25, and the newest."""

_NAMES = ("alertmanager", "prometheus-alertmanager")
"""As it is called by itself, and by Debian."""

_ATTEMPTS = 5

_SHARE = "usr/share/prometheus/alertmanager"
"""Where Debian's Alertmanager looks for its templates, below `/`; without them it does not start."""

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Tools:
    """One version of Alertmanager: the server and its command line."""

    version: str
    alertmanager: Path
    amtool: Path


def every(*, say: Say | None = None) -> list[Tools]:
    """Return one of each version to test with, the oldest first: Debian's, and PATH's if it is another.

    Only a system that is not Debian makes do with PATH's. Raises Missing.
    """
    own = [_tools(Path(program)) for name in _NAMES if (program := shutil.which(name))][:1]
    if reason := unavailable():
        if not own:
            raise Missing(
                f"There is no Alertmanager: PATH has none, and {reason}. Put alertmanager and amtool there."
            )
        return own
    found = [
        _tools(debian(suite, ("prometheus-alertmanager",), say=say) / "usr/bin/prometheus-alertmanager")
        for suite in SUITES
    ]
    versions = {tools.version: tools for tools in [*found, *own]}
    return sorted(versions.values(), key=lambda tools: tuple(map(int, tools.version.split("."))))


def _tools(program: Path) -> Tools:
    return Tools(version_of(program), program, program.parent / "amtool")


def check_config(tools: Tools, path: Path) -> str:
    """Return amtool's output about a configuration; raises ProcessError with it when amtool finds fault with it."""
    done = subprocess.run([tools.amtool, "check-config", path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProcessError(f"amtool {tools.version} check-config {path}:\n{done.stdout}{done.stderr}")
    return done.stdout


@dataclass
class Receivers:
    """A webhook server, as a context manager; the last part of a path names the receiver."""

    heard: list[tuple[str, Labels]] = field(default_factory=list)
    """Receiver and labels of each alert that was firing in a notification, in the order in which they came."""

    def __enter__(self) -> Self:
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = self.path.rpartition("/")[2]
                heard.extend((name, alert["labels"]) for alert in body["alerts"] if alert["status"] == "firing")
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, name="receivers", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, receiver: str) -> str:
        """The address of a receiver."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{receiver}"

    def of(self, labels: Labels) -> set[str]:
        """The receivers that have heard of an alert."""
        return {receiver for receiver, heard in list(self.heard) if heard == labels}

    def wait_for(self, alerts: Iterable[Labels], *, timeout: float = 30) -> None:
        """Wait until somebody has heard of each alert; raises ProcessError, naming those that nobody has."""
        deadline = time.monotonic() + timeout
        while missing := [dict(labels) for labels in alerts if not self.of(labels)]:
            if time.monotonic() > deadline:
                raise ProcessError(f"After {timeout:g} s nobody has heard of {missing}")
            time.sleep(0.05)


def hurried(config: Mapping[str, Any], url: Callable[[str], str]) -> dict[str, Any]:
    """A configuration with its routes and inhibitions as they are, its webhooks at `url`, and hardly any waiting."""
    waits = {"group_wait": "0s", "group_interval": "1s"}

    def route(given: Mapping[str, Any]) -> dict[str, Any]:
        return {**given, **waits, "routes": [route(one) for one in given.get("routes", [])]}

    receivers = [{"name": one["name"], "webhook_configs": [{"url": url(one["name"])}]} for one in config["receivers"]]
    return {**config, "route": route(config["route"]), "receivers": receivers}


class Alertmanager:
    """A single Alertmanager without any history, as a context manager.

    Entering raises ProcessError, with its last lines, when it does not become ready.
    """

    def __init__(self, tools: Tools, config: Mapping[str, Any]) -> None:
        self.tools = tools
        self._config = config
        self._client = httpx.Client(trust_env=False, timeout=30)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="kronos-alertmanager-"))
        file = self._folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(dict(self._config)), encoding="utf-8")
        program, folder = _movable(self.tools.alertmanager, self._folder)
        for attempt in range(1, _ATTEMPTS + 1):
            port = free_port()
            self._url = f"http://127.0.0.1:{port}"
            argv: list[str | Path] = [
                program,
                f"--config.file={file}",
                f"--storage.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ]
            name = f"Alertmanager {self.tools.version}"
            self._process = Process(argv, cwd=folder, log=self._folder / "alertmanager.log", name=name)
            try:
                self._process.start()
                self._process.wait_http(f"{self._url}/-/ready")
                break
            except BaseException as error:
                self._process.stop()
                # Somebody took the port before Alertmanager came to it.
                if "address already in use" not in str(error) or attempt == _ATTEMPTS:
                    shutil.rmtree(self._folder, ignore_errors=True)
                    raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        self._client.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._url

    def reload(self, config: Mapping[str, Any]) -> None:
        """Run another configuration from now on. Raises HTTPStatusError if it is refused."""
        (self._folder / "alertmanager.yml").write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
        self._client.post(f"{self._url}/-/reload").raise_for_status()

    def silence(self, matchers: Iterable[Mapping[str, Any]], *, begins: float = 0, lasts: float = 3600) -> str:
        """Add a silence with matchers as in the API, which begins in so many seconds; returns its id."""
        start = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=begins)
        end = start + datetime.timedelta(seconds=lasts)
        body = {
            "matchers": list(matchers),
            "startsAt": start.isoformat(),
            "endsAt": end.isoformat(),
            "createdBy": "test",
            "comment": "upgrade",
        }
        answer = self._client.post(f"{self._url}/api/v2/silences", json=body).raise_for_status()
        return str(answer.json()["silenceID"])

    def expire(self, silence: str) -> None:
        """End a silence."""
        self._client.delete(f"{self._url}/api/v2/silence/{silence}").raise_for_status()

    def fire(self, alerts: Iterable[Labels]) -> None:
        """Tell it of alerts that fire."""
        self._post(alerts, datetime.timedelta(hours=1))

    def resolve(self, alerts: Iterable[Labels]) -> None:
        """Tell it that alerts are over."""
        self._post(alerts, datetime.timedelta(0))

    def muted_by(self, alert: Labels) -> list[Labels]:
        """The alerts that mute one now."""
        known = self.alerts()
        by_id = {one["fingerprint"]: one["labels"] for one in known}
        (found,) = (one for one in known if one["labels"] == alert)
        return [by_id[fingerprint] for fingerprint in found["status"]["inhibitedBy"]]

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts that it holds, as in the API."""
        alerts: list[dict[str, Any]] = self._client.get(f"{self._url}/api/v2/alerts").raise_for_status().json()
        return alerts

    def _post(self, alerts: Iterable[Labels], lasting: datetime.timedelta) -> None:
        now = datetime.datetime.now(datetime.UTC)
        end = (now + lasting).isoformat()
        start = (now - datetime.timedelta(minutes=1)).isoformat()
        body = [{"labels": dict(labels), "startsAt": start, "endsAt": end} for labels in alerts]
        self._client.post(f"{self._url}/api/v2/alerts", json=body).raise_for_status()


def _movable(program: Path, work: Path) -> tuple[Path, Path]:
    """A copy of one of Debian's programs that runs anywhere, and the folder to run it in; others run as they are.

    The place of the templates is compiled in, and only root could put them there. So the copy has, in as many
    bytes, the folder that it is run in.
    """
    copy, fixed = work / "alertmanager", f"/{_SHARE}".encode()
    copy.write_bytes(program.read_bytes().replace(fixed, b"./" * (len(fixed) // 2)))
    copy.chmod(0o700)
    share = program.parents[2] / _SHARE
    return copy, share if share.is_dir() else work
