// The metric contract, as rules and dashboards may use it: a metric, label or bucket that the service does not
// expose is a compile error here, not an empty panel at 3 a.m.
local contract = import '../metrics.json';

// Grafana's ids of the contract's units. All others are counts of something.
local units = { seconds: 's', bytes: 'bytes' };
local unitsPerMinute = { requests: 'reqpm' };

{
  // The labels of a metric, beside those of its target.
  labels(name)::
    if std.objectHas(contract.metrics, name) then std.objectFields(contract.metrics[name].labels)
    else if std.objectHas(contract.external, name) then contract.external[name].labels
    else error 'metrics.json has no metric ' + name,

  // What a panel of a metric starts from: its title, description and unit, and what is counted where that is no unit.
  signal(name)::
    local metric = contract.metrics[name];
    {
      title: metric.title,
      description: metric.help,
      unit: if std.objectHas(units, metric.unit) then units[metric.unit] else 'none',
      [if !std.objectHas(units, metric.unit) then 'axis']: metric.unit,
    },

  // The same for the rate of a counter: per minute, because one request a minute is 0.0167 a second.
  signalPerMinute(name)::
    local metric = contract.metrics[name];
    {
      title: metric.title + ' per minute',
      description: metric.help,
      unit: if std.objectHas(unitsPerMinute, metric.unit) then unitsPerMinute[metric.unit] else 'none',
      [if !std.objectHas(unitsPerMinute, metric.unit) then 'axis']: metric.unit + ' per minute',
    },

  // The boundary `le` of a histogram, if it is one. A boundary that is none matches nothing, in silence.
  bucket(histogram, le)::
    local boundaries = contract.buckets[contract.metrics[histogram].buckets];
    if std.member(boundaries, le) then le
    else error le + ' is not a bucket of ' + histogram + '; its buckets are ' + std.join(', ', boundaries),

  // The metrics whose rate is recorded by all of their labels, and in which group of rules.
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
