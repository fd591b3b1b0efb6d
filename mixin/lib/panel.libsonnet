// Panels as Grafana stores them. Only kinds that Grafana's published front-end packages can draw: timeseries, stat.
local datasource = { type: 'prometheus', uid: '${datasource}' };

local panel(type, knobs, instant) = {
  type: type,
  title: knobs.title,
  description: knobs.description,
  datasource: datasource,
  links: if std.objectHas(knobs, 'links') then knobs.links else [],
  targets: std.mapWithIndex(
    function(index, query) {
      refId: std.char(65 + index),  // A, B, C, ...
      datasource: datasource,
      expr: query.expr,
      legendFormat: query.legend,
      editorMode: 'code',
      instant: instant,
      range: !instant,
      exemplar: std.objectHas(query, 'exemplar'),
    },
    knobs.queries
  ),
  fieldConfig: {
    defaults: {
      unit: knobs.unit,
      noValue: if std.objectHas(knobs, 'empty') then knobs.empty else 'No requests yet',
    },
    overrides: if std.objectHas(knobs, 'overrides') then knobs.overrides else [],
  },
};

{
  datasource:: datasource,

  query(expr, legend): { expr: expr, legend: legend },

  // Properties of the lines whose name matches a regular expression.
  override(regex, properties): {
    matcher: { id: 'byRegexp', options: regex },
    properties: [{ id: id, value: properties[id] } for id in std.objectFields(properties)],
  },

  // Lines over time: { title, description, unit, queries, interval, overrides, empty, links }. `interval` is the smallest
  // step: smaller ones would fall between two points of a recorded series.
  timeseries(knobs): panel('timeseries', knobs, false) {
    interval: knobs.interval,
    fieldConfig+: { defaults+: {
      min: if std.objectHas(knobs, 'min') then knobs.min else 0,
      color: { mode: 'palette-classic' },
      custom: {
        drawStyle: 'line',
        lineWidth: 2,
        fillOpacity: 5,
        showPoints: 'never',
        spanNulls: false,
        axisSoftMin: 0,
      },
    } },
    options: {
      legend: { displayMode: 'table', placement: 'bottom', showLegend: true, calcs: ['lastNotNull', 'max'] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // One number now: { title, description, unit, queries, steps, empty, links }. `steps` are thresholds:
  // [{ value: null, color: 'green' }, { value: 0.01, color: 'red' }].
  stat(knobs): panel('stat', knobs, true) {
    fieldConfig+: { defaults+: {
      color: { mode: 'thresholds' },
      thresholds: { mode: 'absolute', steps: knobs.steps },
    } },
    options: {
      colorMode: 'background',
      graphMode: 'none',
      justifyMode: 'center',
      orientation: 'auto',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      textMode: 'value_and_name',
    },
  },
}
