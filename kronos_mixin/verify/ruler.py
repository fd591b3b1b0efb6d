"""Who evaluates rules: a Prometheus, a Thanos Ruler, Mimir or vmalert."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Any

from kronos_mixin.verify.api import Api, QueryError


class Ruler(Api):
    """Who evaluates rules. The answer is kept."""

    @cached_property
    def groups(self) -> list[dict[str, Any]]:
        """The groups that it runs, as in the API."""
        return self.rules()

    @cached_property
    def since(self) -> float | None:
        """When it last read its rules, in Unix seconds; None if it does not say."""
        with suppress(QueryError):
            return configured(self.status("runtimeinfo"))
        try:  # vmalert says it in its metrics.
            told = self.text("/metrics")
        except QueryError:
            return None
        found = re.search(r"^vmalert_config_last_reload_success_timestamp_seconds\S* (\S+)$", told, re.MULTILINE)
        return float(found[1]) if found else None

    def loaded(self, name: str) -> list[dict[str, Any]]:
        """The groups of this name that it runs."""
        return [group for group in self.groups if group["name"] == name]


def configured(runtime: Mapping[str, Any]) -> float | None:
    """When a server last read its configuration, by its `runtimeinfo`, in Unix seconds; None if it does not say."""
    try:
        return datetime.fromisoformat(runtime["lastConfigTime"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
