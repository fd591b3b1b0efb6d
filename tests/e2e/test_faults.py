"""Every alert is seen to fire on a real fault of a real service, and to resolve when the fault is mended."""

from __future__ import annotations

import pytest

from proof.servers import binaries
from tests.e2e.faults import FAULTS
from tests.e2e.performance import ALERTS, PATIENCE, WITHOUT_A_FAULT, Performance


def test_every_alert_has_a_fault():
    told = [alert for fault in FAULTS.values() for alert in fault.alerts]
    assert set(told) == ALERTS - WITHOUT_A_FAULT
    assert len(told) == len(set(told)), "an alert has one fault"


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    with Performance(binaries.newest(), tmp_path_factory.mktemp("faults")) as performance:
        yield performance


@pytest.fixture(scope="module")
def mended(broken):
    broken.mend()
    return broken


@pytest.mark.parametrize("job", FAULTS)
def test_fires(broken, job):
    broken.server.wait_for(
        # A freeze is over soon, perhaps before its turn has come here.
        f'last_over_time(ALERTS{{alertstate="firing", job="{job}"}}[15m])',
        lambda found: {sample.labels["alertname"] for sample in found} >= FAULTS[job].alerts.keys(),
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("job", FAULTS)
def test_resolves(mended, job):
    names = "|".join(FAULTS[job].alerts)
    mended.server.wait_for(
        f'ALERTS{{alertstate="firing", job="{job}", alertname=~"{names}"}}',
        lambda found: not found,
        timeout=PATIENCE,
    )
