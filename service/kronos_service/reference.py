"""What the guide says of settings and log lines, as Markdown: sections that `kronos-mixin generate` fills in."""

from __future__ import annotations

import re

from pydantic import SecretStr

from kronos_mixin.documents.reference import table
from kronos_service.settings import PREFIX, Settings
from kronos_service.telemetry.fields import FIELDS


def log_fields() -> str:
    """The table of log fields."""
    return table(("field", "meaning"), ((f"`{name}`", meaning) for name, meaning in FIELDS.items()))


def settings() -> str:
    """The table of settings."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = "" if field.default is None or isinstance(field.default, SecretStr) else f"`{field.default}`"
        rows.append((f"`{PREFIX}{name.upper()}`", value, _plain(field.description or "")))
    return table(("setting", "default", "meaning"), rows)


def _plain(text: str) -> str:
    """Safe in Markdown: a name in angle brackets would be taken for HTML."""
    return re.sub(r"<([^>]*)>", r"`<\1>`", text)
