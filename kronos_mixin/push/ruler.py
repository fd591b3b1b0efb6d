"""A client of the API by which Mimir, Grafana Cloud and Cortex take rule groups."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import httpx
import yaml

from kronos_mixin.connect import AnswerError, Connection
from kronos_mixin.yamltext import to_yaml

PATHS = ("/prometheus/config/v1/rules", "/config/v1/rules", "/api/v1/rules")
"""Where the API is: in Mimir, in Mimir if the address ends with its prefix for Prometheus' API, and in Cortex."""

_NONE = "no rule groups found"


class Ruler:
    """Requests to a ruler. All methods raise AnswerError."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._client = connection.client()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def groups(self, namespace: str) -> dict[str, dict[str, Any]]:
        """The rule groups of a namespace, by name."""
        answer = self._client.get(f"{self._base}/{_quoted(namespace)}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        listed = _mapping(answer).get(namespace) or []
        return {str(group["name"]): group for group in listed}

    def put(self, namespace: str, group: Mapping[str, Any]) -> None:
        """Create a rule group, or replace the one of that name."""
        answer = self._client.post(
            f"{self._base}/{_quoted(namespace)}",
            content=to_yaml(group),
            headers={"Content-Type": "application/yaml"},
        )
        _accepted(answer)

    def delete(self, namespace: str, name: str) -> None:
        """Delete a rule group."""
        _accepted(self._client.delete(f"{self._base}/{_quoted(namespace)}/{_quoted(name)}"))

    @cached_property
    def _base(self) -> str:
        reads_files = False
        for path in PATHS:
            answer = self._client.get(path)
            if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
                raise _refused(answer)
            if answer.status_code == httpx.codes.NOT_FOUND and _NONE in answer.text:
                return path
            if not answer.is_success:
                continue
            data = _data(answer)
            if isinstance(data, dict) and data.get("status") == "success" and "data" in data:
                reads_files = True
            elif isinstance(data, dict):
                return path
        url = self.connection.url
        if reads_files:
            raise AnswerError(
                f"{url} takes no rules by an API: Prometheus, Thanos Ruler and vmalert read files. Compile them, and "
                "`kronos-mixin merge` them, or name them in rule_files or -rule"
            )
        raise AnswerError(f"{url} has no API for rule groups, neither Mimir's nor Cortex's: is the address right?")


def _mapping(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise _refused(answer)
    data = _data(answer)
    if not isinstance(data, dict):
        raise AnswerError(f"{answer.url}: answers with something other than rule groups in YAML")
    return data


def _data(answer: httpx.Response) -> Any:
    try:
        return yaml.safe_load(answer.text) if answer.text.strip() else {}
    except yaml.YAMLError:
        return None


def _accepted(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise _refused(answer)


def _refused(answer: httpx.Response) -> AnswerError:
    said = " ".join(answer.text.split())[:300]
    return AnswerError(f"{answer.url} answers {answer.status_code}: {said}", answer.status_code)


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")
