"""Why a scrape fails, and what mends it, by what Prometheus or vmagent says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kronos_mixin.contract import Contract
from kronos_mixin.verify.target import Target


@dataclass(frozen=True)
class Failure:
    """What is wrong with a target, after its name, and what mends it."""

    wrong: str
    mend: str


_LIMIT = r"_limit|limit (was )?exceeded|limit of|label limit|too big|exceeds|maxScrapeSize"

_KNOWN = (
    (
        r"\b404\b",
        "has no such path",
        "set metrics_path: {path} in the scrape job; if it is so already, another service answers there",
    ),
    (
        r"\b(401|403)\b",
        "wants a key",
        "set authorization: {{credentials_file: FILE}} in the scrape job, with its KRONOS_METRICS_TOKEN",
    ),
    (
        r"HTTP response to HTTPS client|first record does not look like",
        "speaks HTTP, and is asked by HTTPS",
        "set scheme: http in the scrape job",
    ),
    (
        r"HTTP request to an? HTTPS|malformed HTTP (response|status)|connection reset|\bEOF\b|server closed",
        "ends the connection without an answer",
        "if it speaks HTTPS, set scheme: https in the scrape job; else look at its log",
    ),
    (
        r"x509|certificate|tls:|TLS handshake",
        "has a certificate that is not trusted",
        "set tls_config in the scrape job: ca_file, and server_name if the name differs",
    ),
    (
        _LIMIT,
        "is refused for a limit of the scrape job",
        "raise the limit that the message names in the scrape job: an instance has at most {series} series",
    ),
    (
        r"Content-Type|start token|unexpected|cannot parse|invalid metric|unsupported|data does not end",
        "answers with something other than metrics",
        "set metrics_path: {path} in the scrape job; if it is so already, another service answers there",
    ),
    (
        r"no such host|lookup |misbehaving",
        "has a name that can't be resolved",
        "correct the address in the scrape job, or the DNS of Prometheus",
    ),
    (
        r"refused|no route|unreachable",
        "does not listen",
        "start the service there, with KRONOS_HOST=0.0.0.0 if Prometheus is elsewhere; or correct the address",
    ),
    (
        r"deadline|[Tt]imeout|timed out",
        "does not answer within the scrape timeout",
        "open the way from Prometheus to it; if it is only slow, set scrape_timeout: 10s in the scrape job",
    ),
    (r"\b5\d\d\b", "answers with an error", "look at its log"),
)

MOST_SERIES = 650
"""What an instance exposes at most, with all clients that it tells apart."""


def is_limited(target: Target) -> bool:
    """Whether a scrape is refused for a limit."""
    return re.search(_LIMIT, target.error) is not None


def failure(target: Target, contract: Contract) -> Failure:
    """Why a target is down."""
    for pattern, wrong, mend in _KNOWN:
        if re.search(pattern, target.error):
            return Failure(wrong, mend.format(path=contract.metrics_path, series=MOST_SERIES))
    where = target.url or "it"
    return Failure("is down", f"see why from where Prometheus runs: curl {where}")
