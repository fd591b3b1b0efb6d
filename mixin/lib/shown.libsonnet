// Queries of panels, and whole panels made from the metric contract. `variables` are those of the dashboard, in addition
// to `aggregationLabels` and `job`. Every series is filtered by the variables that are among its labels.
local contract = import 'contract.libsonnet';
local panel = import 'panel.libsonnet';
local query = import 'query.libsonnet';
local style = import 'style.libsonnet';

function(config, rules, variables)
  local q = query(config);

  local isVariable = { [label]: true for label in variables };
  local matched(labels) = { [label]: ['$' + label] for label in labels };
  local target = matched(q.targetLabels);
  local chosen(labels) = target + matched(std.filter(function(label) label in isVariable, labels));
  local ofInstance(metric) = chosen(contract.labels(metric) + ['instance']);
  local read(rule, matchers={}) = q.read(rule, chosen(rule.labelNames) + matchers);

  // Every line tells its installation: a sum over two clusters would hide the smaller one. The name of the usual job is
  // left out again (see dashboard.libsonnet), so that a legend is as short as it can be.
  local installation = std.join(' ', ['{{' + label + '}}' for label in q.targetLabels]);
  local legend(name='') = if name == '' then installation else name + ' ' + installation;

  // A recorded series over each step of the panel, so that wide steps lose no spikes: its mean.
  local averaged(rule, matchers={}, window='$__interval') =
    'avg_over_time(' + read(rule, matchers) + '[' + window + '])';

  // A metric of each instance, as scraped.
  local raw(metric, matchers={}) = q.raw(metric, ofInstance(metric) + matchers);

  // A quantile. Empty, not NaN, while nothing was observed.
  local quantile(name, by, buckets, observed) =
    'histogram_quantile(' + std.strReplace(name, 'p', '0.') + ', ' + q.sum(by + ['le'], buckets) + ') and ' +
    q.sum(by, observed) + ' > 0';

  {
    local shown = self,

    legend: legend,
    query(expr, name=''): panel.query(expr, legend(name)),

    averaged: averaged,
    // Its maximum, for saturation.
    highest(rule): 'max_over_time(' + read(rule) + '[$__interval])',

    // Its current value. A window of one evaluation interval would be empty while an evaluation runs.
    now(rule): read(rule),

    // A recorded rate, per minute.
    minutely(rule, by): '60 * ' + q.sum(by, averaged(rule)),

    raw: raw,
    rawRate(metric): 'rate(' + raw(metric) + '[$__rate_interval])',

    // The share of bad requests by route; its parts by a label, as shares of all requests.
    share(badRate, whole): q.ratio(
      q.sum(['route'], averaged(badRate)),
      q.sum(['route'], averaged(whole))
    ),
    shareBy(label, rates, whole):
      q.sum([label], averaged(rates)) + ' / ' + q.on([]) + ' group_left () (' +
      q.sum([], averaged(whole)) + ' > 0)',

    // Panels of recorded series, and of raw metrics.
    timeseries(knobs): panel.timeseries({ interval: config.evaluationInterval } + knobs),
    rawTimeseries(knobs): panel.timeseries({ interval: config.scrape.interval } + knobs),

    // Panels of one metric. Title, description and unit come from the contract; `knobs` override them.

    // A counter's recorded rate by one of its labels.
    perMinute(counter, by, knobs={}): shown.timeseries(contract.signalPerMinute(counter) {
      title+: shown.window,
      queries: [shown.query(shown.minutely(rules[counter], [by]), '{{' + by + '}}')],
      reach: 1,
    } + knobs),

    // Quantiles of a recorded histogram, by some of its labels or none.
    quantiles(histogram, by, knobs={}, names=['p50', 'p95', 'p99']): shown.timeseries(contract.signal(histogram) {
      local rule = rules[histogram],
      local legend = ['{{' + label + '}}' for label in by],
      title+: ' ' + std.join(', ', names) + shown.window,
      queries: [
        shown.query(
          quantile(name, by, averaged(rule), averaged(rule, { le: '+Inf' })),
          std.join(' ', (if std.length(names) > 1 || by == [] then [name] else []) + legend)
        )
        for name in names
      ],
      overrides: (if std.length(names) > 1 then style.quantiles else []) +
                 (if by != ['route'] then [] else if std.length(names) > 1 then style.routes else style.byRoute),
    } + knobs),

    // A gauge of each instance.
    instances(metric, knobs={}): shown.rawTimeseries(contract.signal(metric) {
      queries: [shown.query(raw(metric), '{{instance}}')],
    } + knobs),

    // The mean of a histogram. For small whole numbers, interpolated quantiles mislead.
    mean(metric, by, knobs={}): shown.rawTimeseries(contract.signal(metric) {
      local rate(series) = q.sum([by], 'rate(' + series + '[$__rate_interval])'),
      local native = rate(q.raw(metric, ofInstance(metric))),
      title+: ' (mean)',
      queries: [shown.query(
        q.histogram(
          [by],
          q.ratio(rate(q.observed(metric, ofInstance(metric))), rate(q.observations(metric, ofInstance(metric)))),
          q.ratio('histogram_sum(' + native + ')', 'histogram_count(' + native + ')')
        ),
        '{{' + by + '}}'
      )],
      overrides: if by == 'route' then style.byRoute else [],
    } + knobs),

    // The p95 of each instance.
    slowestInstance(histogram, knobs={}): shown.rawTimeseries(contract.signal(histogram) {
      local rate(matchers) = 'rate(' + q.buckets(histogram, ofInstance(histogram) + matchers) + '[$__rate_interval])',
      local native = q.sum(['instance'], 'rate(' + q.raw(histogram, ofInstance(histogram)) + '[$__rate_interval])'),
      title+: ' p95 by instance',
      queries: [shown.query(
        q.histogram(
          ['instance'],
          quantile('p95', ['instance'], rate({}), rate({ le: '+Inf' })),
          'histogram_quantile(0.95, ' + native + ') and histogram_count(' + native + ') > 0'
        ),
        '{{instance}}'
      )],
    } + knobs),

    // The share of good requests over the time range. Below the target, where the error budget shrinks, it is a warning;
    // at the burn rate that pages, it is bad.
    kept(objective): {
      local pages = [std.parseJson(burn.factor) for burn in config.objectives.burn if burn.severity == 'critical'],
      local target = std.parseJson(objective.target),
      unit: 'percentunit',
      queries: [shown.query(
        '1 - ' + q.ratio(
          averaged(objective.bad, window='$__range'),
          averaged(objective.valid, window='$__range')
        )
      )],
      steps:
        if pages == [] then style.warnBelow(target)
        else style.below(std.max(0, std.round((1 - std.minArray(pages) * (1 - target)) * 1e6) / 1e6), target),
    },

    // The share of an objective's error budget that is left.
    left(objective): {
      unit: 'percentunit',
      queries: [shown.query(shown.now(objective.budget))],
      steps: style.below(0, std.parseJson(config.objectives.budgetLow)),
    },

    // Our firing alerts. Alerts that lack a label, such as one about a missing target, match any value of its variable.
    firing(matchers=[]):
      'ALERTS{' + std.join(', ', ['alertname=~"Kronos.*"', 'alertstate="firing"'] + matchers + [
        label + '=~"$' + label + '|"'
        for label in config.aggregationLabels
      ] + ['job=~"$job"']) + '}',

    // Queries for how often each of them fires, by installation; `none` while none does.
    firingByName(matchers): [
      shown.query(q.count(['alertname'], shown.firing(matchers)), '{{alertname}}'),
      panel.query('vector(0) unless on () ' + shown.firing(matchers), 'none'),
    ],

    // For titles: the window of the recorded rates.
    window: ' (' + config.rateWindow + ')',

    // For `limits` of a panel: the latency objective of each route.
    latencyObjectives: {
      ['objective ' + route]: config.objectives.latency.seconds[route]
      for route in std.objectFields(config.objectives.latency.seconds)
    },

    // A link to another dashboard, unless that is disabled. `labels` are the variables that both have.
    linkTo(name, title, labels=[]): if !config.dashboards[name].enabled then [] else [{
      title: title,
      url: '/d/' + config.dashboards[name].uid + '?${__url_time_range}' +
           std.join('', ['&${' + label + ':queryparam}' for label in ['datasource'] + q.targetLabels + labels]),
      targetBlank: false,
    }],
  }
