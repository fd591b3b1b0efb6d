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

  // Lines over time: { title, description, unit, queries, interval, axis, min, log, limits, legend, overrides,
  // empty, links }.
  // `interval` is the smallest step: smaller ones would fall between two points of a recorded series. `axis` says what
  // is counted where `unit` can't. `log` is for what matters at its smallest and at its largest, such as latencies.
  // Values above `limits`, in rising order, are bad: each is a dashed line. `legend` is 'right', or 'bottom' for panels
  // that are too narrow for it.
  timeseries(knobs): panel('timeseries', knobs, false) {
    local isLog = std.objectHas(knobs, 'log') && knobs.log,

    interval: knobs.interval,
    // The legend has `batch`, not /v1/predict/batch: the lines need the room.
    transformations: [{
      id: 'renameByRegex',
      options: { regex: '^(.*)/v1/predict/(.*)$', renamePattern: '$1$2' },
    }],
    fieldConfig+: { defaults+: {
      [if !isLog then 'min']: if std.objectHas(knobs, 'min') then knobs.min else 0,
      color: { mode: 'palette-classic' },
      [if std.objectHas(knobs, 'limits') then 'thresholds']: {
        mode: 'absolute',
        steps: [{ value: null, color: 'transparent' }] + [{ value: limit, color: 'red' } for limit in knobs.limits],
      },
      custom: {
        drawStyle: 'line',
        lineWidth: 2,
        // Areas of several lines would mix into colours that the legend does not have.
        fillOpacity: 0,
        showPoints: 'never',
        spanNulls: false,
        [if std.objectHas(knobs, 'axis') then 'axisLabel']: knobs.axis,
        [if isLog then 'scaleDistribution']: { type: 'log', log: 2 },
        [if std.objectHas(knobs, 'limits') then 'thresholdsStyle']: { mode: 'dashed' },
      },
    } },
    options: {
      // Beside the lines: below them it would leave room for three names, or for none of the lines.
      legend: {
        displayMode: 'table',
        placement: if std.objectHas(knobs, 'legend') then knobs.legend else 'right',
        showLegend: true,
        calcs: ['lastNotNull', 'max'],
        // What matters most stays in sight where there are more names than fit.
        sortBy: 'Max',
        sortDesc: true,
      },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // One number now: { title, description, unit, decimals, mode, queries, steps, empty, links }. `steps` are thresholds:
  // [{ value: null, color: 'green' }, { value: 0.01, color: 'red' }]. `mode` is 'value_and_name' where the name matters.
  stat(knobs): panel('stat', knobs, true) {
    fieldConfig+: { defaults+: {
      [if std.objectHas(knobs, 'decimals') then 'decimals']: knobs.decimals,
      color: { mode: 'thresholds' },
      thresholds: { mode: 'absolute', steps: knobs.steps },
    } },
    options: {
      colorMode: 'background_solid',
      graphMode: 'none',
      justifyMode: 'center',
      orientation: 'auto',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      // The number alone, as large as it can be; with the name only where there are several.
      textMode: if std.objectHas(knobs, 'mode') then knobs.mode else 'auto',
    },
  },
}
