"""Reloads a running Prometheus."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import PurePosixPath

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
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url}: is no address such as http://localhost:9090")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        netloc = f"{host}:{parts.port}" if parts.port else host
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
            raise ReloadError(f"Prometheus at {self._base} refuses: {said}{hint}") from None
        except OSError as error:  # URLError and time limits are among them.
            reason = getattr(error, "reason", error)
            raise ReloadError(f"Prometheus at {self._base} does not answer: {reason}") from None

    def rule_files(self) -> set[str] | None:
        """The names of the rule files in the configuration that it has read; None if it does not say."""
        try:
            data = json.loads(self._ask("/api/v1/status/config", "GET"))
            entries = (yaml.load(data["data"]["yaml"], LOADER) or {}).get("rule_files") or []  # noqa: S506
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
            return None
        return {PurePosixPath(str(entry)).name for entry in entries}

    def _ask(self, path: str, method: str) -> bytes:
        request = urllib.request.Request(self._base + path, method=method, headers=self._headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - The scheme was checked.
            content: bytes = answer.read()
        return content
