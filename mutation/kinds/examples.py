"""Mistakes in the Alertmanager example and the scrape job."""

from __future__ import annotations

from mutation.places import Operator
from mutation.replacements import shorter_or_longer, swap, to

CONFIG = "mixin/config.libsonnet"
ALERTMANAGER = "mixin/alertmanager.libsonnet"
SCRAPE = "mixin/scrape.libsonnet"


OPERATORS = (
    Operator("inhibition lost", ALERTMANAGER, r"^ +mute(?:Slower)?\(.*\) ?\+?\n", to("")),
    Operator("inhibition", ALERTMANAGER, r"'Kronos\w+', (?=')|, 'Kronos\w+'(?=\])", to("")),
    Operator("inhibition", ALERTMANAGER, r"^ +'Kronos\w+',\n", to("")),
    Operator("inhibition", ALERTMANAGER, r"(?<=equal: )targetLabels \+ labels", to("targetLabels", "labels")),
    Operator(
        "inhibition", ALERTMANAGER, r"(?<=\b)(source|target)_matchers", swap(("source_matchers", "target_matchers"))
    ),
    Operator("inhibition", ALERTMANAGER, r", \['route'\](?=\))", to("")),
    Operator(
        "inhibition",
        ALERTMANAGER,
        r"(?<=\[index \+ )1(?=:)|\|\| severity\(burns\[index\]\) == 'critical'|severity\(other\) != 'critical' \|\| ",
        lambda m: ["0" if m[0] == "1" else ""],
    ),
    Operator(
        "route",
        ALERTMANAGER,
        r"receiver: '([\w-]+)'",
        lambda m: [
            "receiver: '"
            + {
                "elsewhere": "kronos-page",
                "kronos-info": "kronos-ticket",
                "kronos-ticket": "kronos-info",
                "kronos-page": "kronos-ticket",
            }[m[1]]
            + "'"
        ],
    ),
    Operator(
        "route",
        ALERTMANAGER,
        r"severity=\"(critical|warning)\"",
        lambda m: [f'severity="{"info" if m[1] == "warning" else "page"}"'],
    ),
    Operator("route", ALERTMANAGER, r"Kronos\.\+", to("kronos.+")),
    Operator(
        "route", ALERTMANAGER, r"(?:group_wait|group_interval|repeat_interval): '(?P<d>\w+)'", shorter_or_longer
    ),
    Operator("route", ALERTMANAGER, r"(?<=group_by: )targetLabels", to("['alertname']", "['job']")),
    Operator("scrape", SCRAPE, r"honor_labels: true", to("honor_labels: false")),
    Operator("scrape", SCRAPE, r"(?<=action: ')(keep|drop)", swap(("keep", "drop"))),
    Operator("scrape", SCRAPE, r"Succeeded\|Failed", to("Succeeded")),
    Operator(
        "scrape",
        SCRAPE,
        r"scrape\.(interval|timeout|path|scheme)(?=,)",
        swap(("scrape.interval", "scrape.timeout"), ("scrape.path", "scrape.scheme")),
    ),
    Operator(
        "scrape",
        SCRAPE,
        r"scrape\.tls\.(\w+)",
        lambda m: [
            "scrape.tls."
            + {"caFile": "certFile", "certFile": "keyFile", "keyFile": "caFile", "serverName": "caFile"}[m[1]]
        ],
    ),
    Operator("scrape", SCRAPE, r"target_label: '(namespace|pod)'", lambda m: [m[0].replace(m[1], "instance")]),
    Operator("scrape", SCRAPE, r"__meta_kubernetes_(\w+)", lambda m: [m[0] + "_name"]),
    Operator(
        "scrape",
        CONFIG,
        r"(?<=path: ')/v1/metrics|(?<=timeout: ')10s|(?<=interval: ')15s",
        lambda m: [{"/v1/metrics": "/metrics", "10s": "30s", "15s": "1m"}[m[0]]],
    ),
)
