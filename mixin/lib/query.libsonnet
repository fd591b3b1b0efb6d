// Builds PromQL. Functions take and return strings or recorded rules. Strings are joined with `+`, because `%` is twenty
// times slower in the C++ implementation.
//
// Matchers are objects: { route: 'unmatched' } is route="unmatched", { status: ['error', 'timeout'] } is
// status=~"error|timeout", { status: { not: ['error', 'timeout'] } } is status!~"error|timeout", and
// { le: { pattern: '5([.]0)?' } } is le=~"5([.]0)?".
local contract = import 'contract.libsonnet';

local matcher(label, value) =
  if std.isObject(value) then
    if std.objectHas(value, 'pattern') then label + '=~"' + value.pattern + '"'
    else label + '!~"' + std.join('|', value.not) + '"'
  else if std.isArray(value) then label + '=~"' + std.join('|', value) + '"'
  else label + '="' + value + '"';

local quotes = { '"': true, "'": true, '`': true };

// The matchers of a selector, by label: 'job="a,b", env="x"' has job="a,b" and env="x".
local matchersOf(selector) =
  local step(found, char) =
    if found.escaped then found { text+: char, escaped: false }
    else if found.quote != '' && char == '\\' then found { text+: char, escaped: true }
    else if found.quote == char then found { text+: char, quote: '' }
    else if found.quote != '' then found { text+: char }
    else if char in quotes then found { text+: char, quote: char }
    else if char == ',' then found { matchers+: [found.text], text: '' }
    else if char == ' ' then found
    else found { text+: char };
  local found = std.foldl(step, std.stringChars(selector), { matchers: [], text: '', quote: '', escaped: false });
  [
    { label: std.split(std.split(text, '=')[0], '!')[0], text: text }
    for text in found.matchers + [found.text]
    if text != ''
  ];

local braces(matchers) = if matchers == [] then '' else '{' + std.join(', ', matchers) + '}';

