"""What can go wrong while packages are installed."""

from __future__ import annotations

import re


class VendorError(Exception):
    """Packages can't be installed; the message says why, and what to do."""


class UnreachableError(VendorError):
    """The remote repository can't be reached."""


def without_secrets(text: str) -> str:
    """A text with addresses in it, without their users and passwords, and without what follows a question mark."""
    return re.sub(r"(://)[^@/\s]+@", r"\1", re.sub(r"(://[^\s?]+)\?\S*", r"\1", text))
