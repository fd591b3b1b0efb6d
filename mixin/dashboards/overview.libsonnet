// Is it well? One row that answers from across the room, then a panel for each question that follows.
local frame = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules) {
  local q = query(config),
  local f = frame(config),
  local interval = config.evaluationInterval,

  // A recorded series under the chosen variables, averaged over each step of the panel, so that a wide step keeps
  // what happened between two of its points.
  local averaged(rule, labels, matchers={}) =
    'avg_over_time(' + q.read(rule, f.chosen(labels) + matchers) + '[$__interval])',
  local sum(by, expr) = 'sum by (' + std.join(', ', by) + ') (' + expr + ')',

  // Quantiles of a recorded histogram, per route. Empty, not NaN, while nothing was observed.
  local quantiles(rule, labels, unit='') = [
    panel.query(
      'histogram_quantile(' + quantile.value + ', ' + sum(['route', 'le'], averaged(rule, labels)) + ')' +
      ' and ' + sum(['route'], averaged(rule, labels, { le: '+Inf' })) + ' > 0',
      quantile.name + unit + ' {{route}}'
    )
    for quantile in [
      { name: 'p50', value: '0.5' },
      { name: 'p95', value: '0.95' },
      { name: 'p99', value: '0.99' },
    ]
  ],

  local share(bad) =
    panel.query(
      sum(['route'], averaged(bad.rate, ['route'])) + ' / (' +
      sum(['route'], averaged(rules.eligible, ['route'])) + ' > 0)',
      'share {{route}}'
    ),

  local timeseries(title, description, unit, queries) =
    panel.timeseries(title + ' (' + config.rateWindow + ')', description, unit, queries, interval) + style.routes,

  local ignoresStatus = ' The status filter does not apply: a share of one status would say nothing.',

  local stats = [
    panel.stat(
      'Targets up',
      'Share of the targets of the chosen jobs that Prometheus can scrape.',
      'percentunit',
      panel.query('avg(' + q.raw('up') + ')', 'up'),
      [{ value: null, color: 'red' }, { value: 0.5, color: 'orange' }, { value: 1, color: 'green' }],
      'No target'
    ),
    panel.stat(
      'Firing alerts',
      'Alerts of this mixin that fire now.',
      'none',
      panel.query('count(ALERTS{alertname=~"Kronos.*", alertstate="firing"}) or vector(0)', 'firing'),
      [{ value: null, color: 'green' }, { value: 1, color: 'red' }],
    ),
  ],

  local panels = [
    timeseries(
      'Request rate',
      'Requests per second by route and by how they ended.',
      'reqps',
      [panel.query(sum(['status', 'route'], averaged(rules.requests, ['route', 'status'])) + ' > 0', '{{status}} {{route}}')]
    ) + style.statuses,
    timeseries(
      'Latency p50, p95, p99',
      'Time from the first byte of an admitted request to the last byte of its answer, by route. ' +
      'Refused requests are not in it.',
      's',
      quantiles(rules.durations, ['route', 'status'])
    ) + style.quantiles,
    timeseries(
      'Error rate and types',
      'Left: share of requests that failed (' + std.join(', ', config.requests.failedStatuses) +
      '). Right: server errors per second by type.' + ignoresStatus,
      'percentunit',
      [
        share(rules.failed),
        panel.query(sum(['type', 'route'], averaged(rules.errors, ['route'])) + ' > 0', '{{type}} {{route}}'),
      ]
    ) + panel.onRightAxis('/^(?!share)/', 'reqps'),
    timeseries(
      'Timeout rate',
      'Left: share of requests that the time limit stopped. Right: how many per second, by where it struck.' +
      ignoresStatus,
      'percentunit',
      [
        share(rules.timedOut),
        panel.query(sum(['stage', 'route'], averaged(rules.timeouts, ['route'])) + ' > 0', '{{stage}} {{route}}'),
      ]
    ) + panel.onRightAxis('/^(?!share)/', 'reqps'),
    panel.timeseries(
      'Concurrent requests',
      'Requests being handled at once, by route: the most within each step.',
      'short',
      [panel.query(
        sum(['route'], 'max_over_time(' + q.read(rules.concurrent, f.chosen(['route'])) + '[$__interval])'),
        '{{route}}'
      )],
      interval
    ) + style.routes,
    timeseries(
      'Model inference time',
      'Time that the model alone needed for a request, by route, without queueing.',
      's',
      quantiles(rules.inference, ['route'])
    ) + style.quantiles,
    timeseries(
      'Input size distribution',
      'Candles that came in with each series, by route.',
      'short',
      quantiles(rules.inputCandles, ['route'])
    ) + style.quantiles,
    timeseries(
      'Security events',
      'Requests turned away per second by reason, and those over their rate limit by client. ' +
      'The route filter does not apply: they are turned away before any route.',
      'reqps',
      [
        panel.query(sum(['reason'], averaged(rules.rejections, [])), '{{reason}}'),
        panel.query(sum(['client'], averaged(rules.rateLimited, [])) + ' > 0', 'rate limited: {{client}}'),
      ]
    ),
  ],

  local pairs = [f.row(9, panels[2 * i:2 * i + 2]) for i in std.range(0, std.length(panels) / 2 - 1)],

  dashboard:: f.dashboard(
    config.dashboards.overview,
    'Kronos / Overview',
    'Is the Kronos forecasting service well? Every line comes from recorded series of the Kronos mixin.',
    rules.requests,
    ['route', 'status'],
    [f.row(4, stats)] + pairs
  ),
}.dashboard
