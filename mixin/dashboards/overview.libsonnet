// Is it well? One row that answers from across the room, then a panel for each question that follows.
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local show = shown(config);

  local ignoresStatus = ' The status filter does not apply: a share of one status would say nothing.';

  // An objective over the chosen time range, and what is left of its error budget.
  local kept(objective) =
    '1 - ' + show.sum(['job'], show.averaged(objective.bad, [], window='$__range')) +
    ' / (' + show.sum(['job'], show.averaged(objective.valid, [], window='$__range')) + ' > 0)';
  local left(objective) = 'min by (job) (' + show.highest(objective.budget, []) + ')';
  local objectives = std.sort([
    std.parseJson(seconds)
    for seconds in std.objectValues(config.objectives.latency.seconds)
  ]);
  // Below the objective is a warning; five times as much as it allows is bad.
  local green(target) = [
    { value: null, color: 'red' },
    { value: std.round((1 - 5 * (1 - target)) * 1e6) / 1e6, color: 'orange' },
    { value: target, color: 'green' },
  ];
  local budget = [{ value: null, color: 'red' }, { value: 0, color: 'orange' }, { value: 0.25, color: 'green' }];

  local stats = [
    panel.stat({
      title: 'Firing alerts',
      description: 'Alerts of this mixin that fire now.',
      unit: 'none',
      queries: [panel.query('count(ALERTS{alertname=~"Kronos.*", alertstate="firing", job=~"$job"}) or vector(0)', 'firing')],
      steps: [{ value: null, color: 'green' }, { value: 1, color: 'red' }],
    }),
    panel.stat({
      title: 'Ready instances',
      description: 'Share of the instances with a model that works.',
      unit: 'percentunit',
      queries: [panel.query('avg by (job) (' + show.raw('kronos_model_ready', []) + ')', '{{job}}')],
      steps: [{ value: null, color: 'red' }, { value: 0.5, color: 'orange' }, { value: 1, color: 'green' }],
      empty: 'No instance',
      links: show.linkTo('instances', 'Which one?', []),
    }),
    panel.stat({
      title: 'Availability',
      description: 'Share of requests, within the chosen time, that the service did not fail.',
      unit: 'percentunit',
      queries: [panel.query(kept(rules.availability), '{{job}}')],
      steps: green(std.parseJson(rules.availability.target)),
      links: show.linkTo('slo', 'How long can this go on?', []),
    }),
    panel.stat({
      title: 'Error budget left',
      description: 'What is left of the error budget for availability over ' + rules.availability.span + '.',
      unit: 'percentunit',
      queries: [panel.query(left(rules.availability), '{{job}}')],
      steps: budget,
      links: show.linkTo('slo', 'How long can this go on?', []),
    }),
    panel.stat({
      title: 'In time',
      description: 'Share of requests, within the chosen time, that met the latency objective of their route.',
      unit: 'percentunit',
      queries: [panel.query(kept(rules.latency), '{{job}}')],
      steps: green(std.parseJson(rules.latency.target)),
      links: show.linkTo('inference', 'Why is it slow?', ['route']),
    }),
    panel.stat({
      title: 'Latency budget left',
      description: 'What is left of the error budget for latency over ' + rules.latency.span + '.',
      unit: 'percentunit',
      queries: [panel.query(left(rules.latency), '{{job}}')],
      steps: budget,
      links: show.linkTo('slo', 'How long can this go on?', []),
    }),
  ];

  local panels = [
    show.timeseries({
      title: 'Request rate' + show.window,
      description: 'Requests per second by route and by how they ended.',
      unit: 'reqps',
      queries: [panel.query(
        show.sum(['status', 'route'], show.averaged(rules.requests, ['route', 'status'])) + ' > 0',
        '{{status}} {{route}}'
      )],
      overrides: style.statuses + style.routes,
    }),
    show.timeseries({
      title: 'Latency p50, p95, p99' + show.window,
      description: 'Time from the first byte of an admitted request to the last byte of its answer, by route. ' +
                   'Refused requests are not in it. Dashed: the objectives of the routes.',
      unit: 's',
      log: true,
      limits: objectives,
      queries: show.quantiles(rules.durations, ['route', 'status'], ['route']),
      overrides: style.quantiles + style.routes,
    }),
    show.timeseries({
      title: 'Error rate and types' + show.window,
      description: 'Left: share of requests that failed (' + std.join(', ', config.requests.failedStatuses) +
                   '). Right, dotted: server errors per second by type.' + ignoresStatus,
      unit: 'percentunit',
      limits: [std.parseJson(config.alerts.KronosHighErrorRate.threshold)],
      queries: [
        show.share(rules.failed.rate, rules.eligible, 'share {{route}}'),
        panel.query(show.sum(['type'], show.averaged(rules.errors, ['route'])), '{{type}}'),
      ],
      overrides: style.byRoute + style.errorTypes + style.rightAxis('/^(?!share)/', 'reqps'),
    }),
    show.timeseries({
      title: 'Timeout rate' + show.window,
      description: 'Left: share of requests that the time limit stopped. Right, dotted: how many per second, by where ' +
                   'it struck.' + ignoresStatus,
      unit: 'percentunit',
      limits: [std.parseJson(config.alerts.KronosHighTimeoutRate.threshold)],
      queries: [
        show.share(rules.timedOut.rate, rules.eligible, 'share {{route}}'),
        panel.query(show.sum(['stage'], show.averaged(rules.timeouts, ['route'])), '{{stage}}'),
      ],
      overrides: style.byRoute + style.timeoutStages + style.rightAxis('/^(?!share)/', 'reqps'),
    }),
    show.timeseries({
      title: 'Concurrent requests',
      description: 'Requests being handled at once, by route: the most within each step.',
      unit: 'short',
      axis: 'requests',
      queries: [panel.query(
        show.sum(['route'], show.highest(rules.concurrent, ['route'])),
        '{{route}}'
      )],
      overrides: style.byRoute,
    }),
    show.timeseries({
      title: 'Model inference time' + show.window,
      description: 'Time that the model alone needed for a request, by route, without queueing.',
      unit: 's',
      log: true,
      queries: show.quantiles(rules.inference, ['route'], ['route']),
      overrides: style.quantiles + style.routes,
    }),
    show.timeseries({
      title: 'Input size distribution' + show.window,
      description: 'Candles that came in with each series, by route.',
      unit: 'short',
      axis: 'candles',
      queries: show.quantiles(rules.inputCandles, ['route'], ['route']),
      overrides: style.quantiles + style.routes,
    }),
    show.timeseries({
      title: 'Security events' + show.window,
      description: 'Requests turned away per second by reason, and those over their rate limit by client. ' +
                   'The route filter does not apply: they are turned away before any route.',
      unit: 'reqps',
      queries: [
        panel.query(show.sum(['reason'], show.averaged(rules.rejections, [])), '{{reason}}'),
        panel.query(show.sum(['client'], show.averaged(rules.rateLimited, [])), 'rate limited: {{client}}'),
      ],
      overrides: style.rejections + style.clients,
    }),
  ];

  dashboard.new(config, {
    uid: config.dashboards.overview.uid,
    title: 'Kronos / Overview',
    description: 'Is the Kronos forecasting service well? Lines come from the recorded series of the Kronos mixin.',
    variables: ['route', 'status'],
    source: rules.requests,
    rows: [dashboard.row(4, stats)] + dashboard.pairs(8, panels),
  })
