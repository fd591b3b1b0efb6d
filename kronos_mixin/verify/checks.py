"""All checks, in the order in which they are made: causes before what follows from them."""

from __future__ import annotations

from kronos_mixin.verify import rules, series, service, targets
from kronos_mixin.verify.check import Check

CHECKS: tuple[Check, ...] = (*targets.CHECKS, *series.CHECKS, *rules.CHECKS, *service.CHECKS)
