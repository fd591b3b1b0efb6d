"""What a converter gets, and what it gives back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Place:
    """What a mixin cannot know of the installation that its files are for."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """For the metadata of Kubernetes objects."""
    namespace: str | None = None
    """Of Kubernetes objects."""
    data_source: str = "prometheus"
    """The uid of Grafana's data source, where a format has no variable for it."""


@dataclass(frozen=True, slots=True)
class Converted:
    """Files, and what they could not carry."""

    files: dict[str, Any] = field(default_factory=dict)
    """Data by file name."""
    lost: list[str] = field(default_factory=list)
    """A sentence each."""


def camel(name: str) -> str:
    """A field such as scrape_interval as Kubernetes spells it: scrapeInterval."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
