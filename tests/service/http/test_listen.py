"""Addresses that cannot be had: one sentence, and no traceback."""

from __future__ import annotations

import errno
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kronos_service.http.listen import AddressError, Listener, explain
from tests.service.server import HANGING_SECONDS, environment, free_port

TAKEN = "Address already in use; stop what uses it, or set {prefix}_PORT to a free port"
NOWHERE = "set KRONOS_HOST to an address of this machine, or to 0.0.0.0 for all of its IPv4 addresses"


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def bind(sockets: ExitStack, prefix: str, host: str, port: int) -> Listener:
    listener = Listener.bind(prefix, host, port)
    sockets.enter_context(listener.socket)
    return listener


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.2"),
        pytest.param("::", "0.0.0.0", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")),
    ],
)
def test_of_two_listeners_on_one_port_the_second_is_refused(sockets: ExitStack, first: str, second: str):
    one = bind(sockets, "KRONOS", first, 0)
    port = one.socket.getsockname()[1]
    # Neither listens yet, as when two services start at the same time.
    other = bind(sockets, "KRONOS_METRICS", second, port)
    one.listen()
    with pytest.raises(AddressError) as refused:
        other.listen()
    assert str(refused.value) == f"cannot listen on {second}:{port}: {TAKEN.format(prefix='KRONOS_METRICS')}"


def test_one_port_on_two_addresses_and_two_free_ports_are_fine(sockets: ExitStack):
    one = bind(sockets, "KRONOS", "127.0.0.1", 0)
    port = one.socket.getsockname()[1]
    for host, wanted in (("127.0.0.2", port), ("127.0.0.1", 0)):
        other = bind(sockets, "KRONOS_METRICS", host, wanted)
        other.listen()
    one.listen()


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("192.0.2.1", f"cannot listen on 192.0.2.1:8000: Cannot assign requested address; {NOWHERE}"),
        ("no.such.host.invalid", f"cannot listen on no.such.host.invalid:8000: .*; {NOWHERE}"),
        ("x" * 64, f"cannot listen on x*:8000: .*; {NOWHERE}"),
        ("2001:db8::1", r"cannot listen on \[2001:db8::1\]:8000: .*; set KRONOS_HOST .*"),
    ],
)
def test_an_address_that_is_none_of_this_machine(host: str, message: str):
    with pytest.raises(AddressError) as refused:
        Listener.bind("KRONOS", host, 8000)
    assert re.fullmatch(message, str(refused.value))


def test_a_port_that_is_for_root():
    # Not by trying: in a container, and for root, every port is free.
    error = PermissionError(errno.EACCES, "Permission denied")
    assert explain(error, "KRONOS", "127.0.0.1", 80) == (
        "cannot listen on 127.0.0.1:80: Permission denied; "
        "low ports are for root: set KRONOS_PORT to a port from 1024 on"
    )


def run(folder: Path, **settings: object) -> tuple[int, str]:
    """The exit code of a service that cannot start, and what it says."""
    service = subprocess.run(
        [sys.executable, "-m", "kronos_service"],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=HANGING_SECONDS,
        check=False,
    )
    return service.returncode, service.stdout + service.stderr


def test_a_port_that_another_program_has(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = run(tmp_path, port=port)
    assert code == 1
    assert said == f"kronos_service: cannot listen on 127.0.0.1:{port}: {TAKEN.format(prefix='KRONOS')}\n"


def test_a_scrape_on_the_port_of_the_service_by_another_name(tmp_path: Path):
    port = free_port("127.0.0.1")
    code, said = run(tmp_path, port=port, metrics_port=port, metrics_host="localhost")
    assert code == 1
    assert said == f"kronos_service: cannot listen on localhost:{port}: {TAKEN.format(prefix='KRONOS_METRICS')}\n"
