// The metric contract for rules and dashboards. A metric, label or bucket that the service does not expose is a
// compile error here, instead of an empty panel later.
local contract = import '../metrics.json';

// Grafana's ids for the contract's units. All other units are counts.
local units = { seconds: 's', bytes: 'bytes' };
local unitsPerMinute = { requests: 'reqpm' };

{
  // The labels of a metric, without those of its target.
  labels(name)::
    if std.objectHas(contract.metrics, name) then std.objectFields(contract.metrics[name].labels)
    else if std.objectHas(contract.external, name) then contract.external[name].labels
    else error 'metrics.json has no metric ' + name,

  // What a panel of a metric starts from: title, description and unit. Counts have an axis label instead of a unit.
  signal(name)::
    local metric = contract.metrics[name];
    {
      title: metric.title,
      description: metric.help,
      unit: if std.objectHas(units, metric.unit) then units[metric.unit] else 'none',
      [if !std.objectHas(units, metric.unit) then 'axis']: metric.unit,
    },

  // The same for the rate of a counter. Per minute, because one request a minute is 0.0167 a second.
  signalPerMinute(name)::
    local metric = contract.metrics[name];
    {
      title: metric.title + ' per minute',
      description: metric.help,
      unit: if std.objectHas(unitsPerMinute, metric.unit) then unitsPerMinute[metric.unit] else 'none',
      [if !std.objectHas(unitsPerMinute, metric.unit) then 'axis']: metric.unit + ' per minute',
    },

  // The matcher of a bucket boundary. The service writes 5.0, OpenTelemetry collectors write 5: both match, and both are
  // accepted as `le`. Anything that is no boundary is an error, because it would silently match nothing.
  bucket(histogram, le)::
    local boundaries = contract.buckets[contract.metrics[histogram].buckets];
    local short = std.rstripChars(le, '0');
    local whole = if std.endsWith(short, '.') then short[:std.length(short) - 1] else le;
    if std.member(boundaries, whole + '.0') then { pattern: whole + '([.]0)?', le: whole + '.0' }
    else if std.member(boundaries, le) then le
    else error le + ' is not a bucket of ' + histogram + '; its buckets are ' + std.join(', ', boundaries),

  // All boundaries of a histogram.
  boundaries(histogram):: contract.buckets[contract.metrics[histogram].buckets] + ['+Inf'],

  // For each label of the service one counter or gauge that has it.
  withLabel:: std.foldl(
    function(found, name) { [label]: name for label in std.objectFields(contract.metrics[name].labels) } + found,
    [name for name in std.objectFields(contract.metrics) if contract.metrics[name].type != 'histogram'],
    {}
  ),

  // The metrics whose rate is recorded by all of their labels, each with its rule group.
  recorded:: {
    [name]: contract.metrics[name].rule_group
    for name in std.objectFields(contract.metrics)
    if std.objectHas(contract.metrics[name], 'rule_group')
  },

  isHistogram(name):: contract.metrics[name].type == 'histogram',

  // All values of a closed label.
  values(set):: std.objectFields(contract.label_values[set]),

  scrape:: contract.scrape,
}
