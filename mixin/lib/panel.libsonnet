// Panels as Grafana stores them. Only timeseries and stat: proof/pictures can draw these without a Grafana server.
local style = import 'style.libsonnet';

local datasource = { type: 'prometheus', uid: '${datasource}' };

local panel(type, knobs, instant) = {
  type: type,
  title: knobs.title,
  description: knobs.description,
  datasource: datasource,
  links: if 'links' in knobs then knobs.links else [],
  targets: std.mapWithIndex(
    function(index, query) {
      refId: std.char(65 + index),  // A, B, C, ...
      datasource: datasource,
      expr: query.expr,
      legendFormat: query.legend,
      editorMode: 'code',
      instant: instant,
      range: !instant,
      exemplar: 'exemplar' in query,
    },
    knobs.queries
  ),
  fieldConfig: {
    defaults: {
      unit: knobs.unit,
      noValue: if 'empty' in knobs then knobs.empty else 'No requests yet',
    },
    overrides: if 'overrides' in knobs then knobs.overrides else [],
  },
};

local rename(regex, pattern) = { id: 'renameByRegex', options: { regex: regex, renamePattern: pattern } };

// Limits are constant series: unlike Grafana's thresholds, they have a name in the legend, and the axis includes them.
local limitNames(knobs) = if 'limits' in knobs then std.objectFields(knobs.limits) else [];
local limitQueries(knobs) = [
  { expr: 'vector(' + knobs.limits[name] + ')', legend: name }
  for name in limitNames(knobs)
];

local special = { [char]: true for char in std.stringChars('.+*?()[]{}^$|/') };
local escaped(text) = std.join('', [
  if char in special then '\\' + char else char
  for char in std.stringChars(text)
]);

{
  datasource:: datasource,

  // Leaves a job out of names that say more than the job.
  withoutJob(job)::
    local pattern = '^ *(\\S.*?) +' + escaped(job) + '$';
    { transformations+: [rename(pattern, '$1')] },

  query(expr, legend): { expr: expr, legend: legend },

  // Lines over time: { title, description, unit, queries, interval, axis, min, reach, log, whole, limits, stack,
  // narrow, overrides, empty, links }.
  // `axis` is the label of the axis, for counts without a `unit`. The axis goes from 0 to at least `reach`; `whole`
  // allows only whole numbers, `log` makes it logarithmic. `limits` maps names to values in PromQL, drawn as dashed
  // lines. `narrow` panels have no room for numbers in the legend.
  timeseries(knobs): panel('timeseries', knobs { queries+: limitQueries(knobs) }, false) {
    local isSet(knob) = knob in knobs && knobs[knob],
    local isLog = isSet('log'),
    local isSeconds = knobs.unit == 's',
    // If all values are 0, Grafana would choose an absurd range.
    local reach =
      if 'reach' in knobs then [knobs.reach]
      else if isSet('whole') then [2]
      else [],

    // The minimum step. With a smaller one there would be steps without a sample.
    interval: knobs.interval,
    // Show `batch` in the legend, not /v1/predict/batch.
    transformations: [rename('^(.*)/v1/predict/(.*)$', '$1$2')],
    fieldConfig+: {
      defaults+: {
        // With unit `s`, the tick at 100 s of a log axis would read 1.67 mins.
        [if isLog && isSeconds then 'unit']: 'suffix:s',
        [if !isLog then 'min']: if 'min' in knobs then knobs.min else 0,
        [if isSet('whole') then 'decimals']: 0,
        color: { mode: 'palette-classic' },
        custom: {
          drawStyle: 'line',
          lineWidth: 2,
          // Overlapping areas would mix to colours that are not in the legend.
          fillOpacity: if isSet('stack') then 40 else 0,
          [if isSet('stack') then 'stacking']: { mode: 'normal', group: 'A' },
          showPoints: 'never',
          spanNulls: false,
          [if 'axis' in knobs then 'axisLabel']: knobs.axis,
          [if reach != [] then 'axisSoftMin']: 0,
          [if reach != [] then 'axisSoftMax']: reach[0],
          [if isLog then 'scaleDistribution']: { type: 'log', log: if isSeconds then 10 else 2 },
        },
      },
      overrides+: style.limits(limitNames(knobs)),
    },
    options: {
      // At the bottom: a table on the right would take more than a third of the width.
      legend: {
        displayMode: 'list',
        placement: 'bottom',
        showLegend: true,
        calcs: if isSet('narrow') then [] else ['lastNotNull', 'max'],
      },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // The current value: { title, description, unit, decimals, mode, size, names, queries, steps, overrides, empty,
  // links }.
  // `steps` are thresholds from style.libsonnet. `mode` is 'value_and_name' where the name matters. Names are shortened
  // to the two groups of the regular expression `names`.
  stat(knobs): panel('stat', knobs, true) {
    transformations: if 'names' in knobs then [rename(knobs.names, '$1$2')] else [],
    fieldConfig+: { defaults+: {
      [if 'decimals' in knobs then 'decimals']: knobs.decimals,
      color: { mode: 'thresholds' },
      thresholds: { mode: 'absolute', steps: knobs.steps },
      // `No requests yet` is neither good nor bad; no instance (`empty`) is bad.
      [if !('empty' in knobs) then 'mappings']: [{
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
      // `auto` shows names only if there are several values.
      textMode: if 'mode' in knobs then knobs.mode else 'auto',
      [if 'size' in knobs then 'text']: { titleSize: knobs.size, valueSize: knobs.size },
    },
  },
}
