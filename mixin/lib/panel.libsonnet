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

// Grafana has thresholds without a name. A line that is always the same has one, and lets the axis reach it.
local limitNames(knobs) = if std.objectHas(knobs, 'limits') then std.objectFields(knobs.limits) else [];
local limitQueries(knobs) = [
  { expr: 'vector(' + knobs.limits[name] + ')', legend: name }
  for name in limitNames(knobs)
];

{
  datasource:: datasource,

  query(expr, legend): { expr: expr, legend: legend },

  // Lines over time: { title, description, unit, queries, interval, axis, min, reach, log, whole, limits, stack,
  // narrow, overrides, empty, links }.
  // `axis` says what is counted where `unit` can't; it reaches from 0 to `reach` at least. `whole` is for what has no
  // fractions, `log` for what matters at its smallest and at its largest, such as latencies. `limits` maps the name of
  // a limit to its value, as PromQL: each is a dashed line. `stack` is for parts of a whole. `narrow` panels have no
  // room for numbers in the legend.
  timeseries(knobs): panel('timeseries', knobs { queries+: limitQueries(knobs) }, false) {
    local isSet(knob) = std.objectHas(knobs, knob) && knobs[knob],
    local isLog = isSet('log'),
    local isSeconds = knobs.unit == 's',
    // Without a reach, the axis of nothing but zeros is absurd.
    local reach =
      if std.objectHas(knobs, 'reach') then [knobs.reach]
      else if isSet('whole') then [2]
      else [],

    // The smallest step: smaller ones would fall between two points of a series.
    interval: knobs.interval,
    // The legend has `batch`, not /v1/predict/batch: the lines need the room.
    transformations: [{
      id: 'renameByRegex',
      options: { regex: '^(.*)/v1/predict/(.*)$', renamePattern: '$1$2' },
    }],
    fieldConfig+: {
      defaults+: {
        // Ticks of a log axis are powers, which Grafana would print as 1.67 mins.
        [if isLog && isSeconds then 'unit']: 'suffix:s',
        [if !isLog then 'min']: if std.objectHas(knobs, 'min') then knobs.min else 0,
        [if isSet('whole') then 'decimals']: 0,
        color: { mode: 'palette-classic' },
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
          [if isLog then 'scaleDistribution']: { type: 'log', log: if isSeconds then 10 else 2 },
        },
      },
      overrides+: style.limits(limitNames(knobs)),
    },
    options: {
      // Below the lines, which keep the whole width: a table beside them would take more than a third of it.
      legend: {
        displayMode: 'list',
        placement: 'bottom',
        showLegend: true,
        calcs: if isSet('narrow') then [] else ['lastNotNull', 'max'],
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
