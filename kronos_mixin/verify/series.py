"""Checks of series."""

from __future__ import annotations

from kronos_mixin.verify.check import Check

CHECKS: tuple[Check, ...] = ()
