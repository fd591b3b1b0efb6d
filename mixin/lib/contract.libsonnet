// The metric contract, as rules and dashboards may use it: a metric, label or bucket that the service does not
// expose is a compile error here, not an empty panel at 3 a.m.
local contract = import '../metrics.json';

local histogram(metric) = metric.type == 'histogram';

// Every series of a scrape, with the labels it has beside those of its target.
local series =
  { [name]: std.objectFields(contract.metrics[name].labels) for name in std.objectFields(contract.metrics) } +
  {
    [name + '_bucket']: std.objectFields(contract.metrics[name].labels) + ['le']
    for name in std.objectFields(contract.metrics)
    if histogram(contract.metrics[name])
  } +
  { [name]: contract.external[name].labels for name in std.objectFields(contract.external) };

{
  labels(name):: if std.objectHas(series, name) then series[name] else error 'metrics.json has no series ' + name,

  // The boundary `le` of a histogram, if it is one. A boundary that is none matches nothing, in silence.
  bucket(histogram, le)::
    local boundaries = contract.buckets[contract.metrics[histogram].buckets];
    if std.member(boundaries, le) then le
    else error le + ' is not a bucket of ' + histogram + '; its buckets are ' + std.join(', ', boundaries),

  // All values of a closed label.
  values(set):: std.objectFields(contract.label_values[set]),

  scrape:: contract.scrape,
}
