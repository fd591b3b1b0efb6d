"""A made-up mixin like those on Grafonnet: a library of small functions, and dashboards that add them up."""

from __future__ import annotations

from pathlib import Path

PANELS = ("barGauge", "gauge", "heatmap", "logs", "stat", "table", "text", "timeSeries")
OPTIONS = range(60)
"""Functions of each kind of panel."""
USED = range(0, 60, 5)
"""Those that a panel uses."""
DASHBOARDS, PANELS_EACH = range(20), range(20)

_LIBRARY = """{
  dashboard: import 'dashboard.libsonnet',
  panel: {
IMPORTS  },
}
"""
_DASHBOARD = """{
  new(title): { title: title, schemaVersion: 39, templating: { list: [] } },
  withUid(value): { uid: value },
  withPanels(value): {
    panels: std.mapWithIndex(function(index, one) one {
      id: index + 1,
      gridPos: { x: 12 * (index % 2), y: 8 * std.floor(index / 2), w: 12, h: 8 },
    }, value),
  },
}
"""
_PANEL = """{
  new(title): self.withTitle(title) + { type: 'KIND', fieldConfig: { defaults: {}, overrides: [] } },
  withTitle(value): { title: value },
  withTargets(value): { targets: if std.isArray(value) then value else [value] },
  withUnit(value): { fieldConfig+: { defaults+: { unit: value } } },
OPTIONS}
"""
_OPTION = """  optionNUMBER+: {
    '#withValue':: { 'function': { args: [{ name: 'value', type: ['string'] }], help: 'What NUMBER does.' } },
    withValue(value): { options+: { optionNUMBER+: { value: value } } },
    withValueMixin(value): { options+: { optionNUMBER+: { value+: value } } },
  },
"""
_BOARD = """local boards = import 'boards/main.libsonnet';

function(config)
  boards.dashboard.new('Board NUMBER')
  + boards.dashboard.withUid(std.md5('board-NUMBER'))
  + boards.dashboard.withPanels([
PANELS  ])
"""
_USE = """    boards.panel.KIND.new('Panel NUMBER')
    + boards.panel.KIND.withUnit('s')
USED    + boards.panel.KIND.withTargets({
      refId: 'A',
      expr: 'sum by (job) (rate(metric_NUMBER_total{%s}[%s]))' % [config.selector, config.window],
    }),
"""
_MIXIN = """{
  _config+:: { selector: 'job="made-up"', window: '5m' },
  grafanaDashboards+:: {
BOARDS  },
  prometheusAlerts+:: { groups+: [{
    name: 'made-up',
    rules: [
      {
        alert: 'MadeUp%d' % number,
        expr: 'rate(metric_%d_total{%s}[%s]) > %d' % [number, $._config.selector, $._config.window, number],
        labels: { severity: 'warning' },
      }
      for number in std.range(1, 60)
    ],
  }] },
}
"""


def write(folder: Path) -> Path:
    """Write it into an empty folder, its library into vendor/; returns the mixin's file."""
    library, boards = folder / "vendor/boards", folder / "dashboards"
    (library / "panel").mkdir(parents=True)
    boards.mkdir()
    for kind in PANELS:
        options = "".join(_filled(_OPTION, NUMBER=number) for number in OPTIONS)
        (library / f"panel/{kind}.libsonnet").write_text(_filled(_PANEL, OPTIONS=options, KIND=kind))
    imports = "".join(f"    {kind}: import 'panel/{kind}.libsonnet',\n" for kind in PANELS)
    (library / "main.libsonnet").write_text(_filled(_LIBRARY, IMPORTS=imports))
    (library / "dashboard.libsonnet").write_text(_DASHBOARD)
    panels = "".join(_use(number) for number in PANELS_EACH)
    for number in DASHBOARDS:
        (boards / f"board-{number}.libsonnet").write_text(_filled(_BOARD, NUMBER=number, PANELS=panels))
    named = "".join(
        f"    'board-{number}.json': (import 'dashboards/board-{number}.libsonnet')($._config),\n"
        for number in DASHBOARDS
    )
    (folder / "mixin.libsonnet").write_text(_filled(_MIXIN, BOARDS=named))
    return folder / "mixin.libsonnet"


def _use(number: int) -> str:
    kind = PANELS[number % len(PANELS)]
    used = "".join(f"    + boards.panel.{kind}.option{option}.withValue('x')\n" for option in USED)
    return _filled(_USE, USED=used, KIND=kind, NUMBER=number)


def _filled(text: str, **words: object) -> str:
    for word, value in words.items():
        text = text.replace(word, str(value))
    return text
