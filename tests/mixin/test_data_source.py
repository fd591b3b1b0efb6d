"""Every query goes to a data source of the type that the knob names."""

from __future__ import annotations

import json

import pytest

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate


@pytest.mark.parametrize("kind", ["prometheus", "victoriametrics-metrics-datasource"])
def test_the_type_of_the_data_source(kind):
    config = {"kronos": {"dashboards": {"datasourceType": kind}}}
    dashboards = evaluate(mixin_path(), config).dashboards
    assert len(dashboards) == 4
    for dashboard in dashboards.values():
        (variable,) = [one for one in dashboard["templating"]["list"] if one["name"] == "datasource"]
        assert variable["query"] == kind
        found = []

        def note(value, found=found):
            if value.get("uid") == "${datasource}":
                found.append(value["type"])
            return value

        json.loads(json.dumps(dashboard), object_hook=note)
        assert set(found) == {kind}


def test_everything_asks_the_chosen_data_source():
    """What names none asks Grafana's default, which may be another one."""
    for dashboard in evaluate(mixin_path()).dashboards.values():
        variables = [one for one in dashboard["templating"]["list"] if one["type"] == "query"]
        asking = [*variables, *dashboard["annotations"]["list"], *dashboard["panels"]]
        asking += [target for panel in dashboard["panels"] for target in panel["targets"]]
        assert variables
        assert {one["datasource"]["uid"] for one in asking} == {"${datasource}"}
