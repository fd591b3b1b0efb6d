"""The service counts every metric of the contract, under its labels, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import kronos_service
from kronos_mixin.contract import ContractError, load_contract
from kronos_service.telemetry.metrics import Metrics

FOLDER = Path(kronos_service.__file__).parent
CONTRACT = load_contract()


def counted() -> Iterator[tuple[str, str, int]]:
    """Each `counter`, `gauge` or `histogram` that the code asks for: its type, name and number of label values."""
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and str(first.value).startswith("kronos_"):
                    yield node.func.attr, first.value, len(node.args) - 1


def test_what_the_code_counts_is_the_contract():
    wanted = {(metric.type, metric.name, len(metric.labels)) for metric in CONTRACT.metrics.values()}
    assert set(counted()) == wanted


def test_a_metric_that_the_contract_does_not_have():
    metrics = Metrics(CollectorRegistry(), CONTRACT)
    with pytest.raises(ContractError, match="no counter kronos_tea_total"):
        metrics.counter("kronos_tea_total")
    with pytest.raises(ContractError, match="no gauge kronos_requests_total"):
        metrics.gauge("kronos_requests_total", "unmatched", "error")
