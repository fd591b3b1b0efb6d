"""A client of the HTTP API of Prometheus and compatible servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kronos_mixin.connect import AnswerError, Connection

_LONG = 2000
_WHOLE = {"partial_response": "false", "deny_partial_response": "1"}
"""Tells Thanos, and a cluster of VictoriaMetrics, to refuse rather than to leave out what a part of it knows."""


class QueryError(AnswerError):
    """The server refused a request or did not answer; the message says why."""


class WaitError(Exception):
    """A condition did not come true in time; the message shows what was seen last."""


@dataclass(frozen=True)
class Sample:
    """One value of one series; `timestamp` in Unix seconds."""

    labels: Mapping[str, str]
    value: float
    timestamp: float


@dataclass(frozen=True)
class Series:
    """The values of one series, as (Unix seconds, value), sorted by time."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Api:
    """Requests to the server of a connection, or at a plain address without a slash at its end.

    Every method raises QueryError if the server refuses or does not answer.
    """

    def __init__(self, server: Connection | str) -> None:
        connection = Connection(server) if isinstance(server, str) else server
        self.url = connection.url
        self._client = connection.client(seconds=60)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def query(self, expr: str, at: float | None = None) -> list[Sample]:
        """Evaluate an expression at a time in Unix seconds (None: now).

        A scalar is one sample without labels; a range (`x[5m]`) returns all samples of every series.
        """
        data = self._get("query", query=expr, time=at)
        kind, result = data["resultType"], data["result"]
        if kind == "scalar":
            return [Sample({}, float(result[1]), float(result[0]))]
        if kind == "vector":
            return [
                Sample(series["metric"], value, timestamp)
                for series in result
                for timestamp, value in _points(series, "value")
            ]
        return [
            Sample(series["metric"], value, timestamp)
            for series in result
            for timestamp, value in _points(series, "values")
        ]

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate an expression from `start` to `end` (Unix seconds) every `step` seconds."""
        data = self._get("query_range", query=expr, start=start, end=end, step=step)
        return [Series(series["metric"], tuple(_points(series, "values"))) for series in data["result"]]

    def label_values(self, label: str, series: str, start: float, end: float) -> list[str]:
        """Return the values of a label on the series of a selector between two Unix times, sorted."""
        values: list[str] = self._ask(f"label/{label}/values", {"match[]": series, "start": start, "end": end})
        return values

    def series(self, selector: str, start: float, end: float) -> list[dict[str, str]]:
        """Return the labels, with `__name__`, of all series that a selector matches between two Unix times."""
        found: list[dict[str, str]] = self._ask("series", {"match[]": selector, "start": start, "end": end})
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """Return the pending and firing alerts, as in the API (labels, annotations, state, ...)."""
        alerts: list[dict[str, Any]] = self._get("alerts")["alerts"]
        return alerts

    def rules(self) -> list[dict[str, Any]]:
        """Return the rule groups, as in the API (name, file, rules with lastError, ...)."""
        groups: list[dict[str, Any]] = self._get("rules")["groups"]
        return groups

    def targets(self) -> list[dict[str, Any]]:
        """Return the scraped targets, as in the API (labels, health, lastError, ...)."""
        targets: list[dict[str, Any]] = self._get("targets", state="active")["activeTargets"]
        return targets

    def alertmanagers(self) -> dict[str, Any]:
        """Return where alerts are sent, as in the API (`activeAlertmanagers`, `droppedAlertmanagers`)."""
        return self._get("alertmanagers")

    def status(self, name: str) -> Any:
        """Return what the server says of itself: `buildinfo`, `config`, `flags`, `runtimeinfo`."""
        return self._ask(f"status/{name}", {})

    def text(self, path: str) -> str:
        """Return what the server answers at a path beside its API, such as `/metrics`."""
        try:
            answer = self._client.get(f"{self.url}{path}")
        except AnswerError as error:
            raise QueryError(str(error), error.status) from error
        if not answer.is_success:
            raise QueryError(f"{self.url}{path}: HTTP {answer.status_code}", answer.status_code)
        return answer.text

    def wait_for(
        self,
        expr: str,
        predicate: Callable[[list[Sample]], bool] = bool,
        *,
        timeout: float = 60,
        interval: float = 0.2,
    ) -> list[Sample]:
        """Query every `interval` seconds until `predicate` is true of the samples, and return them.

        The default waits for any sample. Raises WaitError after `timeout` seconds, and QueryError at once.
        """
        deadline = time.monotonic() + timeout
        while not predicate(samples := self.query(expr)):
            if time.monotonic() > deadline:
                seen = "\n".join(f"  {dict(sample.labels)} {sample.value:g}" for sample in samples[:20])
                raise WaitError(
                    f"{expr}\nwas not as expected within {timeout:g} s at {self.url}; seen last "
                    f"({len(samples)} samples):\n{seen or '  nothing'}"
                )
            time.sleep(interval)
        return samples

    def _get(self, path: str, **parameters: str | float | None) -> dict[str, Any]:
        """The `data` of the answer, where that is an object."""
        data: dict[str, Any] = self._ask(path, parameters)
        return data

    def _ask(self, path: str, parameters: Mapping[str, str | float | None]) -> Any:
        given = {name: value for name, value in parameters.items() if value is not None}
        url = f"{self.url}/api/v1/{path}"
        asked = f"{url} {given.get('query', given.get('match[]', ''))}".strip()
        try:
            if len(str(given.get("query", ""))) > _LONG:  # Proxies refuse long addresses, and some refuse to POST.
                answer = self._client.post(url, data={**given, **_WHOLE})
            else:
                answer = self._client.get(url, params={**given, **_WHOLE})
            body = answer.json()
        except AnswerError as error:
            raise QueryError(str(error), error.status) from error
        except ValueError as error:
            # To VictoriaMetrics, what it does not have is a bad request.
            status = 404 if "unsupported path" in answer.text[:100] else answer.status_code
            raise QueryError(f"{asked}: HTTP {status} {' '.join(answer.text.split())[:300]}", status) from error
        if not isinstance(body, dict) or body.get("status") != "success":
            said = body.get("error", body) if isinstance(body, dict) else body
            raise QueryError(f"{asked}: HTTP {answer.status_code} {said}", answer.status_code)
        return body["data"]


def _points(series: Mapping[str, Any], key: str) -> list[tuple[float, float]]:
    """(timestamp, value) pairs of one series of an answer. float() reads Go's +Inf, -Inf and NaN."""
    if key not in series:
        raise QueryError(f"{series['metric']} is a native histogram: ask for a number, not for the series.")
    pairs = [series[key]] if key == "value" else series[key]
    return [(float(timestamp), float(value)) for timestamp, value in pairs]
