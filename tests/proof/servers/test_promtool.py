from __future__ import annotations

from typing import Any

import pytest
import yaml

from proof.servers import promtool
from proof.servers.promtool import CheckFailed

RULE = {"record": "job:up:sum", "expr": "sum by (job) (up)"}


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: Any):
        file = tmp_path / name
        file.write_text(yaml.safe_dump(content))
        return file

    return write


def rules(*each: dict[str, Any]) -> dict[str, Any]:
    return {"groups": [{"name": "test", "rules": list(each)}]}


def test_rules(versions, write):
    good = write("good.yml", rules(RULE))
    wrong = write("wrong.yml", rules({"record": "x", "expr": "sum("}))
    twice = write("twice.yml", rules(RULE, RULE))
    for tools in versions:
        assert "1 rules found" in promtool.check_rules(tools, good)
        with pytest.raises(CheckFailed, match=r"(?s)promtool \S+ check rules .*exit code .*parse error"):
            promtool.check_rules(tools, wrong)
        with pytest.raises(CheckFailed, match="duplicate"):
            promtool.check_rules(tools, twice)


def test_a_configuration(versions, write):
    write("good.yml", rules(RULE))
    good = write("prometheus.yml", {"rule_files": ["good.yml"]})
    write("wrong.yml", rules({"record": "x", "expr": "sum("}))
    wrong_rule = write("wrong-rule.yml", {"rule_files": ["wrong.yml"]})
    wrong = write("wrong-key.yml", {"no_such_key": 1})
    for tools in versions:
        assert "SUCCESS" in promtool.check_config(tools, good)
        with pytest.raises(CheckFailed, match="no_such_key"):
            promtool.check_config(tools, wrong)
        with pytest.raises(CheckFailed, match="parse error"):
            promtool.check_config(tools, wrong_rule)


def test_unit_tests(versions, write):
    write("good.yml", rules(RULE))

    def case(value: float) -> dict[str, Any]:
        expected = {"labels": 'job:up:sum{job="a"}', "value": value}
        return {
            "rule_files": ["good.yml"],
            "tests": [
                {
                    "input_series": [{"series": 'up{job="a"}', "values": "1 1 1"}],
                    "promql_expr_test": [{"expr": "job:up:sum", "eval_time": "1m", "exp_samples": [expected]}],
                }
            ],
        }

    right, wrong = write("right_test.yml", case(1)), write("wrong_test.yml", case(2))
    for tools in versions:
        assert "SUCCESS" in promtool.test_rules(tools, right)
        with pytest.raises(CheckFailed, match=r"(?s)exp:.*got:"):
            promtool.test_rules(tools, wrong)


def test_no_end(tools, write, monkeypatch):
    monkeypatch.setattr(promtool, "_SECONDS", 0)
    with pytest.raises(CheckFailed, match="no end within 0 s"):
        promtool.check_rules(tools, write("good.yml", rules(RULE)))
