"""What the overview costs over a day, from recorded series and from scraped ones."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import promql_parser
from rich.console import Console
from rich.table import Table

from benchmarks.rules.fleet import Child, Fleet
from kronos_mixin import promql, series
from kronos_mixin.contract import Contract, load_contract
from kronos_mixin.drill.exposition import Series
from kronos_mixin.drill.story import END
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.verify import panels
from proof.scene import backfill
from proof.scene.backfill import STEP
from proof.servers.binaries import Tools
from proof.servers.prometheus import Prometheus

# With many instances, raw queries over a day exceed the default limits.
FLAGS = (*backfill.FLAGS, "--query.max-samples=1000000000", "--query.timeout=15m")

# One connection for all queries: opening one takes longer than most of them.
_CLIENT = httpx.Client(trust_env=False, timeout=900)

_REPEATS = 3
_OVER_TIME = {"avg_over_time", "max_over_time", "min_over_time", "sum_over_time"}


@dataclass(frozen=True)
class Cost:
    """What a query cost Prometheus."""

    seconds: float
    samples: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.samples + other.samples)


NOTHING = Cost(0, 0)


def run(console: Console, tools: Tools, sizes: list[int], hours: int) -> None:
    """Build some hours of history for each number of instances, and print what queries over it cost."""
    mixin, contract = backfill.compile_for_history(), load_contract()
    console.print(
        f"Prometheus {tools.version}; scraped and evaluated every {STEP} s. At the mixin's own 15 s and 30 s, "
        "raw queries read four times as many samples, recorded ones twice as many."
    )
    for instances in sizes:
        with tempfile.TemporaryDirectory(prefix="kronos-bench-") as folder:
            begin = time.monotonic()
            recorded = build(tools, mixin, contract, Path(folder), instances, hours)
            console.print(f"\n{instances} instances: built in {time.monotonic() - begin:.0f} s")
            config = {"global": {"scrape_interval": f"{STEP}s"}}
            with Prometheus(tools, config, data=Path(folder) / "data", flags=FLAGS, timeout=300) as server:
                overview(console, server, mixin, contract, hours)
                rules(console, server, mixin, recorded)


def build(tools: Tools, mixin: Mixin, contract: Contract, folder: Path, instances: int, hours: int) -> int:
    """Write all series of the last hours, raw and recorded; returns the number of recorded ones."""
    times = [END - hours * 3600 + STEP * number for number in range(hours * 3600 // STEP + 1)]
    backfill.write_blocks(tools, folder, folder / "data", list(raw_series(mixin, contract, instances, times)), times)
    count = 0
    for level in backfill.levels(mixin, contract):
        config = {"global": {"scrape_interval": f"{STEP}s"}}
        with Prometheus(tools, config, data=folder / "data", flags=FLAGS, timeout=300) as server:
            found = [one for rule in level for one in backfill.recorded_series(server, rule, times)]
        # A series comes in two parts where its rule takes it now from a recorded one, now from an expression.
        count += len({(one.name, *sorted(one.labels.items())) for one in found})
        backfill.write_blocks(tools, folder, folder / "data", found, times)
    return count


def raw_series(mixin: Mixin, contract: Contract, instances: int, times: list[float]) -> Iterator[Series]:
    """Every series that is scraped, for the whole time if the overview reads it, else for two hours."""
    wanted = _read_by_overview(mixin, contract)
    recent = np.where(np.array(times) > times[-1] - 7200, 1.0, np.nan)
    fleet = Fleet(contract, instances, times[0] - 3600)
    of_one = [
        Child(child.name, child.labels, child.values if child.name in wanted else child.values * recent)
        for child in (*fleet.past(times), Child("up", {}, np.ones(len(times))))
    ]
    for number in range(instances):
        target = fleet.target(number)
        yield from (Series(child.name, {**target, **child.labels}, child.values) for child in of_one)


def _read_by_overview(mixin: Mixin, contract: Contract) -> set[str]:
    """The raw series that the overview reads, directly or through rules."""
    known = series.known(mixin, contract)
    expressions = {rule["record"]: rule["expr"] for group in mixin.rules for rule in group["rules"]}
    todo = [query.expr for query in _queries(mixin, 1)]
    found: set[str] = set()
    while todo:
        new = promql.read(todo.pop(), known).series - found
        found |= new
        todo += [expressions[name] for name in new if name in expressions]
    return found


def _queries(mixin: Mixin, hours: int) -> Iterator[panels.Query]:
    dashboard = mixin.dashboards["kronos-dashboard.json"]
    return panels.queries(dashboard, f"{STEP}s", rate_interval=f"{4 * STEP}s", span=f"{hours}h")


def overview(console: Console, server: Prometheus, mixin: Mixin, contract: Contract, hours: int) -> None:
    """Print the cost of each query of the overview, recorded and raw."""
    table = Table(title=f"The overview over {hours} h")
    table.add_column("panel", no_wrap=True)
    for column in ("recorded ms", "samples", "raw ms", "samples", "samples saved"):
        table.add_column(column, justify="right")
    expander = Expander(mixin, contract)
    total, raw_total = NOTHING, NOTHING
    slowest: dict[str, float] = {}
    for query in _queries(mixin, hours):
        cost = measure(server, query.expr, 0 if query.instant else hours)
        raw = measure(server, expander.expand(query.expr), 0 if query.instant else hours)
        total, raw_total = total + cost, raw_total + raw
        slowest[query.panel] = slowest.get(query.panel, 0) + cost.seconds
        table.add_row(f"{query.panel} {query.ref}", *_columns(cost, raw))
    table.add_section()
    table.add_row("all", *_columns(total, raw_total))
    console.print(table)
    console.print("Prometheus does not count the samples of subqueries, so raw stats look cheaper than they are.")
    name = max(slowest, key=lambda panel: slowest[panel])
    console.print(f"The slowest panel is {name!r}: {slowest[name] * 1000:.0f} ms for its queries, one after another.")


def _columns(cost: Cost, raw: Cost) -> list[str]:
    saved = f"{raw.samples / cost.samples:,.0f}x" if cost.samples else ""
    return [
        f"{cost.seconds * 1000:,.1f}",
        f"{cost.samples:,}",
        f"{raw.seconds * 1000:,.0f}",
        f"{raw.samples:,}",
        saved,
    ]


def rules(console: Console, server: Prometheus, mixin: Mixin, recorded: int) -> None:
    """Print the cost of evaluating all rules and alerts once."""
    for kind, groups in (("recording rules", mixin.rules), ("alerts", mixin.alerts)):
        expressions = [rule["expr"] for group in groups for rule in group["rules"]]
        cost = functools.reduce(Cost.__add__, (measure(server, expression, 0) for expression in expressions))
        console.print(
            f"{len(expressions)} {kind} evaluated once: {cost.samples:,} samples, {cost.seconds * 1000:,.0f} ms."
        )
    console.print(f"The rules add {recorded:,} series.")


def measure(server: Prometheus, expression: str, hours: int) -> Cost:
    """Run a range query over the last hours, or an instant query if that is 0; the fastest of a few runs."""
    parameters: dict[str, Any] = {"query": expression, "stats": "all"}
    if hours:
        parameters |= {"start": END - hours * 3600 + STEP, "end": END, "step": STEP}
    else:
        parameters |= {"time": END}
    costs: list[Cost] = []
    while len(costs) < _REPEATS and sum(cost.seconds for cost in costs) < 1:
        begin = time.perf_counter()
        url = f"{server.url}/api/v1/{'query_range' if hours else 'query'}"
        answer = _CLIENT.post(url, data=parameters)
        seconds = time.perf_counter() - begin
        body = answer.json()
        if body["status"] != "success":
            raise SystemExit(f"{expression}\n{body['error']}")
        costs.append(Cost(seconds, body["data"]["stats"]["samples"]["totalQueryableSamples"]))
    return min(costs, key=lambda cost: cost.seconds)


class Expander:
    """Replaces recorded series by the expressions of their rules, so that queries read raw metrics only."""

    def __init__(self, mixin: Mixin, contract: Contract) -> None:
        self._known = series.known(mixin, contract)
        self._rules = {rule["record"]: rule["expr"] for group in mixin.rules for rule in group["rules"]}

    def expand(self, expression: str, matchers: tuple[str, ...] = ()) -> str:
        """The expression without recorded series; the matchers are added to every series that has the label."""
        tree = promql_parser.parse(expression)
        text = str(tree)
        # Longest first, because a range contains its selector.
        for old, new in sorted(self._replacements(tree, matchers), key=lambda pair: -len(pair[0])):
            text = text.replace(old, new)
        return text

    def _replacements(self, node: Any, matchers: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        match node:
            case promql_parser.Call() if node.func.name in _OVER_TIME and self._is_range_of_recorded(node.args[0]):
                selector, window = node.args[0].vector_selector, round(node.args[0].range.total_seconds())
                raw = self._selector(selector, matchers)
                # Over a single evaluation, the function changes nothing.
                yield str(node), raw if window <= STEP else f"{node.func.name}({raw}[{window}s:{STEP}s])"
            case promql_parser.MatrixSelector():
                selector = node.vector_selector
                yield str(node), str(node).replace(str(selector), self._selector(selector, matchers))
            case promql_parser.VectorSelector():
                yield str(node), self._selector(node, matchers)
            case promql_parser.Call():
                for argument in node.args:
                    yield from self._replacements(argument, matchers)
            case promql_parser.BinaryExpr():
                yield from self._replacements(node.lhs, matchers)
                yield from self._replacements(node.rhs, matchers)
            case promql_parser.AggregateExpr() | promql_parser.ParenExpr() | promql_parser.UnaryExpr():
                yield from self._replacements(node.expr, matchers)
            case promql_parser.SubqueryExpr():
                yield from self._replacements(node.expr, matchers)

    def _is_range_of_recorded(self, node: Any) -> bool:
        return isinstance(node, promql_parser.MatrixSelector) and node.vector_selector.name in self._rules

    def _selector(self, node: promql_parser.VectorSelector, matchers: tuple[str, ...]) -> str:
        name = str(node.name)
        inside = str(node).partition("{")[2].rpartition("}")[0]
        labels = self._known[name]
        added = [text for text in matchers if labels is None or text.partition("=")[0].rstrip("!") in labels]
        own = [f"{m.name}{promql.OPERATORS[str(m.op)]}{_quoted(m.value)}" for m in node.matchers.matchers]
        if name in self._rules:
            return f"({self.expand(self._rules[name], (*own, *added))})"
        return name + "{" + ",".join(filter(None, [inside, *added])) + "}"


def _quoted(value: str) -> str:
    """A string literal of PromQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
