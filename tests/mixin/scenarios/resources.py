"""What a process needs: memory, its queue, its event loop, its log."""

from __future__ import annotations

from simulate import HOUR, Instance, every

from scenarios.scenario import Scenario, many, one, silent

RESOURCES = [
    Scenario("90 % of the memory", one(gauges={"process_resident_memory_bytes": 900}), {30: {}}),
    Scenario(
        "91 % of the memory",
        one(gauges={"process_resident_memory_bytes": 910}),
        {2: {}, 30: {"KronosHighMemoryUsage": 1}},
    ),
    Scenario(
        "no limit", one(gauges={"process_resident_memory_bytes": 910, "kronos_memory_limit_bytes": 0}), {30: {}}
    ),
    Scenario(
        "memory is freed, the alert resolves",
        one(gauges={"process_resident_memory_bytes": lambda t: 910 if t < 2400 else 500}),
        {30: {"KronosHighMemoryUsage": 1}, 50: {}},
    ),
    Scenario("the queue is 80 % full", one(gauges={"kronos_queue_depth": 80}), {30: {}}),
    Scenario("the queue is 81 % full", one(gauges={"kronos_queue_depth": 81}), {30: {"KronosQueueSaturated": 1}}),
    Scenario("no queue", one(gauges={"kronos_queue_depth": 81, "kronos_queue_capacity": 0}), {30: {}}),
    Scenario(
        "bursts that drain again",
        one(gauges={"kronos_queue_depth": lambda t: 100 if t % 300 < 120 else 0}),
        silent(*range(10, 60, 5)),
    ),
    Scenario("1 s of lag", one(gauges={"kronos_event_loop_lag_seconds": 1}), {30: {}}),
    Scenario(
        "1.05 s of lag",
        one(gauges={"kronos_event_loop_lag_seconds": 1.05}),
        {3: {}, 30: {"KronosEventLoopBlocked": 1}},
    ),
    Scenario(
        "one hiccup",
        one(gauges={"kronos_event_loop_lag_seconds": lambda t: 3 if 600 <= t < 660 else 0}),
        silent(10, 11, 12, 20),
    ),
    Scenario(
        "a single log line is lost",
        one(every(10), events={"kronos_log_lines_lost_total": range(1800, 1801)}),
        {29: {}, 31: {"KronosLogLinesLost": 1}, 70: {}},
    ),
    Scenario("none is", one(every(10), events={"kronos_log_lines_lost_total": ()}), {30: {}}),
    Scenario(
        "one of three starts three times in an hour",
        many(3, Instance("i1", every(10), down=((600, 660), (1200, 1260), (1800, 1860)))),
        {30: {}, 33: {"KronosRestarting": 1}, 115: {"KronosRestarting": 1}, 170: {}},
    ),
    Scenario(
        "one of three starts twice",
        many(3, Instance("i1", every(10), down=((600, 660), (1200, 1260)))),
        silent(20, 30, 60),
    ),
    Scenario(
        "two of three start three times",
        many(3, *(Instance(f"i{n}", every(10), down=((600, 660), (1200, 1260), (1800, 1860))) for n in range(2))),
        {33: {"KronosRestarting": 2, "KronosRestartingEverywhere": 1}, 115: {"KronosRestarting": 2}},
    ),
    *(
        Scenario(
            f"{count} of {all_of_them} start three times",
            many(
                all_of_them, *(Instance(f"i{n}", down=((600, 660), (1200, 1260), (1800, 1860))) for n in range(count))
            ),
            {33: {"KronosRestarting": count} | everywhere},
        )
        for count, all_of_them, everywhere in ((2, 4, {}), (6, 11, {"KronosRestartingEverywhere": 1}))
    ),
    Scenario(
        "killed for its memory every half hour",
        one(
            every(10),
            down=tuple((start, start + 30) for start in range(1800, 4 * HOUR, 1800)),
            gauges={"process_resident_memory_bytes": lambda t: 500 + 500 * (t % 1800) / 1800},
        ),
        {25: {}, 29: {"KronosHighMemoryUsage": 1}, 110: {"KronosRestarting": 1}},
    ),
    Scenario(
        "90 % of the GPU's memory",
        one(gauges={"kronos_device_memory_used_bytes": 900, "kronos_device_memory_limit_bytes": 1000}),
        {30: {}},
    ),
    Scenario(
        "91 % of the GPU's memory",
        one(gauges={"kronos_device_memory_used_bytes": 910, "kronos_device_memory_limit_bytes": 1000}),
        {10: {}, 30: {"KronosHighGpuMemoryUsage": 1}},
    ),
]
