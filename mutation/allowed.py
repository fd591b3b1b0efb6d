"""Mistakes that no test has to catch, because they make no difference, and why: by a pattern of what they are."""

ALLOWED = {
    r"^on\(\) changed: mixin/alerts/(availability|central|objectives)\..*q\.on\(\[\]\) -> q\.on\(\['route'\]\)": (
        "Neither side has a route."
    ),
    r"^on\(\) dropped: mixin/alerts/objectives\.libsonnet: .* \| *\(min_over_time": (
        "Both sides have the labels of the installation and no others."
    ),
    r"^average for maximum: mixin/lib/query\.libsonnet: last_over_time -> max_over_time": (
        "Alerts on what was lost ask whether there was something, and do not show how much."
    ),
    r"^panels swapped: ": "The same panels in another order.",
    r"^order of rules: .*\{ seen: seen \}, \{ targets: targets \}": "Neither of them reads the other.",
    r"^order of rules: .*\{ slowInference: slowInference \}, \{ queueUtilisation: queueUtilisation \}": (
        "Neither of them reads the other."
    ),
    r"^sum for max: mixin/alerts/monitoring\.libsonnet: q\.count -> q\.sum \| \(\[\], q\.raw\('up'\) \+ ' == 1'\)": (
        "All that it adds up are 1."
    ),
    r"^sum for max: mixin/alerts/availability\.libsonnet: q\.avg -> q\.max \| \(\[\], upOver\(window\)\) \+ '\)'": (
        "Only where no target was ever up: their average and their highest are both 0."
    ),
    r"^edge of a comparison: mixin/alerts/ray\.libsonnet: > -> >= \|  ' \+ knobs\.threshold": (
        "Requests are whole: three, as with 2.5."
    ),
    r"^edge of a comparison: mixin/alerts/requests\.libsonnet: >= -> > \|  ' \+$": (
        "Requests are whole: three, as with 2.5."
    ),
    r"^sum for max: mixin/lib/shown\.libsonnet: q\.count -> q\.sum \| .*shown\.firing": "Each firing alert is a 1.",
    r"^threshold: .*guardCount: '2\.5' -> guardCount: '2\.(25|75)'": "Requests are whole: three, as with 2.5.",
    r"^threshold: .*minimum: '4\.5' -> minimum: '4\.(05|95)'": "Requests are whole: five, as with 4.5.",
    r"^threshold: .*threshold: '3' -> threshold: '2\.7'": "Starts are whole: three, as with 3.",
}
