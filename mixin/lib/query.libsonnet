// Builds PromQL. Functions take and return strings or recorded rules. Strings are joined with `+`, because `%` is twenty
// times slower in the C++ implementation. `==` and comprehensions are slow there, too: where every query comes by, there
// is `in`, `>` and std.makeArray instead.
//
// Matchers are objects: { route: 'unmatched' } is route="unmatched", { status: ['error', 'timeout'] } is
// status=~"error|timeout", { status: { not: ['error', 'timeout'] } } is status!~"error|timeout", and
// { le: { pattern: '5([.]0)?' } } is le=~"5([.]0)?".
local contract = import 'contract.libsonnet';

local matcher = {
  string(label, value): label + '="' + value + '"',
  array(label, values): label + '=~"' + std.join('|', values) + '"',
  object(label, value):
    if 'pattern' in value then label + '=~"' + value.pattern + '"'
    else label + '!~"' + std.join('|', value.not) + '"',
};

local quotes = { '"': true, "'": true, '`': true };
local special = quotes { '\\': true, ',': true, ' ': true };

// The matchers of a selector, by label: 'job="a,b", env="x"' has job="a,b" and env="x".
local matchersOf(selector) =
  local state(matchers, text, quote, escaped=false) =
    { matchers: matchers, text: text, quote: quote, escaped: escaped };
  local step(found, char) =
    local text = found.text + char;
    if found.escaped || !(char in special) then state(found.matchers, text, found.quote)
    else if found.quote == char then state(found.matchers, text, '')
    else if found.quote != '' then state(found.matchers, text, found.quote, escaped=char == '\\')
    else if char in quotes then state(found.matchers, text, char)
    else if char == ',' then state(found.matchers + [found.text], '', '')
    else if char == ' ' then found
    else state(found.matchers, text, '');
  local found = std.foldl(step, std.stringChars(selector), state([], '', ''));
  // Mostly there is one, and no need to look at each character.
  local texts =
    if std.length(std.split(selector, ',') + std.split(selector, ' ')) > 2 then found.matchers + [found.text]
    else [selector];
  [
    { label: std.split(std.split(text, '=')[0], '!')[0], text: text }
    for text in texts
    if text != ''
  ];

local braces(matchers) = if std.length(matchers) > 0 then '{' + std.join(', ', matchers) + '}' else '';

// A matcher on a label that the series lacks would silently match nothing.
local checked(series, isKnown, matchers) =
  local labels = std.objectFields(matchers);
  std.makeArray(
    std.length(labels),
    function(index)
      local label = labels[index];
      local value = matchers[label];
      if label in isKnown then matcher[std.type(value)](label, value)
      else error series + ' has no label ' + label
  );

