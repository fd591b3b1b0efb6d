"""Checks of service."""

from __future__ import annotations

from kronos_mixin.verify.check import Check

CHECKS: tuple[Check, ...] = ()
