"""Where downloads are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """Return the folder of downloads: $KRONOS_CACHE, else kronos-monitoring in the user's cache folder.

    It may be deleted at any time; it is also the way to get a newer version out of a suite that moved on.
    """
    if own := os.environ.get("KRONOS_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # Relative values are to be ignored, says the XDG specification.
    root = Path(base) if base.startswith("/") else Path("~/.cache").expanduser()
    return root.absolute() / "kronos-monitoring"
