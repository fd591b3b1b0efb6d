"""Reloads a running Prometheus, and asks what it runs."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import yaml

from kronos_mixin.merge.prometheusyml import LOADER

_SECONDS = 60
_PATH = "/-/reload"


class ReloadError(Exception):
    """Prometheus refused the configuration or can't be reached; the message has the reason."""


class Reload:
    """The Prometheus at ``url``, with or without `/-/reload`. Call it to reload."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for a bad address."""
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
            raise ValueError(f"{url}: is no address such as http://localhost:9090")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        netloc = f"{host}:{port}" if port else host
        path = parts.path.rstrip("/").removesuffix(_PATH)
        self._base = urllib.parse.urlunsplit((parts.scheme, netloc, path, "", ""))
        self._headers = {}
        if parts.username is not None:
            pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()

    def __str__(self) -> str:
        return self._base

    def __call__(self) -> None:
        """Reload. Raises ReloadError."""
        try:
            self._ask(_PATH, "POST")
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace").strip() or error.reason
            hint = " (start it with --web.enable-lifecycle)" if error.code in {403, 405} else ""
            if "one or more errors" in said:
                hint = " (its log has them)"
            raise ReloadError(f"Prometheus at {self._base} refuses: {said}{hint}") from None
        except OSError as error:  # URLError and time limits are among them.
            reason = getattr(error, "reason", error)
            raise ReloadError(f"Prometheus at {self._base} does not answer: {reason}") from None

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
            with self._open("/api/v1/status/runtimeinfo", "GET") as answer:
                now = parsedate_to_datetime(answer.headers["Date"])
                then = json.load(answer)["data"]["lastConfigTime"]
            read = datetime.fromisoformat(f"{then[:19]}+00:00")
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return (now - read).total_seconds()

    def _data(self, path: str) -> Any:
        """The data of an answer of the API; None if there is none."""
        try:
            return json.loads(self._ask(f"/api/v1/{path}", "GET"))["data"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _ask(self, path: str, method: str) -> bytes:
        with self._open(path, method) as answer:
            content: bytes = answer.read()
        return content

    def _open(self, path: str, method: str) -> Any:
        request = urllib.request.Request(self._base + path, method=method, headers=self._headers)  # noqa: S310
        return urllib.request.urlopen(request, timeout=_SECONDS)  # noqa: S310 - The scheme was checked.
