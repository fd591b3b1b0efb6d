// Is it well? A row that can be read from across the room, then eight panels. All of it fits one screen on a wall.
local contract = import '../lib/contract.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local logs = import '../lib/logs.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local variables = ['route', 'status'];
  local q = query(config);
  local show = shown(config, rules, variables);
  local log = logs(config);

  local ignoresStatus = ' The status filter does not apply: a share of one status would say nothing.';
  // Four panels share a row.
  local wall = { narrow: true };

  local stats = {
    criticalAlerts: panel.stat({
      title: 'Critical alerts',
      description: 'Critical alerts of this mixin that fire now, and how often.',
      unit: 'none',
      mode: 'value_and_name',
      queries: show.firingByName(['severity="critical"']),
      steps: style.badFrom(1),
    }),
    otherAlerts: panel.stat({
      title: 'Warnings',
      description: 'Warnings of this mixin that fire now, and how often.',
      unit: 'none',
      mode: 'value_and_name',
      queries: show.firingByName(['severity!~"critical|info"']),
      steps: style.warnFrom(1),
    }),
    ready: panel.stat({
      title: 'Ready',
      description: 'Share of the instances whose model is loaded and working.',
      unit: 'percentunit',
      queries: [show.query(q.avg([], show.raw('kronos_model_ready')))],
      steps: style.below(std.parseJson(config.alerts.KronosServiceDown.threshold), 1),
      empty: 'No instance',
      links: show.linkTo('instances', 'Which instance?'),
    }),
    availability: panel.stat(show.kept(rules.availability) {
      title: 'Availability',
      description: 'Share of requests, over the chosen time, that the service did not fail. The objective is ' +
                   rules.availability.target + ': anything less spends the error budget.',
      links: show.linkTo('slo', 'Burn rates'),
    }),
    availabilityBudget: panel.stat(show.left(rules.availability) {
      title: 'Error budget left (' + rules.availability.span + ')',
      description: 'What is left of the error budget for availability over ' + rules.availability.span + '.',
      links: show.linkTo('slo', 'Burn rates'),
    }),
    inTime: panel.stat(show.kept(rules.latency) {
      title: 'Within latency objective',
      description: 'Share of requests, over the chosen time, that met the latency objective of their route. The target ' +
                   'is ' + rules.latency.target + ': anything less spends the latency budget.',
      links: show.linkTo('inference', 'Why is it slow?', ['route']),
    }),
    latencyBudget: panel.stat(show.left(rules.latency) {
      title: 'Latency budget left (' + rules.latency.span + ')',
      description: 'What is left of the error budget for latency over ' + rules.latency.span + '.',
      links: show.linkTo('slo', 'Burn rates'),
    }),
  };

  local panels = {
    requestRate: show.perMinute('kronos_requests_total', 'status', wall {
      description+: ' Statuses that did not occur are left out.',
      overrides: style.parts(contract.values('status')) + style.statuses + style.happened,
      links: show.linkTo('inference', 'Where does the time go?', ['route']) +
             log.requests('Log lines of these requests', log.chosenStatus),
    }),
    latency: show.quantiles('kronos_request_duration_seconds', ['route'], wall {
      description+: ' Refused requests are not in it.',
      log: true,
      limits: show.latencyObjectives,
      links: log.requests('Log lines of slow requests', log.slow),
    }),
    errors: show.timeseries(wall {
      title: 'Error rate and types' + show.window,
      description: 'Lines: share of requests that failed (' + std.join(', ', config.requests.failedStatuses) +
                   '), by route. Areas: server errors by type, as a share of all requests.' + ignoresStatus,
      unit: 'percentunit',
      limits: { 'alert threshold': config.alerts.KronosHighErrorRate.threshold },
      queries: [
        show.query(show.shareBy('type', rules.kronos_errors_total, rules.eligible), '{{type}}'),
        show.query(show.share(rules.failed.rate, rules.eligible), 'failed {{route}}'),
      ],
      overrides: style.parts(contract.values('error_type')) + style.errorTypes + style.byRoute + style.happened,
      links: log.requests('Log lines of failed requests', log.withStatus(config.requests.failedStatuses)),
    }),
    timeouts: show.timeseries(wall {
      title: 'Timeout rate' + show.window,
      description: 'Lines: share of requests that ran into the time limit, by route. Areas: where it was reached, as a share ' +
                   'of all requests.' + ignoresStatus,
      unit: 'percentunit',
      limits: { 'alert threshold': config.alerts.KronosHighTimeoutRate.threshold },
      queries: [
        show.query(show.shareBy('stage', rules.kronos_timeouts_total, rules.eligible), 'in {{stage}}'),
        show.query(show.share(rules.timedOut.rate, rules.eligible), 'timed out {{route}}'),
      ],
      overrides: style.parts(['in ' + stage for stage in contract.values('timeout_stage')]) + style.timeoutStages +
                 style.byRoute + style.happened,
      links: log.requests('Log lines of timeouts', log.withStatus(['timeout'])),
    }),
    concurrent: show.timeseries(contract.signal('kronos_concurrent_requests') + wall {
      description: 'Requests being handled at once, by route: the most within each step.',
      whole: true,
      queries: [show.query(q.sum(['route'], show.highest(rules.concurrent)), '{{route}}')],
      stack: true,
      overrides: style.byRoute,
    }),
    inference: show.quantiles('kronos_model_inference_seconds', ['route'], wall { log: true }),
    inputSize: show.quantiles('kronos_prediction_input_candles', ['route'], wall { title: 'Input size distribution' + show.window }),
    security: show.perMinute('kronos_rejections_total', 'reason', wall {
      title: 'Security events per minute' + show.window,
      description: 'Requests turned away, by reason. Areas: clients over their rate limit. The route filter does not ' +
                   'apply: they are turned away before routing.',
      queries+: [show.query(show.minutely(rules.kronos_rate_limited_total, ['client']), 'limited: {{client}}')],
      overrides: style.rejections + style.clients + style.happened,
      links: log.requests(
        'Log lines of refusals',
        log.withStatus(['overloaded', 'rate_limited', 'too_large', 'unauthorized', 'unavailable']),
        byRoute=false
      ),
    }),
  };

  dashboard.new(config, {
    uid: config.dashboards.overview.uid,
    title: 'Kronos / Overview',
    description: 'Is the Kronos forecasting service well? Needs the recording rules of the Kronos mixin.',
    variables: variables,
    source: rules.kronos_requests_total,
    panels: stats + panels,
    rows: [
      dashboard.row(
        4,
        ['criticalAlerts', 'otherAlerts', 'ready', 'availability', 'availabilityBudget', 'inTime', 'latencyBudget'],
        [3, 3, 3, 3, 4, 4, 4]
      ),
    ] + dashboard.rows(11, [
      ['requestRate', 'latency', 'errors', 'timeouts'],
      ['concurrent', 'inference', 'inputSize', 'security'],
    ]),
  })
