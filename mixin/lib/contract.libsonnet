// The metric contract for rules and dashboards. A metric, label or bucket that the service does not expose is a
// compile error here, instead of an empty panel later.
local contract = import '../metrics.json';
local metrics = contract.metrics;

// Grafana's ids for the contract's units. All other units are counts.
local units = { seconds: 's', bytes: 'bytes' };
local unitsPerMinute = { requests: 'reqpm' };

// Jsonnet evaluates a field each time it is read, a local only once.
local withLabel = std.foldl(
  function(found, name) { [label]: name for label in std.objectFields(metrics[name].labels) } + found,
  [name for name in std.objectFields(metrics) if metrics[name].type != 'histogram'],
  {}
);
local recorded = {
  [name]: metrics[name].rule_group
  for name in std.objectFields(metrics)
  if 'rule_group' in metrics[name]
};

{
  // The labels of a metric, without those of its target.
  labels(name)::
    if name in metrics then std.objectFields(metrics[name].labels)
    else if name in contract.external then contract.external[name].labels
    else error 'metrics.json has no metric ' + name,

  // The same, as the fields of an object.
  isLabel(name)::
    if name in metrics then metrics[name].labels
    else { [label]: true for label in $.labels(name) },

  // What a panel of a metric starts from: title, description and unit. Counts have an axis label instead of a unit.
  signal(name)::
    local metric = metrics[name];
    {
      title: metric.title,
      description: metric.help,
      unit: if metric.unit in units then units[metric.unit] else 'none',
      [if !(metric.unit in units) then 'axis']: metric.unit,
    },

  // The same for the rate of a counter. Per minute, because one request a minute is 0.0167 a second.
  signalPerMinute(name)::
    local metric = metrics[name];
    {
      title: metric.title + ' per minute',
      description: metric.help,
      unit: if metric.unit in unitsPerMinute then unitsPerMinute[metric.unit] else 'none',
      [if !(metric.unit in unitsPerMinute) then 'axis']: metric.unit + ' per minute',
    },

  // The matcher of a bucket boundary. The service writes 5.0, OpenTelemetry collectors write 5: both match, and both are
  // accepted as `le`. Anything that is no boundary is an error, because it would silently match nothing.
  bucket(histogram, le)::
    local boundaries = contract.buckets[metrics[histogram].buckets];
    local isBoundary = { [boundary]: true for boundary in boundaries };
    local parts = std.split(le, '.');
    local whole = if std.length(parts) == 2 && std.strReplace(parts[1], '0', '') == '' then parts[0] else le;
    if whole + '.0' in isBoundary then { pattern: whole + '([.]0)?', le: whole + '.0' }
    else if le in isBoundary then le
    else error le + ' is not a bucket of ' + histogram + '; its buckets are ' + std.join(', ', boundaries),

  // All boundaries of a histogram.
  boundaries(histogram):: contract.buckets[metrics[histogram].buckets] + ['+Inf'],

  // For each label of the service one counter or gauge that has it.
  withLabel:: withLabel,

  // The metrics whose rate is recorded by all of their labels, each with its rule group.
  recorded:: recorded,

  isHistogram(name):: metrics[name].type == 'histogram',

  // All values of a closed label.
  values(set):: std.objectFields(contract.label_values[set]),

  scrape:: contract.scrape,
}
