// What panels ask: series under the variables that are chosen. Labels are those of the dashboard's variables that the
// series has, beside the target's.
local panel = import 'panel.libsonnet';
local query = import 'query.libsonnet';
local style = import 'style.libsonnet';

function(config) {
  local q = query(config),
  local shown = self,

  chosen(labels): { [label]: ['$' + label] for label in q.targetLabels + labels },

  sum(by, expr): 'sum by (' + std.join(', ', by) + ') (' + expr + ')',

  // A recorded series averaged over each step of the panel, so that a wide step keeps what happened between two of
  // its points; of what saturates, the highest.
  averaged(rule, labels, matchers={}, window='$__interval'):
    'avg_over_time(' + q.read(rule, shown.chosen(labels) + matchers) + '[' + window + '])',
  highest(rule, labels): 'max_over_time(' + q.read(rule, shown.chosen(labels)) + '[$__interval])',

  // As it is now. A window as short as the evaluation interval would be empty while an evaluation goes on.
  now(rule, labels): q.read(rule, shown.chosen(labels)),

  // A recorded rate by some labels.
  rate(rule, by, labels): shown.sum(by, shown.averaged(rule, labels)),

  // A metric of single instances, as it is scraped.
  raw(metric, labels=['instance'], matchers={}): q.raw(metric, shown.chosen(labels) + matchers),
  rawRate(metric): 'rate(' + shown.raw(metric) + '[$__rate_interval])',

  // Quantiles of a recorded histogram by some of its labels. Empty, not NaN, while nothing was observed.
  quantiles(rule, labels, by, names=['p50', 'p95', 'p99'], prefix=''):
    local buckets = shown.sum(by + ['le'], shown.averaged(rule, labels));
    local observed = shown.sum(by, shown.averaged(rule, labels, { le: '+Inf' }));
    [
      panel.query(
        'histogram_quantile(0.' + name[1:] + ', ' + buckets + ') and ' + observed + ' > 0',
        std.join(' ', [prefix + name] + ['{{' + label + '}}' for label in by])
      )
      for name in names
    ],

  // The share of bad requests per route.
  share(badRate, whole, legend): panel.query(
    q.ratio(
      shown.sum(['route'], shown.averaged(badRate, ['route'])),
      shown.sum(['route'], shown.averaged(whole, ['route']))
    ),
    legend
  ),

  // Panels over recorded series, and over raw ones.
  timeseries(knobs): panel.timeseries(knobs { interval: config.evaluationInterval }),
  rawTimeseries(knobs): panel.timeseries(knobs { interval: config.scrape.interval }),

  // An objective over the chosen time, in colours that tell the same story as its error budget: below the target the
  // budget shrinks, and at the pace that wakes somebody it is bad.
  kept(objective): {
    local pages = [std.parseJson(burn.factor) for burn in config.objectives.burn if burn.severity == 'critical'],
    local target = std.parseJson(objective.target),
    unit: 'percentunit',
    queries: [panel.query(
      '1 - ' + shown.sum(['job'], shown.averaged(objective.bad, [], window='$__range')) +
      ' / (' + shown.sum(['job'], shown.averaged(objective.valid, [], window='$__range')) + ' > 0)',
      '{{job}}'
    )],
    steps:
      if pages == [] then style.warnBelow(target)
      else style.below(std.max(0, std.round((1 - std.minArray(pages) * (1 - target)) * 1e6) / 1e6), target),
  },

  // What is left of an objective's error budget.
  left(objective): {
    unit: 'percentunit',
    queries: [panel.query('min by (job) (' + shown.now(objective.budget, []) + ')', '{{job}}')],
    steps: style.below(0, std.parseJson(config.objectives.budgetLow)),
  },

  // The window of the recorded rates, for titles.
  window: ' (' + config.rateWindow + ')',

  // A link to another dashboard, with the variables that both have, and the time range. None while that is off.
  linkTo(name, title, labels): if !config.dashboards[name].enabled then [] else [{
    title: title,
    url: '/d/' + config.dashboards[name].uid + '?${__url_time_range}' +
         std.join('', ['&${' + label + ':queryparam}' for label in ['datasource'] + q.targetLabels + labels]),
    targetBlank: false,
  }],
}
