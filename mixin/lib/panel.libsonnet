// Panels as Grafana stores them. Only kinds that Grafana's published front-end packages can draw: timeseries, stat.
local datasource = { type: 'prometheus', uid: '${datasource}' };

local targets(queries, instant) = std.mapWithIndex(
  function(index, query) {
    refId: std.char(65 + index),  // A, B, C, ...
    datasource: datasource,
    expr: query.expr,
    legendFormat: query.legend,
    editorMode: 'code',
    instant: instant,
    range: !instant,
  },
  queries
);

{
  query(expr, legend): { expr: expr, legend: legend },

  // Lines over time. `queries` are made by query(); the panel's smallest step is the rules' evaluation interval, or
  // steps would fall between two recorded points.
  timeseries(title, description, unit, queries, interval, empty='No requests yet'): {
    type: 'timeseries',
    title: title,
    description: description,
    datasource: datasource,
    interval: interval,
    targets: targets(queries, false),
    fieldConfig: {
      defaults: {
        unit: unit,
        min: 0,
        noValue: empty,
        color: { mode: 'palette-classic' },
        custom: {
          drawStyle: 'line',
          lineWidth: 2,
          fillOpacity: 5,
          showPoints: 'never',
          spanNulls: false,
          axisSoftMin: 0,
        },
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: 'table', placement: 'bottom', showLegend: true, calcs: ['lastNotNull', 'max'] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // One number now. `steps` are thresholds: [{ value: null, color: 'green' }, { value: 0.01, color: 'red' }].
  stat(title, description, unit, query, steps, empty='No requests yet'): {
    type: 'stat',
    title: title,
    description: description,
    datasource: datasource,
    targets: targets([query], true),
    fieldConfig: {
      defaults: {
        unit: unit,
        noValue: empty,
        color: { mode: 'thresholds' },
        thresholds: { mode: 'absolute', steps: steps },
      },
      overrides: [],
    },
    options: {
      colorMode: 'background',
      graphMode: 'none',
      justifyMode: 'center',
      orientation: 'auto',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      textMode: 'value_and_name',
    },
  },

  // A line in a panel where a number turns bad.
  threshold(value): {
    fieldConfig+: { defaults+: {
      custom+: { thresholdsStyle: { mode: 'dashed' } },
      thresholds: {
        mode: 'absolute',
        steps: [{ value: null, color: 'transparent' }, { value: value, color: 'red' }],
      },
    } },
  },

  override(regex, properties): {
    fieldConfig+: { overrides+: [{
      matcher: { id: 'byRegexp', options: regex },
      properties: [{ id: id, value: properties[id] } for id in std.objectFields(properties)],
    }] },
  },

  // Lines whose name matches go to the right axis, with a unit of their own.
  onRightAxis(regex, unit):
    self.override(regex, { unit: unit, 'custom.axisPlacement': 'right', 'custom.lineStyle': { fill: 'dash', dash: [2, 6] } }),
}
