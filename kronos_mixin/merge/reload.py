"""Reloads a running Prometheus, and asks what it runs."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import yaml

from kronos_mixin.connect import AnswerError, Client, ConnectError, Connection
from kronos_mixin.merge.prometheusyml import LOADER

_SECONDS = 60
_PATH = "/-/reload"


class ReloadError(Exception):
    """Prometheus refused the configuration or can't be reached; the message has the reason."""


class Reload:
    """A Prometheus, by its address with or without `/-/reload`. Call it to reload."""

    def __init__(self, server: str | Connection) -> None:
        """Raises ValueError for a bad address."""
        try:
            connection = server if isinstance(server, Connection) else Connection.to(server)
            self.connection = connection.at(connection.url.removesuffix(_PATH))
        except ConnectError as error:
            raise ValueError(str(error)) from None

    def __str__(self) -> str:
        return self.connection.url

    def __call__(self) -> None:
        """Reload. Raises ReloadError."""
        try:
            with self._client() as client:
                answer = client.post(_PATH)
        except (AnswerError, ConnectError) as error:
            raise ReloadError(f"Prometheus at {self} does not answer: {error}") from None
        if answer.is_success:
            return
        said = answer.text.strip() or answer.reason_phrase
        hint = " (start it with --web.enable-lifecycle)" if answer.status_code in {403, 405} else ""
        if "one or more errors" in said:
            hint = " (its log has them)"
        raise ReloadError(f"Prometheus at {self} refuses: {said}{hint}")

    def configuration(self) -> dict[str, Any] | None:
        """The configuration that it runs, with its defaults, every scalar typed; None if it does not say."""
        data = self._data("status/config")
        try:
            found = yaml.load(data["yaml"], LOADER)  # noqa: S506 - It is a SafeLoader.
        except (KeyError, TypeError, AttributeError, yaml.YAMLError):
            return None
        return (found or {}) if isinstance(found, dict | None) else None

    def groups(self) -> list[dict[str, Any]] | None:
        """The rule groups that it runs; None if it does not say."""
        data = self._data("rules")
        groups = data.get("groups") if isinstance(data, dict) else None
        return groups if isinstance(groups, list) else None

    def file(self) -> str | None:
        """Where it reads its configuration, by its own name for it; None if it does not say."""
        data = self._data("status/flags")
        return data.get("config.file") if isinstance(data, dict) else None

    def age(self) -> float | None:
        """How many seconds ago it last read its configuration, by its own clock; None if it does not say."""
        try:
            with self._client() as client:
                answer = client.get("/api/v1/status/runtimeinfo")
            now = parsedate_to_datetime(answer.headers["Date"])
            then = answer.json()["data"]["lastConfigTime"]
            read = datetime.fromisoformat(f"{then[:19]}+00:00")
        except (AnswerError, ConnectError, ValueError, KeyError, TypeError):
            return None
        return (now - read).total_seconds()

    def _data(self, path: str) -> Any:
        """The data of an answer of the API; None if there is none."""
        try:
            with self._client() as client:
                return client.data(f"/api/v1/{path}")["data"]
        except (AnswerError, ConnectError, KeyError, TypeError):
            return None

    def _client(self) -> Client:
        return self.connection.client(_SECONDS)
