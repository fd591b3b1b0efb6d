"""Error budgets that burn. The guard counts recorded points, so that the pace of scrapes may be slower here."""

from __future__ import annotations

from simulate import HOUR, every

from scenarios.scenario import Scenario, one

BOTH_PAGES = ["KronosErrorBudgetBurn 1h", "KronosErrorBudgetBurn 6h"]
BUDGETS = [
    Scenario("nothing fails", one(every(10)), {}, burning={60: [], 119: []}),
    Scenario(
        "an outage at one request in 305 s", one(every(305, status="error")), {}, burning={10: [], 45: BOTH_PAGES}
    ),
    Scenario(
        "one odd error in a fresh service",
        one(every(300), every(HOUR, start=100, status="error")),
        {},
        burning={m: [] for m in range(5, 60, 5)},
    ),
    # 14.4 times 0.5 % is 7.2 %, 6 times is 3 %.
    Scenario(
        "7.04 % fail", one(every(1), every(13.2, status="error")), {}, burning={40: ["KronosErrorBudgetBurn 6h"]}
    ),
    Scenario(
        "7.35 % fail",
        one(every(1), every(12.6, status="error")),
        {},
        burning={15: ["KronosErrorBudgetBurn 1h"], 40: BOTH_PAGES},
    ),
    Scenario("2.9 % fail", one(every(1), every(33.5, status="error")), {}, burning={40: []}),
    Scenario(
        "3.1 % fail", one(every(1), every(31.3, status="error")), {}, burning={40: ["KronosErrorBudgetBurn 6h"]}
    ),
    Scenario(
        "a shutdown that breaks requests counts",
        one(every(1), every(11.4, status="unavailable")),
        {},
        burning={40: BOTH_PAGES},
    ),
    Scenario(
        "it is over: pages resolve before the hour has passed",
        one(every(1), every(5, stop=1800, status="error")),
        {},
        burning={29: BOTH_PAGES, 50: ["KronosErrorBudgetBurn 6h"], 75: ["KronosErrorBudgetBurn 1d"]},
    ),
    # 3 times is 1.5 %, once is 0.5 %.
    *(
        Scenario(
            f"{share} % fail",
            one(every(1, stop=5 * HOUR), every(spacing, status="error", stop=5 * HOUR)),
            {},
            burning={50: [], 100: early, 240: early + late},
            step=60,
        )
        for share, spacing, early, late in (
            (1.55, 63.5, ["KronosErrorBudgetBurn 1d"], ["KronosErrorBudgetBurn 3d"]),
            (1.45, 68, [], ["KronosErrorBudgetBurn 3d"]),
            (0.53, 187, [], ["KronosErrorBudgetBurn 3d"]),
            (0.48, 207, [], []),
        )
    ),
    *(
        Scenario(
            f"eight minutes of {status} after six good hours",
            one(
                every(4, stop=6 * HOUR),
                every(4, start=6 * HOUR, stop=6 * HOUR + 480, status=status),
                every(4, start=6 * HOUR + 480, stop=6.5 * HOUR),
                gauges={"kronos_model_ready": lambda t, ready=ready: ready or not 6 * HOUR <= t < 6 * HOUR + 480},
            ),
            {},
            burning=dict.fromkeys(range(370, 374), burns),
            step=60,
        )
        # A load of the model is nothing to wake someone for.
        for status, ready, burns in (("error", True, ["KronosErrorBudgetBurn 1h"]), ("unavailable", False, []))
    ),
    Scenario(
        "a load under load at birth",
        one(
            every(1, status="unavailable", stop=500),
            every(1, start=501),
            gauges={"kronos_model_ready": lambda t: t > 500},
        ),
        {},
        burning={m: [] for m in range(2, 60)},
    ),
    Scenario(
        "loads of two minutes, three an hour",
        one(
            every(4, stop=4 * HOUR),
            *(every(1, start=start, stop=start + 120, status="unavailable") for start in range(0, 4 * HOUR, 1200)),
            gauges={"kronos_model_ready": lambda t: t % 1200 >= 120},
        ),
        {},
        burning={140: ["KronosErrorBudgetBurn 6h", "KronosErrorBudgetBurn 1d"]},
        step=60,
    ),
    Scenario(
        "the traffic ends during the burn",
        one(every(1, stop=HOUR), every(11.4, stop=HOUR, status="error")),
        {},
        burning={59: BOTH_PAGES, 76: ["KronosErrorBudgetBurn 1d"]},
    ),
    # Latency: 14.4 times 5 % is 72 %, 6 times is 30 %.
    Scenario(
        "80 % are slow",
        one(every(5), every(1.2, seconds=6)),
        {},
        burning={40: ["KronosLatencyBudgetBurn 1h", "KronosLatencyBudgetBurn 6h"]},
    ),
    Scenario("40 % are slow", one(every(5), every(7, seconds=6)), {}, burning={40: ["KronosLatencyBudgetBurn 6h"]}),
    Scenario("25 % are slow", one(every(5), every(15, seconds=6)), {}, burning={40: []}),
]
