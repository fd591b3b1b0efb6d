"""Mistakes that no test has to catch, because they make no difference, and why: by a pattern of what they are."""

ALLOWED: dict[str, str] = {}
