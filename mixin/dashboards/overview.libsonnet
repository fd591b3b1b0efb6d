// Is it well? One row that answers from across the room, then a panel for each question that follows.
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local q = query(config);
  local d = dashboard(config);

  local sum(by, expr) = 'sum by (' + std.join(', ', by) + ') (' + expr + ')';

  // A recorded series under the chosen variables, averaged over each step of the panel, so that a wide step keeps
  // what happened between two of its points.
  local averaged(rule, labels, matchers={}) =
    'avg_over_time(' + q.read(rule, d.chosen(labels) + matchers) + '[$__interval])';

  // Quantiles of a recorded histogram, per route. Empty, not NaN, while nothing was observed.
  local quantiles(rule, labels) =
    local buckets = sum(['route', 'le'], averaged(rule, labels));
    local observed = sum(['route'], averaged(rule, labels, { le: '+Inf' }));
    [
      panel.query(
        'histogram_quantile(' + quantile.value + ', ' + buckets + ') and ' + observed + ' > 0',
        quantile.name + ' {{route}}'
      )
      for quantile in [
        { name: 'p50', value: '0.5' },
        { name: 'p95', value: '0.95' },
        { name: 'p99', value: '0.99' },
      ]
    ];

  local share(bad) = panel.query(
    q.ratio(sum(['route'], averaged(bad.rate, ['route'])), sum(['route'], averaged(rules.eligible, ['route']))),
    'share {{route}}'
  );

  local timeseries(knobs) = panel.timeseries(knobs { interval: config.evaluationInterval });
  local window = ' (' + config.rateWindow + ')';
  local ignoresStatus = ' The status filter does not apply: a share of one status would say nothing.';

  local stats = [
    panel.stat({
      title: 'Targets up',
      description: 'Share of the targets of the chosen jobs that Prometheus can scrape.',
      unit: 'percentunit',
      queries: [panel.query('avg(' + q.raw('up') + ')', 'up')],
      steps: [{ value: null, color: 'red' }, { value: 0.5, color: 'orange' }, { value: 1, color: 'green' }],
      empty: 'No target',
    }),
    panel.stat({
      title: 'Firing alerts',
      description: 'Alerts of this mixin that fire now.',
      unit: 'none',
      queries: [panel.query('count(ALERTS{alertname=~"Kronos.*", alertstate="firing"}) or vector(0)', 'firing')],
      steps: [{ value: null, color: 'green' }, { value: 1, color: 'red' }],
    }),
  ];

  local panels = [
    timeseries({
      title: 'Request rate' + window,
      description: 'Requests per second by route and by how they ended.',
      unit: 'reqps',
      queries: [panel.query(
        sum(['status', 'route'], averaged(rules.requests, ['route', 'status'])) + ' > 0',
        '{{status}} {{route}}'
      )],
      overrides: style.statuses + style.routes,
    }),
    timeseries({
      title: 'Latency p50, p95, p99' + window,
      description: 'Time from the first byte of an admitted request to the last byte of its answer, by route. ' +
                   'Refused requests are not in it.',
      unit: 's',
      queries: quantiles(rules.durations, ['route', 'status']),
      overrides: style.quantiles + style.routes,
    }),
    timeseries({
      title: 'Error rate and types' + window,
      description: 'Left: share of requests that failed (' + std.join(', ', config.requests.failedStatuses) +
                   '). Right: server errors per second by type.' + ignoresStatus,
      unit: 'percentunit',
      queries: [
        share(rules.failed),
        panel.query(sum(['type'], averaged(rules.errors, ['route'])), '{{type}}'),
      ],
      overrides: style.routes + style.rightAxis('/^(?!share)/', 'reqps'),
    }),
    timeseries({
      title: 'Timeout rate' + window,
      description: 'Left: share of requests that the time limit stopped. Right: how many per second, by where it ' +
                   'struck.' + ignoresStatus,
      unit: 'percentunit',
      queries: [
        share(rules.timedOut),
        panel.query(sum(['stage'], averaged(rules.timeouts, ['route'])), '{{stage}}'),
      ],
      overrides: style.routes + style.rightAxis('/^(?!share)/', 'reqps'),
    }),
    timeseries({
      title: 'Concurrent requests',
      description: 'Requests being handled at once, by route: the most within each step.',
      unit: 'short',
      queries: [panel.query(
        sum(['route'], 'max_over_time(' + q.read(rules.concurrent, d.chosen(['route'])) + '[$__interval])'),
        '{{route}}'
      )],
      overrides: style.routes,
    }),
    timeseries({
      title: 'Model inference time' + window,
      description: 'Time that the model alone needed for a request, by route, without queueing.',
      unit: 's',
      queries: quantiles(rules.inference, ['route']),
      overrides: style.quantiles + style.routes,
    }),
    timeseries({
      title: 'Input size distribution' + window,
      description: 'Candles that came in with each series, by route.',
      unit: 'short',
      queries: quantiles(rules.inputCandles, ['route']),
      overrides: style.quantiles + style.routes,
    }),
    timeseries({
      title: 'Security events' + window,
      description: 'Requests turned away per second by reason, and those over their rate limit by client. ' +
                   'The route filter does not apply: they are turned away before any route.',
      unit: 'reqps',
      queries: [
        panel.query(sum(['reason'], averaged(rules.rejections, [])), '{{reason}}'),
        panel.query(sum(['client'], averaged(rules.rateLimited, [])), 'rate limited: {{client}}'),
      ],
    }),
  ];

  d.dashboard({
    uid: config.dashboards.overview.uid,
    title: 'Kronos / Overview',
    description: 'Is the Kronos forecasting service well? Lines come from the recorded series of the Kronos mixin.',
    // The variables beside the target's labels, and the rule that has their values.
    labels: ['route', 'status'],
    source: rules.requests,
    rows: [d.row(4, stats)] + [d.row(9, panels[2 * i:2 * i + 2]) for i in std.range(0, std.length(panels) / 2 - 1)],
  })
