"""Mistakes in what runs the service in Kubernetes."""

from __future__ import annotations

from mutation.places import Operator
from mutation.replacements import swap, times, to

KUBERNETES = "mixin/kubernetes.libsonnet"


OPERATORS = (
    Operator("scaling", KUBERNETES, r"threshold: '(?P<n>[\d.]+)'", times(0.5, 2, 100)),
    Operator("scaling", KUBERNETES, r"query: 'max(?=\()", to("query: 'sum", "query: 'avg")),
    Operator("scaling", KUBERNETES, r"histogram_quantile\(0\.9,", to("histogram_quantile(0.5,")),
    Operator("scaling", KUBERNETES, r"sum by \(le\) ", to("sum ", "max by (le) ")),
    Operator("scaling", KUBERNETES, r" and sum\(' \+ .* \+ '\) > 0'", to("'")),
    Operator("scaling", KUBERNETES, r"(?<=recorded\.)queueUtilisation", to("concurrent")),
    Operator("scaling", KUBERNETES, r"(?<=scaling\[metric\]\.)(query|threshold)", swap(("query", "threshold"))),
    Operator("scaling", KUBERNETES, r"(?<=etricType: ')Value|(?<=type: ')Value", to("AverageValue")),
    Operator("scaling", KUBERNETES, r"(?<=replicas\.)(min|max)\b", swap(("min", "max"))),
    Operator("scaling", KUBERNETES, r"(?<=min: )2(?=,)", to("1")),
    Operator("scaling", KUBERNETES, r"scale(Up|Down)(?=:)", swap(("scaleUp", "scaleDown"))),
    Operator("probe", KUBERNETES, r"/v1/(healthz|readyz)", swap(("/v1/healthz", "/v1/readyz"))),
    Operator("probe", KUBERNETES, r"(?<=, )(10, 6)(?=\))", to("10, 2", "2, 6")),
    Operator("port", KUBERNETES, r"\b(8000|9000)\b", swap(("8000", "9000"))),
    Operator(
        "port",
        KUBERNETES,
        r"(?<=[pP]ort: ')http(?=')|(?<=targetPort: ')http(?=')|(?<=to\(\[')(http|metrics)",
        to("web"),
    ),
    Operator("seconds of grace", KUBERNETES, r"(?<=terminationGracePeriodSeconds: )40", to("20")),
    Operator("selector", KUBERNETES, r"(?<=atchLabels: )labels|(?<=selector: )labels", to("{ app: name }")),
    Operator(
        "scrape", KUBERNETES, r"scrape\.(interval|timeout|path)(?=,)", swap(("scrape.interval", "scrape.timeout"))
    ),
    Operator("scrape", KUBERNETES, r"honorLabels: true", to("honorLabels: false")),
    Operator("scrape", KUBERNETES, r"Succeeded\|Failed", to("Succeeded")),
    Operator("scrape", KUBERNETES, r"replacement: scrape\.job", to("replacement: name")),
    Operator("user", KUBERNETES, r"\b10001\b", to("1000")),
)
