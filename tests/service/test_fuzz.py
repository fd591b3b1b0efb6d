"""Whatever JSON is sent: an answer, never a 5xx."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.service.server import BATCH, SINGLE, Server, series

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=0, max_value=9),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([1e308, -0.0, 5e-324, 10**400, "2024-02-29T00:00:00Z", "9999-12-31T23:59:59.999999+23:59"]),
    st.datetimes().map(lambda time: time.isoformat() + "Z"),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
JSON = st.recursive(STRANGE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def valid() -> dict[str, Any]:
    overrides = {"temperature": 1.0, "top_k": 5, "top_p": 0.9, "sample_count": 2, "seed": 1, "quantiles": [0.1, 0.9]}
    body = series(4, 2, series_id="fuzz", overrides=overrides, prediction_timestamps=None)
    for candle in body["candles"]:
        candle["amount"] = 1.0
    return body


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A valid request with one to three of its parts replaced, removed, repeated or added."""
    body = valid()
    for _ in range(draw(st.integers(1, 3))):
        parent: Any = body
        while True:
            if not parent:
                break
            keys = list(parent) if isinstance(parent, dict) else range(len(parent))
            key = draw(st.sampled_from(list(keys)))
            if isinstance(parent[key], dict | list) and draw(st.booleans()):
                parent = parent[key]
                continue
            change = draw(st.sampled_from(["replace", "remove", "add", "repeat"]))
            if change == "replace":
                parent[key] = draw(STRANGE)
            elif change == "remove":
                del parent[key]
            elif isinstance(parent, list):
                parent.insert(draw(st.integers(0, len(parent))), copy.deepcopy(parent[key]))
            else:
                parent[draw(st.text(max_size=5))] = draw(STRANGE)
            break
    return body


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=mutated() | JSON, batch=st.booleans())
@example(body=None, batch=False)
@example(body=valid(), batch=True)
def test_any_json_is_answered(server: Server, body: Any, batch: bool):
    content = json.dumps({"items": [body]} if batch else body)
    answer = server.client.post(
        BATCH if batch else SINGLE, content=content.encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {200, 400, 422}, (content, answer.text)
    if answer.status_code == 422:
        assert answer.json()["errors"]
    if answer.status_code == 200:
        json.loads(answer.text, parse_constant=not_json)


def not_json(name: str) -> None:
    raise AssertionError(f"{name} in an answer")
