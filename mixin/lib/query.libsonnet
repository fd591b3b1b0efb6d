// Builds PromQL. Functions take and return strings or recorded rules. Strings are joined with `+`, because `%` is twenty
// times slower in the C++ implementation.
//
// Matchers are objects: { route: 'unmatched' } is route="unmatched", { status: ['error', 'timeout'] } is
// status=~"error|timeout", { status: { not: ['error', 'timeout'] } } is status!~"error|timeout".
local contract = import 'contract.libsonnet';

local matcher(label, value) =
  if std.isObject(value) then label + '!~"' + std.join('|', value.not) + '"'
  else if std.isArray(value) then label + '=~"' + std.join('|', value) + '"'
  else label + '="' + value + '"';

local braces(matchers) = if matchers == [] then '' else '{' + std.join(', ', matchers) + '}';

// A matcher on a label that the series lacks would silently match nothing.
local checked(series, known, matchers) = [
  if std.member(known, label) then matcher(label, matchers[label])
  else error series + ' has no label ' + label
  for label in std.objectFields(matchers)
];

// 90 of '1m30s', 300 of '5m'.
local secondsPer = { s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
local seconds(duration) =
  local step(sum, char) =
    if std.objectHas(secondsPer, char)
    then { total: sum.total + std.parseInt(sum.digits) * secondsPer[char], digits: '' }
    else { total: sum.total, digits: sum.digits + char };
  std.foldl(step, std.stringChars(duration), { total: 0, digits: '' }).total;

// The rate of a counter is not a total.
local withoutTotal(name) =
  local length = std.length(name);
  if name[length - 6:] == '_total' then name[:length - 6] else name;

function(config) {
  local q = self,
  local targetLabels = config.aggregationLabels + ['job'],

  // The labels that every aggregation keeps.
  targetLabels: targetLabels,

  seconds: seconds,

  by(labels): '(' + std.join(', ', targetLabels + labels) + ')',
  sum(labels, expr): 'sum by ' + q.by(labels) + ' (' + expr + ')',
  max(labels, expr): 'max by ' + q.by(labels) + ' (' + expr + ')',
  avg(labels, expr): 'avg by ' + q.by(labels) + ' (' + expr + ')',
  count(labels, expr): 'count by ' + q.by(labels) + ' (' + expr + ')',
  on(labels): 'on ' + q.by(labels),

  // A ratio that is absent, not NaN, while nothing happens: a single NaN would make every average over it NaN.
  ratio(part, whole): part + ' / (' + whole + ' > 0)',

  // A metric as scraped, and the series of a histogram.
  local scraped(name, labels, matchers) =
    name + braces([config.selector] + checked(name, targetLabels + ['instance'] + labels, matchers)),
  raw(metric, matchers={}): scraped(metric, contract.labels(metric), matchers),
  buckets(metric, matchers={}): scraped(metric + '_bucket', contract.labels(metric) + ['le'], matchers),
  observed(metric, matchers={}): scraped(metric + '_sum', contract.labels(metric), matchers),
  observations(metric, matchers={}): scraped(metric + '_count', contract.labels(metric), matchers),

  rate(expr): 'rate(' + expr + '[' + config.rateWindow + '])',
  increase(expr, window): 'increase(' + expr + '[' + window + '])',

  // A recorded rule, and selectors of it. Its name lists the labels that it keeps, except aggregationLabels: a name must
  // not depend on where the mixin is used.
  record(labels, metric, operation, expr):
    local name = std.join('_', ['job'] + labels) + ':' + withoutTotal(metric) + ':' + operation;
    { name:: name, labelNames:: labels, record: name, expr: expr },
  read(rule, matchers={}): rule.name + braces(checked(rule.name, targetLabels + rule.labelNames, matchers)),
  readOver(rule, window, matchers={}): 'avg_over_time(' + q.read(rule, matchers) + '[' + window + '])',

  // The most common rule: the rate of a counter or of a histogram's buckets, by all labels, summed over instances.
  recordRate(metric):
    local buckets = contract.isHistogram(metric);
    local labels = contract.labels(metric) + (if buckets then ['le'] else []);
    local name = if buckets then metric + '_bucket' else metric;
    local raw = if buckets then q.buckets(metric) else q.raw(metric);
    q.record(labels, name, 'rate' + config.rateWindow, q.sum(labels, q.rate(raw))),
}
