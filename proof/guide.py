"""What service/OBSERVABILITY.md takes from the code, written into it by `python -m proof.guide`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pydantic import SecretStr

from kronos_mixin.contract import load_contract
from kronos_mixin.reference import replace_section, section, table
from kronos_service.settings import PREFIX, Settings
from kronos_service.telemetry import logs

GUIDE = Path(__file__).resolve().parents[1] / "service" / "OBSERVABILITY.md"


def generated(text: str) -> str:
    """The guide `text` with its generated sections as the code has them now."""
    text = replace_section(text, "metrics", section(load_contract()))
    text = replace_section(text, "log fields", log_fields())
    return replace_section(text, "settings", settings())


def log_fields() -> str:
    """The table of log fields."""
    return table(("field", "meaning"), ((f"`{name}`", meaning) for name, meaning in logs.FIELDS.items()))


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


def main() -> int:
    """Rewrite the guide's generated sections."""
    text = GUIDE.read_text(encoding="utf-8")
    GUIDE.write_text(generated(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
