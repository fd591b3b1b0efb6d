"""Servers that share the targets of a job: each scrapes a part, and sees nothing of the others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MOST = 10_000
"""Parts that are tried; with more of them, one more or less makes no difference."""


def share(job: Mapping[str, Any]) -> str:
    """How much of its targets a scrape job keeps, as in `1 of 2 parts`; empty if it does not divide them.

    They are divided by `hashmod` in `relabel_configs`, and by rules that keep or drop some of the remainders. The
    values of ``job`` may be text.
    """
    found = job.get("relabel_configs")
    rules = [rule for rule in found if isinstance(rule, Mapping)] if isinstance(found, list) else []
    for place, divides in enumerate(rules):
        label, modulus = divides.get("target_label"), _number(divides.get("modulus"))
        if str(divides.get("action", "")).lower() == "hashmod" and modulus:
            tried = range(min(modulus, _MOST))
            kept = sum(all(_keeps(rule, str(label), str(part)) for rule in rules[place + 1 :]) for part in tried)
            if kept < len(tried):
                return f"{kept} of {modulus} parts"
    return ""


def _keeps(rule: Mapping[str, Any], label: str, part: str) -> bool:
    """Whether a relabelling keeps a target in whose ``label`` is the ``part``, and which has no other label."""
    action, sources = str(rule.get("action", "")).lower(), rule.get("source_labels") or ()
    if action not in {"keep", "drop"} or label not in sources:
        return True
    value = str(rule.get("separator", ";")).join(part if source == label else "" for source in sources)
    try:
        return (re.fullmatch(str(rule.get("regex", ".*")), value) is not None) == (action == "keep")
    except re.error:  # RE2 has a few things that Python lacks: say nothing rather than something wrong.
        return True


def _number(value: Any) -> int:
    return int(value) if str(value).isdigit() else 0