// A matcher on a label that the series lacks would silently match nothing.
local checked(series, known, matchers) =
  local isKnown = { [label]: true for label in known };
  [
    if label in isKnown then matcher(label, matchers[label])
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

// What is recorded, by the first word of its operation: whether the values of servers that each have a part of the targets
// add up to that of all. A share or the largest of a part is none of the whole.
local addsUp = { count: true, days: false, increase: true, max: false, ongoing: false, rate: true, ratio: false, seen: true, sum: true };
local summable(operation) =
  local words = [word for word in std.objectFields(addsUp) if std.startsWith(operation, word)];
  assert std.length(words) == 1 : 'lib/query.libsonnet does not say whether records called ' + operation + ' add up';
  addsUp[words[0]];

// The rate of a counter is not a total.
local withoutTotal(name) =
  if std.endsWith(name, '_total') then std.substr(name, 0, std.length(name) - std.length('_total')) else name;

function(config)
  local targetLabels = config.aggregationLabels + ['job'];

  // What of the selector holds for recorded series, too. Without it the rules of two installations in one Prometheus
  // would read each other's series.
  local selected = [one.text for one in matchersOf(config.selector) if std.member(targetLabels, one.label)];
  assert selected != [] :
         '_config.kronos.selector is ' + config.selector + ': it must match job or one of aggregationLabels, because ' +
         'recorded series have no other label that tells installations apart';

  {
    local q = self,

    // The labels that every aggregation keeps.
    targetLabels: targetLabels,

    seconds: seconds,

    by(labels): '(' + std.join(', ', targetLabels + labels) + ')',
    sum(labels, expr): 'sum by ' + q.by(labels) + ' (' + expr + ')',
    max(labels, expr): 'max by ' + q.by(labels) + ' (' + expr + ')',
    min(labels, expr): 'min by ' + q.by(labels) + ' (' + expr + ')',
    avg(labels, expr): 'avg by ' + q.by(labels) + ' (' + expr + ')',
    count(labels, expr): 'count by ' + q.by(labels) + ' (' + expr + ')',
    group(labels, expr): 'group by ' + q.by(labels) + ' (' + expr + ')',
    on(labels): 'on ' + q.by(labels),

    // A ratio that is absent, not NaN, while nothing happens: a single NaN would make every average over it NaN.
    ratio(part, whole): part + ' / (' + whole + ' > 0)',

    // A metric as scraped, and the series of a histogram.
    local scraped(name, labels, matchers) =
      name + braces([config.selector] + checked(name, targetLabels + ['instance'] + labels, matchers)),
    raw(metric, matchers={}): scraped(metric, contract.labels(metric), matchers),
    buckets(metric, matchers={}): scraped(metric + '_bucket', contract.labels(metric) + ['le'], matchers),
    // What Prometheus makes of a metric if its target has a label of the same name as one of the metric's.
    displaced(label):
      contract.withLabel[label] + braces([config.selector, 'exported_' + label + '!=""']),
    observed(metric, matchers={}): scraped(metric + '_sum', contract.labels(metric), matchers),
    observations(metric, matchers={}): scraped(metric + '_count', contract.labels(metric), matchers),

    // A histogram may be stored as buckets, or as one native histogram with the same boundaries: an expression over the
    // one or the other. Where there are both, only one of them counts, however the other spells `le`.
    histogram(labels, classic, native):
      if config.histograms == 'classic' then classic
      else if config.histograms == 'native' then native
      else '(' + classic + ' or ' + q.on(labels) + ' (' + native + '))',

    // How many observations a vector of native histograms holds, up to the boundary `le`. Of none the fraction is NaN.
    local upTo(histograms, le) =
      local all = 'histogram_count(' + histograms + ')';
      if le == '+Inf' then all
      else '(' + all + ' * histogram_fraction(-Inf, ' + le + ', ' + histograms + ') >= 0 or ' + all + ' * 0)',

    // The increase of one bucket of each instance. `matchers` choose it: `le` is '+Inf', or from contract.bucket.
    bucketIncrease(metric, matchers, window):
      local le = if std.isObject(matchers.le) then matchers.le.le else matchers.le;
      local others = { [label]: matchers[label] for label in std.objectFields(matchers) if label != 'le' };
      q.histogram(
        contract.labels(metric) + ['instance'],
        q.increase(q.buckets(metric, matchers), window),
        upTo(q.increase(q.raw(metric, others), window), le)
      ),

    rate(expr): 'rate(' + expr + '[' + config.rateWindow + '])',
    increase(expr, window): 'increase(' + expr + '[' + window + '])',

    // A recorded rule, and selectors of it. Its name lists the labels that it keeps, except aggregationLabels: a name must
    // not depend on where the mixin is used.
    record(labels, metric, operation, expr):
      local name = std.join('_', ['job'] + labels) + ':' + withoutTotal(metric) + ':' + operation;
      { name:: name, labelNames:: labels, sources:: [], summable:: summable(operation), record: name, expr: expr },
    read(rule, matchers={}):
      rule.name + braces(selected + checked(rule.name, targetLabels + rule.labelNames, matchers)),
    // The values of an expression over a window, one per evaluation. A range of a recorded series would hold more of them
    // where two servers record it, and fewer where one was late: a sum over that counts samples, not time.
    over(expr, window): expr + '[' + window + ':' + config.evaluationInterval + ']',
    readOver(rule, window, matchers={}): 'avg_over_time(' + q.read(rule, matchers) + '[' + window + '])',
    // What was recorded within a window, and is no more.
    lost(rule, window): 'last_over_time(' + q.read(rule) + '[' + window + ']) unless ' + q.read(rule),

    // The most common rule: the rate of a counter or of a histogram's buckets, by all labels, summed over instances.
    // Native histograms are recorded as well, and their buckets taken from that: all other rules and panels read buckets.
    recordRate(metric):
      local labels = contract.labels(metric);
      local rate = 'rate' + config.rateWindow;
      if !contract.isHistogram(metric) then q.record(labels, metric, rate, q.sum(labels, q.rate(q.raw(metric))))
      else
        local native = q.record(labels, metric, rate, q.sum(labels, q.rate(q.raw(metric))));
        local buckets = std.join(' or ', [
          'label_replace(' + upTo(q.read(native), le) + ', "le", "' + le + '", "", "")'
          for le in contract.boundaries(metric)
        ]);
        local classic = q.sum(labels + ['le'], q.rate(q.buckets(metric)));
        q.record(labels + ['le'], metric + '_bucket', rate, q.histogram(labels, classic, buckets)) + { sources:: if config.histograms == 'classic' then [] else [native] },
  }
