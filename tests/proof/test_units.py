from __future__ import annotations

import math

import pytest

from proof.units import formatted


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.456, "percentunit", "45.6%"),
        (1, "percentunit", "100%"),
        (-0.0123, "percentunit", "-1.23%"),
        (0, "s", "0 s"),
        (2.5e-7, "s", "250 ns"),
        (0.0000421, "s", "42.1 µs"),
        (0.01234, "s", "12.3 ms"),
        (1.5, "s", "1.50 s"),
        (90, "s", "1.50 mins"),
        (7200, "s", "2 hours"),
        (864000, "s", "10 days"),
        (512, "bytes", "512 B"),
        (1.3e9, "bytes", "1.21 GiB"),
        (0.0581, "reqps", "0.0581 req/s"),
        (1234, "reqps", "1.23K req/s"),
        (3, "cps", "3 c/s"),
        (250, "short", "250"),
        (1e6, "short", "1 Mil"),
        (0.5, "none", "0.500"),
        (2, "prefix:× ", "× 2"),
        (14.4, "suffix:×", "14.4 ×"),
        (7, "furlongs", "7 furlongs"),
        (math.nan, "s", "nan"),
        (math.inf, "short", "inf"),
    ],
)
def test_as_grafana_prints_it(value, unit, text):
    assert formatted(value, unit) == text
