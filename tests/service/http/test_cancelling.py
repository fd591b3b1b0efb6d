"""Servers that cancel the task of a request whose client has left, where ours sends a disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message

from kronos_service.app import create_app
from kronos_service.lifecycle import Lifecycle
from tests.service.server import HANGING_SECONDS, SINGLE, heavy

BODY = orjson.dumps(heavy())
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "scheme": "http",
    "method": "POST",
    "path": SINGLE,
    "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
    "client": ("192.0.2.7", 1),
}
GOES_ON, DRAINS, INTERRUPTS = (lambda _: None), Lifecycle.refuse, Lifecycle.interrupt


async def never() -> Message:
    message: Message = await asyncio.get_running_loop().create_future()
    return message


async def answered(message: Message) -> None:
    raise AssertionError(message)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - threads of the service meet it
        await asyncio.sleep(0.01)


async def cancel(arrived: int, happens: Callable[[Lifecycle], object]) -> set[str]:
    """Cancel a request of which so many bytes have ``arrived`` after something ``happens``; returns how it counts."""
    registry = CollectorRegistry()
    value = registry.get_sample_value
    app = create_app(registry=registry)
    messages = [{"type": "http.request", "body": BODY[:arrived], "more_body": arrived < len(BODY)}]

    async def receive() -> Message:
        return messages.pop() if messages else await never()

    def has_come_far() -> bool:
        return bool(value("kronos_batch_rows_count")) if arrived == len(BODY) else not messages

    async with asyncio.timeout(HANGING_SECONDS), app.router.lifespan_context(app):
        await until(lambda: value("kronos_model_ready"))
        request = asyncio.create_task(app(dict(SCOPE), receive, answered))
        await until(has_come_far)
        happens(app.state.lifecycle)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await until(lambda: value("kronos_running_series") == 0)
    names = {"kronos_requests_total": "status", "kronos_cancellations_total": "cause", "kronos_errors_total": "type"}
    return {
        sample.labels[label]
        for family in registry.collect()
        for sample in family.samples
        if (label := names.get(sample.name)) and sample.value
    }


@pytest.mark.parametrize("arrived", [100, len(BODY)])
@pytest.mark.parametrize("happens", [GOES_ON, DRAINS])
def test_the_client_has_left(arrived: int, happens: Callable[[Lifecycle], object]):
    assert asyncio.run(cancel(arrived, happens)) == {"cancelled", "client_disconnect"}


def test_the_server_gave_up():
    assert asyncio.run(cancel(100, INTERRUPTS)) == {"unavailable", "shutdown"}
