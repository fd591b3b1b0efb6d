// Panels as Grafana stores them. Only kinds that Grafana's published front-end packages can draw: timeseries, stat.
local style = import 'style.libsonnet';

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

  // Lines over time: { title, description, unit, queries, interval, axis, min, reach, log, whole, limits, stack,
  // legend, overrides, empty, links }.
  // `axis` says what is counted where `unit` can't; it reaches from 0 to `reach` at least, else over the last of the
  // `limits`. `whole` is for what has no fractions, `log` for what matters at its smallest and at its largest, such as
  // latencies. Values beyond `limits`, in rising order, are bad: each is a dashed line. `stack` is for parts of a
  // whole. `legend` is 'table', or 'list' for panels that are too narrow for it.
  timeseries(knobs): panel('timeseries', knobs, false) {
    local isSet(knob) = std.objectHas(knobs, knob) && knobs[knob],
    local isLog = isSet('log'),
    // A limit is in sight while nothing comes near it. Without a reach, the axis of nothing but zeros is absurd.
    local reach =
      if std.objectHas(knobs, 'reach') then [knobs.reach]
      else if std.objectHas(knobs, 'limits') && !isLog then [1.25 * knobs.limits[std.length(knobs.limits) - 1]]
      else if isSet('whole') then [2]
      else [],
    local isList = std.objectHas(knobs, 'legend') && knobs.legend == 'list',

    // The smallest step: smaller ones would fall between two points of a series.
    interval: knobs.interval,
    // The legend has `batch`, not /v1/predict/batch: the lines need the room.
    transformations: [{
      id: 'renameByRegex',
      options: { regex: '^(.*)/v1/predict/(.*)$', renamePattern: '$1$2' },
    }],
    fieldConfig+: { defaults+: {
      [if !isLog then 'min']: if std.objectHas(knobs, 'min') then knobs.min else 0,
      [if isSet('whole') then 'decimals']: 0,
      color: { mode: 'palette-classic' },
      [if std.objectHas(knobs, 'limits') then 'thresholds']: {
        mode: 'absolute',
        steps: [{ value: null, color: 'transparent' }] +
               [{ value: limit, color: style.limit } for limit in knobs.limits],
      },
      custom: {
        drawStyle: 'line',
        lineWidth: 2,
        // Areas that lie over one another would mix into colours that the legend does not have.
        fillOpacity: if isSet('stack') then 40 else 0,
        [if isSet('stack') then 'stacking']: { mode: 'normal', group: 'A' },
        showPoints: 'never',
        spanNulls: false,
        [if std.objectHas(knobs, 'axis') then 'axisLabel']: knobs.axis,
        [if reach != [] then 'axisSoftMin']: 0,
        [if reach != [] then 'axisSoftMax']: reach[0],
        [if isLog then 'scaleDistribution']: { type: 'log', log: 2 },
        [if std.objectHas(knobs, 'limits') then 'thresholdsStyle']: { mode: 'dashed' },
      },
    } },
    options: {
      // A table stands beside the lines: below them it would leave room for three names, or for none of the lines.
      legend: {
        displayMode: if isList then 'list' else 'table',
        placement: if isList then 'bottom' else 'right',
        showLegend: true,
        calcs: if isList then [] else ['lastNotNull', 'max'],
        // What matters most stays in sight where there are more names than fit.
        sortBy: 'Max',
        sortDesc: true,
      },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // One number now: { title, description, unit, decimals, mode, size, names, queries, steps, overrides, empty,
  // links }.
  // `steps` are thresholds, as style.libsonnet has them. `mode` is 'value_and_name' where the name matters; `names` is
  // a regular expression: of a name that matches, only its first group is shown.
  stat(knobs): panel('stat', knobs, true) {
    [if std.objectHas(knobs, 'names') then 'transformations']: [{
      id: 'renameByRegex',
      options: { regex: knobs.names, renamePattern: '$1' },
    }],
    fieldConfig+: { defaults+: {
      [if std.objectHas(knobs, 'decimals') then 'decimals']: knobs.decimals,
      color: { mode: 'thresholds' },
      thresholds: { mode: 'absolute', steps: knobs.steps },
      // That nobody has asked yet is neither good nor bad; that what should be there is missing is bad.
      [if !std.objectHas(knobs, 'empty') then 'mappings']: [{
        type: 'special',
        options: { match: 'null', result: { color: style.neutral, index: 0 } },
      }],
    } },
    options: {
      colorMode: 'background_solid',
      graphMode: 'none',
      justifyMode: 'center',
      orientation: 'auto',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      // The number alone, as large as it can be; with the name only where there are several.
      textMode: if std.objectHas(knobs, 'mode') then knobs.mode else 'auto',
      [if std.objectHas(knobs, 'size') then 'text']: { titleSize: knobs.size, valueSize: knobs.size },
    },
  },
}