// 90 of '1m30s', 300 of '5m'.
local secondsPer = { s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
local seconds(duration) =
  local step(sum, char) =
    if char in secondsPer
    then { total: sum.total + sum.number * secondsPer[char], number: 0 }
    else { total: sum.total, number: sum.number * 10 + std.parseJson(char) };
  std.foldl(step, std.stringChars(duration), { total: 0, number: 0 }).total;

// What is recorded, by the first word of its operation: whether the values of servers that each have a part of the targets
// add up to that of all. A share or the largest of a part is none of the whole.
local addsUp = { count: true, days: false, increase: true, max: false, ongoing: false, rate: true, ratio: false, seen: true, sum: true };
local summable(operation) =
  local words = [word for word in std.objectFields(addsUp) if std.startsWith(operation, word)];
  assert std.length(words) == 1 : 'lib/query.libsonnet does not say whether records called ' + operation + ' add up';
  addsUp[words[0]];

function(config)
  local targetLabels = config.aggregationLabels + ['job'];
  local isTargetLabel = { [label]: true for label in targetLabels };

  // What of the selector holds for recorded series, too. Without it the rules of two installations in one Prometheus
  // would read each other's series.
  local selected = [one.text for one in matchersOf(config.selector) if one.label in isTargetLabel];
  assert std.length(selected) > 0 :
         '_config.kronos.selector is ' + config.selector + ': it must match job or one of aggregationLabels, because ' +
         'recorded series have no other label that tells installations apart';

  // The labels that every aggregation keeps.
  local by(labels) = '(' + std.join(', ', targetLabels + labels) + ')';
  local on(labels) = 'on ' + by(labels);
  local aggregation(operator) = function(labels, expr) operator + ' by ' + by(labels) + ' (' + expr + ')';
  local sum = aggregation('sum');

  // A metric as scraped, and the buckets of a histogram.
  local scraped(name, isLabel, matchers) =
    name + braces([config.selector] + checked(name, isTargetLabel { instance: true } + isLabel, matchers));
  local raw(metric, matchers={}) = scraped(metric, contract.isLabel(metric), matchers);
  local buckets(metric, matchers={}) = scraped(metric + '_bucket', contract.isLabel(metric) { le: true }, matchers);

  local rate(expr) = 'rate(' + expr + '[' + config.rateWindow + '])';
  local increase(expr, window) = 'increase(' + expr + '[' + window + '])';

  // A histogram may be stored as buckets, or as one native histogram with the same boundaries: an expression over the one
  // or the other. Where there are both, only one of them counts, however the other spells `le`.
  local histogram(labels, classic, native) =
    if config.histograms == 'classic' then classic
    else if config.histograms == 'native' then native
    else '(' + classic + ' or ' + on(labels) + ' (' + native + '))';

  // How many observations a vector of native histograms holds, up to the boundary `le`. Of none the fraction is NaN.
  local upTo(histograms, le) =
    local all = 'histogram_count(' + histograms + ')';
    if le == '+Inf' then all
    else '(' + all + ' * histogram_fraction(-Inf, ' + le + ', ' + histograms + ') >= 0 or ' + all + ' * 0)';

  // What has a name and, in addition to those of its target, these labels.
  local series(name, labels) =
    local isLabel = { [label]: true for label in labels };
    { name:: name, labelNames:: labels, isLabel:: isLabel };

  // A recorded rule, and a selector of it. Its name lists the labels that it keeps, except aggregationLabels: a name must
  // not depend on where the mixin is used.
  local record(labels, metric, operation, expr) =
    // The rate of a counter is not a total.
    local name = std.join('_', ['job'] + labels) + ':' + std.strReplace(metric + ':', '_total:', ':') + operation;
    series(name, labels) { sources:: [], summable:: summable(operation), record: name, expr: expr };
  local read(rule, matchers={}) =
    rule.name + braces(selected + checked(rule.name, isTargetLabel + rule.isLabel, matchers));

  // Functions that call each other are locals: Jsonnet evaluates a field of an object each time it is read.
  {
    targetLabels: targetLabels,
    seconds: seconds,

    on: on,
    sum: sum,
    max: aggregation('max'),
    min: aggregation('min'),
    avg: aggregation('avg'),
    count: aggregation('count'),
    group: aggregation('group'),

    // A ratio that is absent, not NaN, while nothing happens: a single NaN would make every average over it NaN.
    ratio(part, whole): part + ' / (' + whole + ' > 0)',

    raw: raw,
    buckets: buckets,
    // What Prometheus makes of a metric if its target has a label of the same name as one of the metric's.
    displaced(label):
      contract.withLabel[label] + braces([config.selector, 'exported_' + label + '!=""']),
    observed(metric, matchers={}): scraped(metric + '_sum', contract.isLabel(metric), matchers),
    observations(metric, matchers={}): scraped(metric + '_count', contract.isLabel(metric), matchers),

    histogram: histogram,

    // The increase of one bucket of each instance. `matchers` choose it: `le` is '+Inf', or from contract.bucket.
    bucketIncrease(metric, matchers, window):
      local le = if std.isObject(matchers.le) then matchers.le.le else matchers.le;
      local others = { [label]: matchers[label] for label in std.objectFields(matchers) if label != 'le' };
      histogram(
        contract.labels(metric) + ['instance'],
        increase(buckets(metric, matchers), window),
        upTo(increase(raw(metric, others), window), le)
      ),

    rate: rate,
    increase: increase,

    series: series,
    record: record,
    read: read,
    // The values of an expression over a window, one per evaluation. A range of a recorded series would hold more of them
    // where two servers record it, and fewer where one was late: a sum over that counts samples, not time.
    over(expr, window): expr + '[' + window + ':' + config.evaluationInterval + ']',
    readOver(rule, window, matchers={}): 'avg_over_time(' + read(rule, matchers) + '[' + window + '])',
    // What was recorded within a window, and is no more.
    lost(rule, window): 'last_over_time(' + read(rule) + '[' + window + ']) unless ' + read(rule),

    // The most common rule: the rate of a counter or of a histogram's buckets, by all labels, summed over instances.
    // Native histograms are recorded as well, and their buckets taken from that: all other rules and panels read buckets.
    recordRate(metric):
      local labels = contract.labels(metric);
      local operation = 'rate' + config.rateWindow;
      if !contract.isHistogram(metric) then record(labels, metric, operation, sum(labels, rate(raw(metric))))
      else
        local native = record(labels, metric, operation, sum(labels, rate(raw(metric))));
        local ofNative = std.join(' or ', [
          'label_replace(' + upTo(read(native), le) + ', "le", "' + le + '", "", "")'
          for le in contract.boundaries(metric)
        ]);
        local classic = sum(labels + ['le'], rate(buckets(metric)));
        record(labels + ['le'], metric + '_bucket', operation, histogram(labels, classic, ofNative)) + { sources:: if config.histograms == 'classic' then [] else [native] },
  }
