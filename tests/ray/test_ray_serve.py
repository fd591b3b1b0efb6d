"""What needs Ray's package, and no cluster: `nox -s ray` runs it. The rest happens on two nodes, in proof/ray."""

from __future__ import annotations

import asyncio
import json
import socket
import warnings

import pytest

with warnings.catch_warnings():
    # Of Ray's own code.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ray.serve  # noqa: F401

from starlette.requests import Request
from starlette.types import Message

from kronos_service import ray_serve
from kronos_service.http.listen import AddressError
from kronos_service.ray_serve import Registry, check_room, reachable
from kronos_service.settings import Settings, SettingsError

SETTINGS = Settings(queue_capacity=8, batch_rows=4, max_batch_items=8)


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time that the registry goes by."""
    now = [1000.0]
    monkeypatch.setattr(ray_serve.time, "monotonic", lambda: now[0])
    return now


def ask(registry: Registry) -> tuple[int, object]:
    answer = asyncio.run(registry.targets(Request({"type": "http", "method": "GET", "headers": []})))
    return answer.status_code, json.loads(answer.body) if answer.status_code == 200 else None


def listed(*replicas: tuple[str, str]) -> tuple[int, object]:
    return 200, [{"targets": [address], "labels": {"__meta_ray_replica": name}} for name, address in replicas]


def test_there_must_be_room_for_all_that_wait():
    check_room(13, SETTINGS)
    with pytest.raises(
        SettingsError, match=r"max_ongoing_requests is 12, but KRONOS_QUEUE_CAPACITY=8 .* more than 12"
    ):
        check_room(12, SETTINGS)


def test_a_registry_that_has_just_started_does_not_answer_before_all_had_the_time_to_announce_themselves(clock):
    registry = Registry("127.0.0.1", 0)
    registry.heard("b", "10.0.0.2:2")
    registry.heard("a", "10.0.0.1:1")
    assert ask(registry) == (503, None)
    clock[0] += 2 * ray_serve.ANNOUNCE_SECONDS
    assert ask(registry) == listed(("a", "10.0.0.1:1"), ("b", "10.0.0.2:2"))


def test_a_replica_is_forgotten_when_it_says_so_or_says_nothing_any_more(clock):
    registry = Registry("127.0.0.1", 0)
    for replica in ("goes", "dies", "stays"):
        registry.heard(replica, f"{replica}:1")
    clock[0] += ray_serve.FORGET_SECONDS - 1
    registry.heard("stays", "stays:1")
    asyncio.run(registry.withdraw("goes"))
    assert ask(registry) == listed(("dies", "dies:1"), ("stays", "stays:1"))
    clock[0] += 1
    assert ask(registry) == listed(("stays", "stays:1"))


def test_the_registry_says_what_to_do_when_its_address_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=f"127.0.0.1:{port}: Address already in use; give targets_host and"):
            asyncio.run(Registry("127.0.0.1", port).announce("a", "10.0.0.1:1"))


@pytest.mark.parametrize(
    ("bound", "address"),
    [("10.0.0.1", "10.0.0.1:1"), ("0.0.0.0", "10.9.9.9:1"), ("::", "10.9.9.9:1"), ("fd00::1", "[fd00::1]:1")],
)
def test_a_replica_announces_an_address_that_others_can_reach(bound: str, address: str):
    assert reachable(bound, 1, node="10.9.9.9") == address


@pytest.mark.parametrize(
    ("path", "code", "counts"), [("/v1/metrics", 200, True), ("/v1/metrics", 401, False), ("/", 200, False)]
)
def test_only_a_scrape_that_begins_after_the_end_has_the_last_numbers(path: str, code: int, counts: bool):
    async def play() -> bool:
        go_on = asyncio.Event()

        async def app(_scope, _receive, send) -> None:
            await go_on.wait()
            await send({"type": "http.response.start", "status": code, "headers": []})

        async def ignore(_message: Message) -> None:
            pass

        scrapes = ray_serve._Scrapes(app)
        early = asyncio.create_task(scrapes({"path": path}, None, ignore))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(scrapes.once_more(3600))
        await asyncio.sleep(0)
        go_on.set()
        await early
        assert not waiting.done()
        await scrapes({"path": path}, None, ignore)
        done, _ = await asyncio.wait([waiting], timeout=None if counts else 0.05)
        waiting.cancel()
        return bool(done)

    assert asyncio.run(play()) == counts
