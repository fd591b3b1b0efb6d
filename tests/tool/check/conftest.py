from __future__ import annotations

import dataclasses
import json

import pytest

from kronos_mixin.check.ours import check
from kronos_mixin.compile import render, write
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import Mixin, evaluate

TEXT = json.dumps(dataclasses.asdict(evaluate(mixin_path())))


@pytest.fixture
def mixin() -> Mixin:
    return Mixin(**json.loads(TEXT))  # Faster than a deep copy.


@pytest.fixture
def findings(tmp_path):
    """Checks a mixin, without compiled files."""
    contract = load_contract()
    return lambda mixin: [str(finding) for finding in check(mixin, contract, {}, tmp_path)]


@pytest.fixture
def findings_compiled(tmp_path):
    """Checks a mixin together with its compiled files."""

    def findings(mixin: Mixin) -> list[str]:
        files = render(mixin)
        write(files, tmp_path)
        return [str(finding) for finding in check(mixin, load_contract(), files, tmp_path)]

    return findings
