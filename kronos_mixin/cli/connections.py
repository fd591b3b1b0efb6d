"""Options on which servers a command talks to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin import connect
from kronos_mixin.cli.console import USAGE, fail
from kronos_mixin.connect import ConnectError, Connection, Connections


@dataclasses.dataclass(frozen=True)
class Servers:
    """Addresses of servers, and how to be let in."""

    connections: Annotated[
        Path | None,
        typer.Option(
            "--connections",
            help="YAML with url, authorization, basic_auth, tls_config and http_headers, as in Prometheus, below "
            "each of prometheus, rulers, alertmanager, grafana and service.",
            metavar="FILE",
            envvar="KRONOS_MIXIN_CONNECTIONS",
        ),
    ] = None
    prometheus: Annotated[
        str | None,
        typer.Option(
            "--prometheus",
            help="Query API of Prometheus, Thanos, VictoriaMetrics or Mimir (there with /prometheus).",
            metavar="URL",
            envvar="PROMETHEUS_URL",
        ),
    ] = None
    ruler: Annotated[
        list[str] | None,
        typer.Option(
            "--ruler",
            help="Who evaluates the rules, such as vmalert or Thanos Ruler. May be repeated. Default: Prometheus.",
            metavar="URL",
            envvar="RULER_URL",
        ),
    ] = None
    alertmanager: Annotated[
        str | None,
        typer.Option("--alertmanager", help="Alertmanager.", metavar="URL", envvar="ALERTMANAGER_URL"),
    ] = None
    grafana: Annotated[
        str | None, typer.Option("--grafana", help="Grafana.", metavar="URL", envvar="GRAFANA_URL")
    ] = None
    service: Annotated[
        str | None,
        typer.Option(
            "--service", help="An instance of the service. Default: the targets.", metavar="URL", envvar="KRONOS_URL"
        ),
    ] = None
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            help="Header for all but Grafana and the service, such as 'X-Scope-OrgID: team'. May be repeated.",
            metavar="NAME:VALUE",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            help="File with the bearer token for all but Grafana and the service.",
            metavar="FILE",
            envvar="PROMETHEUS_TOKEN_FILE",
        ),
    ] = None
    grafana_token_file: Annotated[
        Path | None,
        typer.Option(
            "--grafana-token-file",
            help="File with the token of a Grafana service account.",
            metavar="FILE",
            envvar="GRAFANA_TOKEN_FILE",
        ),
    ] = None

    def read(self) -> Connections:
        """The servers of the file, of the environment, and of the options, of which the last wins. Exits if wrong."""
        try:
            known = connect.read(self.connections) if self.connections else Connections()
            return Connections(
                self._let_in(_at(self.prometheus, known.prometheus)),
                tuple(
                    one
                    for one in map(
                        self._let_in, [Connection.to(url) for url in self.ruler] if self.ruler else known.rulers
                    )
                    if one
                ),
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
