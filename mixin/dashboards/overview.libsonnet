// Is it well? One row that answers from across the room, then a panel for each question that follows.
local dashboard = import '../lib/dashboard.libsonnet';
local logs = import '../lib/logs.libsonnet';
local panel = import '../lib/panel.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local show = shown(config);
  local log = logs(config);

  local ignoresStatus = ' The status filter does not apply: a share of one status would say nothing.';

  local objectives = std.sort([
    std.parseJson(seconds)
    for seconds in std.objectValues(config.objectives.latency.seconds)
  ]);

  // Alerts without a place, such as those about what is missing, are everybody's.
  local firing(severity) =
    'count(ALERTS{alertname=~"Kronos.*", alertstate="firing", severity' + severity +
    std.join('', [', ' + label + '=~"$' + label + '|"' for label in config.aggregationLabels]) +
    ', job=~"$job"}) or vector(0)';

  local stats = [
    panel.stat({
      title: 'Critical alerts',
      description: 'Alerts of this mixin that fire now and should wake somebody.',
      unit: 'none',
      queries: [panel.query(firing('="critical"'), 'critical')],
      steps: style.badFrom(1),
    }),
    panel.stat({
      title: 'Warnings',
      description: 'All other alerts of this mixin that fire now, but for those that only inform.',
      unit: 'none',
      queries: [panel.query(firing('!~"critical|info"'), 'warnings')],
      steps: style.warnFrom(1),
    }),
    panel.stat({
      title: 'Ready',
      description: 'Share of the instances with a model that works.',
      unit: 'percentunit',
      queries: [panel.query('avg by (job) (' + show.raw('kronos_model_ready', []) + ')', '{{job}}')],
      steps: style.below(std.parseJson(config.alerts.KronosServiceDown.threshold), 1),
      empty: 'No instance',
      links: show.linkTo('instances', 'Which one?', []),
    }),
    panel.stat(show.kept(rules.availability) {
      title: 'Availability',
      description: 'Share of requests, within the chosen time, that the service did not fail. ' +
                   rules.availability.target + ' was promised: less than that spends the error budget.',
      links: show.linkTo('slo', 'How long can this go on?', []),
    }),
    panel.stat(show.left(rules.availability) {
      title: 'Error budget left (' + rules.availability.span + ')',
      description: 'What is left of the error budget for availability over ' + rules.availability.span + '.',
      links: show.linkTo('slo', 'How long can this go on?', []),
    }),
    panel.stat(show.kept(rules.latency) {
      title: 'In time',
      description: 'Share of requests, within the chosen time, that met the latency objective of their route. ' +
                   rules.latency.target + ' was promised: less than that spends the error budget.',
      links: show.linkTo('inference', 'Why is it slow?', ['route']),
    }),
    panel.stat(show.left(rules.latency) {
      title: 'Latency budget left (' + rules.latency.span + ')',
      description: 'What is left of the error budget for latency over ' + rules.latency.span + '.',
      links: show.linkTo('slo', 'How long can this go on?', []),
    }),
  ];

  local traffic = [
    show.timeseries({
      title: 'Request rate' + show.window,
      description: 'Requests per second by route.',
      unit: 'reqps',
      reach: 0.1,
      queries: [panel.query(show.rate(rules.kronos_requests_total, ['route'], ['route', 'status']), '{{route}}')],
      overrides: style.byRoute + style.happened,
      links: show.linkTo('inference', 'Where does the time go?', ['route']),
    }),
    show.timeseries({
      title: 'Requests by status' + show.window,
      description: 'Requests per second by how they ended. What did not happen within the chosen time is not named.',
      unit: 'reqps',
      reach: 0.1,
      queries: [panel.query(show.rate(rules.kronos_requests_total, ['status'], ['route', 'status']), '{{status}}')],
      overrides: style.statuses + style.happened,
      links: log.requests('Log lines of these requests', log.chosenStatus),
    }),
  ];

  local panels = [
    show.timeseries({
      title: 'Latency p50, p95, p99' + show.window,
      description: 'Time from the first byte of an admitted request to the last byte of its answer, by route. ' +
                   'Refused requests are not in it. Dashed: the objectives of the routes.',
      unit: 's',
      log: true,
      limits: objectives,
      queries: show.quantiles(rules.kronos_request_duration_seconds, ['route', 'status'], ['route']),
      overrides: style.quantiles + style.routes,
      links: log.requests('Log lines of slow requests', log.slow),
    }),
    show.timeseries({
      title: 'Error rate and types' + show.window,
      description: 'Left: share of requests that failed (' + std.join(', ', config.requests.failedStatuses) +
                   '). Right, as areas: server errors per second by type.' + ignoresStatus,
      unit: 'percentunit',
      limits: [std.parseJson(config.alerts.KronosHighErrorRate.threshold)],
      queries: [
        panel.query(show.rate(rules.kronos_errors_total, ['type'], ['route']), '{{type}}'),
        show.share(rules.failed.rate, rules.eligible, 'share {{route}}'),
      ],
      overrides: style.byRoute + style.errorTypes + style.counts('/^(?!share)/'),
      links: log.requests('Log lines of failed requests', log.withStatus(config.requests.failedStatuses)),
    }),
    show.timeseries({
      title: 'Timeout rate' + show.window,
      description: 'Left: share of requests that the time limit stopped. Right, as areas: how many per second, by where ' +
                   'it struck.' + ignoresStatus,
      unit: 'percentunit',
      limits: [std.parseJson(config.alerts.KronosHighTimeoutRate.threshold)],
      queries: [
        panel.query(show.rate(rules.kronos_timeouts_total, ['stage'], ['route']), '{{stage}}'),
        show.share(rules.timedOut.rate, rules.eligible, 'share {{route}}'),
      ],
      overrides: style.byRoute + style.timeoutStages + style.counts('/^(?!share)/'),
      links: log.requests('Log lines of timeouts', log.withStatus(['timeout'])),
    }),
    show.timeseries({
      title: 'Concurrent requests',
      description: 'Requests being handled at once, by route: the most within each step.',
      unit: 'short',
      axis: 'requests',
      whole: true,
      queries: [panel.query(
        show.sum(['route'], show.highest(rules.concurrent, ['route'])),
        '{{route}}'
      )],
      stack: true,
      overrides: style.byRoute,
    }),
    show.timeseries({
      title: 'Model inference time' + show.window,
      description: 'Time that the model alone needed for a request, by route, without queueing.',
      unit: 's',
      log: true,
      queries: show.quantiles(rules.kronos_model_inference_seconds, ['route'], ['route']),
      overrides: style.quantiles + style.routes,
    }),
    show.timeseries({
      title: 'Queue utilisation',
      description: 'Share of the queue that is taken, on the instance where it is fullest.',
      unit: 'percentunit',
      reach: 1,
      limits: [std.parseJson(config.alerts.KronosQueueSaturated.threshold)],
      queries: [panel.query('max by (job) (' + show.highest(rules.queueUtilisation, []) + ')', '{{job}}')],
      links: show.linkTo('inference', 'Which instance?', ['route']),
    }),
  ];

  local last = [
    show.timeseries({
      title: 'Input size distribution' + show.window,
      description: 'Candles that came in with each series, by route.',
      unit: 'short',
      axis: 'candles',
      queries: show.quantiles(rules.kronos_prediction_input_candles, ['route'], ['route']),
      overrides: style.quantiles + style.routes,
    }),
    show.timeseries({
      title: 'Security events' + show.window,
      description: 'Requests turned away per second by reason. Areas: clients over their limit. ' +
                   'The route filter does not apply: they are turned away before any route.',
      unit: 'reqps',
      reach: 0.1,
      queries: [
        panel.query(show.rate(rules.kronos_rate_limited_total, ['client'], []), 'limited: {{client}}'),
        panel.query(show.rate(rules.kronos_rejections_total, ['reason'], []), '{{reason}}'),
      ],
      overrides: style.rejections + style.clients + style.happened,
      links: log.requests(
        'Log lines of refusals',
        log.withStatus(['overloaded', 'rate_limited', 'too_large', 'unauthorized', 'unavailable']),
        byRoute=false
      ),
    }),
  ];

  dashboard.new(config, {
    uid: config.dashboards.overview.uid,
    title: 'Kronos / Overview',
    description: 'Is the Kronos forecasting service well? Lines come from the recorded series of the Kronos mixin.',
    variables: ['route', 'status'],
    source: rules.kronos_requests_total,
    // As high as their legends need.
    rows: [dashboard.row(4, stats, [3, 3, 3, 4, 4, 3, 4])] + dashboard.pairs(9, traffic) + dashboard.pairs(8, panels) +
          dashboard.pairs(9, last),
  })
