"""Options on which servers a command talks to: each command has those of the servers that it asks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin import connect
from kronos_mixin.cli.console import USAGE, fail
from kronos_mixin.connect import ConnectError, Connection, Connections

_Connections = Annotated[
    Path | None,
    typer.Option(
        "--connections",
        help="YAML with url, authorization, basic_auth, tls_config and http_headers, as in Prometheus, below "
        "each of prometheus, rulers, alertmanager, grafana and service.",
        metavar="FILE",
        envvar="KRONOS_MIXIN_CONNECTIONS",
    ),
]
_Prometheus = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        help="Query API of Prometheus, Thanos, VictoriaMetrics or Mimir (there with /prometheus).",
        metavar="URL",
        envvar="PROMETHEUS_URL",
    ),
]
_Ruler = Annotated[
    list[str] | None,
    typer.Option(
        "--ruler",
        help="Who evaluates the rules, such as vmalert or Thanos Ruler. May be repeated. Default: Prometheus.",
        metavar="URL",
        envvar="RULER_URL",
    ),
]
_PushedRuler = Annotated[
    list[str] | None,
    typer.Option(
        "--ruler",
        help="Ruler with the API of Mimir or Cortex. May be repeated.",
        metavar="URL",
        envvar="RULER_URL",
    ),
]
_Alertmanager = Annotated[
    str | None, typer.Option("--alertmanager", help="Alertmanager.", metavar="URL", envvar="ALERTMANAGER_URL")
]
_Grafana = Annotated[str | None, typer.Option("--grafana", help="Grafana.", metavar="URL", envvar="GRAFANA_URL")]
_Service = Annotated[
    str | None,
    typer.Option(
        "--service", help="An instance of the service. Default: the targets.", metavar="URL", envvar="KRONOS_URL"
    ),
]
_Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        help="Header for all but Grafana and the service, such as 'X-Scope-OrgID: team'. May be repeated.",
        metavar="NAME:VALUE",
    ),
]
_TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="File with the bearer token for all but Grafana and the service.",
        metavar="FILE",
        envvar="PROMETHEUS_TOKEN_FILE",
    ),
]
_GrafanaTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--grafana-token-file",
        help="File with the token of a Grafana service account.",
        metavar="FILE",
        envvar="GRAFANA_TOKEN_FILE",
    ),
]


class Servers:
    """Addresses of servers, and how to be let in. A command that has no option for a server does not ask it."""

    connections: Path | None = None
    prometheus: str | None = None
    ruler: list[str] | None = None
    alertmanager: str | None = None
    grafana: str | None = None
    service: str | None = None
    header: list[str] | None = None
    token_file: Path | None = None
    grafana_token_file: Path | None = None

    def read(self) -> Connections:
        """The servers of the file, of the environment, and of the options, of which the last wins. Exits if wrong."""
        try:
            known = connect.read(self.connections) if self.connections else Connections()
            rulers = [Connection.to(url) for url in self.ruler] if self.ruler else known.rulers
            return Connections(
                self._let_in(_at(self.prometheus, known.prometheus)),
                tuple(one for one in map(self._let_in, rulers) if one),
                self._let_in(_at(self.alertmanager, known.alertmanager)),
                _with_token(_at(self.grafana, known.grafana), self.grafana_token_file),
                _at(self.service, known.service),
            )
        except ConnectError as error:
            fail(str(error), USAGE)

    def _let_in(self, one: Connection | None) -> Connection | None:
        if one is None:
            return None
        given = dict(_header(text) for text in self.header or ())
        return _with_token(dataclasses.replace(one, http_headers={**one.http_headers, **given}), self.token_file)


@dataclasses.dataclass(frozen=True)
class QueryServers(Servers):
    """Where series are read."""

    connections: _Connections = None
    prometheus: _Prometheus = None
    header: _Header = None
    token_file: _TokenFile = None


@dataclasses.dataclass(frozen=True)
class AlertServers(Servers):
    """Where series are read, rules are evaluated and alerts are sent."""

    connections: _Connections = None
    prometheus: _Prometheus = None
    ruler: _Ruler = None
    alertmanager: _Alertmanager = None
    header: _Header = None
    token_file: _TokenFile = None


@dataclasses.dataclass(frozen=True)
class AllServers(Servers):
    """The whole stack."""

    connections: _Connections = None
    prometheus: _Prometheus = None
    ruler: _Ruler = None
    alertmanager: _Alertmanager = None
    grafana: _Grafana = None
    service: _Service = None
    header: _Header = None
    token_file: _TokenFile = None
    grafana_token_file: _GrafanaTokenFile = None


@dataclasses.dataclass(frozen=True)
class PushServers(Servers):
    """What dashboards and rules are pushed to."""

    connections: _Connections = None
    grafana: _Grafana = None
    grafana_token_file: _GrafanaTokenFile = None
    ruler: _PushedRuler = None
    header: _Header = None
    token_file: _TokenFile = None


def _at(url: str | None, known: Connection | None) -> Connection | None:
    if not url:
        return known
    return known.at(url) if known else Connection.to(url)


def _with_token(one: Connection | None, file: Path | None) -> Connection | None:
    if one is None or file is None:
        return one
    return dataclasses.replace(one, authorization={"credentials_file": str(file)})


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip() and value.strip()):
        raise ConnectError(f"--header {text}: must be NAME:VALUE, such as 'X-Scope-OrgID: team'")
    return name.strip(), value.strip()
