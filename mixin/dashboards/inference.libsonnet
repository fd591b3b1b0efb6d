// Why is it slow? From the queue through the stages of the model to the answer, then instance by instance.
local dashboard = import '../lib/dashboard.libsonnet';
local logs = import '../lib/logs.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local q = query(config);
  local show = shown(config);
  local log = logs(config);

  local rawQuantile(metric, by, legend) =
    local buckets = 'rate(' + q.buckets(metric, show.chosen(['instance'])) + '[$__rate_interval])';
    panel.query(
      'histogram_quantile(0.95, ' + show.sum(by + ['le'], buckets) + ')' +
      ' and ' + show.sum(by, 'rate(' + q.buckets(metric, show.chosen(['instance']) + { le: '+Inf' }) +
                             '[$__rate_interval])') + ' > 0',
      legend
    );

  local objective = config.objectives.latency;
  local seconds = std.sort([std.parseJson(objective.seconds[route]) for route in std.objectFields(objective.seconds)]);
  local queueLimit = std.parseJson(config.alerts.KronosQueueSaturated.threshold);

  local stats = [
    panel.stat(show.kept(rules.latency) {
      title: 'In time',
      description: 'Share of requests, within the chosen time, that met the latency objective of their route. ' +
                   rules.latency.target + ' was promised. The route filter does not apply.',
      links: show.linkTo('slo', 'How long can this go on?', []),
    }),
    panel.stat(show.kept({ target: rules.latency.target, bad: rules.slowInference.rate, valid: rules.inferences }) {
      title: 'Model in time',
      description: 'Share of requests, within the chosen time, for which the model alone met the latency objective of ' +
                   'their route. Where this is well and In time is not, they wait. The route filter does not apply.',
    }),
    panel.stat({
      title: 'Queue utilisation',
      description: 'Share of the queue that is taken, on the instance where it is fullest. A full one refuses requests.',
      unit: 'percentunit',
      queries: [panel.query('max by (job) (' + show.now(rules.queueUtilisation, []) + ')', '{{job}}')],
      steps: style.above(queueLimit, 1),
    }),
  ];

  local panels = [
    show.timeseries({
      title: 'Latency p50, p95, p99' + show.window,
      description: 'Time from the first byte of an admitted request to the last byte of its answer, by route. ' +
                   'Dashed: the objectives of the routes.',
      unit: 's',
      log: true,
      limits: seconds,
      queries: show.quantiles(rules.kronos_request_duration_seconds, ['route'], ['route']),
      overrides: style.quantiles + style.routes,
    }),
    show.timeseries({
      title: 'Slow requests' + show.window,
      description: 'Share of requests over the latency objective of their route, and of those for which the model ' +
                   'alone took longer than that.',
      unit: 'percentunit',
      limits: [std.round((1 - std.parseJson(config.objectives.latency.target)) * 1e6) / 1e6],
      queries: [
        show.share(rules.slow.rate, rules.timed, 'slow {{route}}'),
        show.share(rules.slowInference.rate, rules.inferences, 'model {{route}}'),
      ],
      overrides: style.objectives + style.routes,
      links: log.requests('Log lines of slow requests', log.slow),
    }),
    show.timeseries({
      title: 'Queue wait p50, p95, p99' + show.window,
      description: 'Time of one series from admission to its first model step.',
      unit: 's',
      log: true,
      queries: show.quantiles(rules.kronos_queue_wait_seconds, [], []),
      overrides: style.quantiles,
    }),
    show.rawTimeseries({
      title: 'Queue utilisation',
      description: 'Share of the queue that is taken, by instance.',
      unit: 'percentunit',
      reach: 1,
      limits: [queueLimit],
      queries: [
        panel.query(q.ratio(show.raw('kronos_queue_depth'), show.raw('kronos_queue_capacity')), '{{instance}}'),
      ],
    }),
    show.timeseries({
      title: 'Model stages p95' + show.window,
      description: 'Time of each stage of a model call: candles to tokens, first pass over the window, all further ' +
                   'steps, tokens back to candles.',
      unit: 's',
      log: true,
      queries: show.quantiles(rules.kronos_model_stage_seconds, [], ['stage'], ['p95']),
      overrides: style.modelStages,
    }),
    show.timeseries({
      title: 'Before and after the model p95' + show.window,
      description: 'Time to check a request and build its arrays, and to mend candles and build the answer.',
      unit: 's',
      queries: show.quantiles(rules.kronos_processing_seconds, [], ['stage'], ['p95']),
      overrides: style.processingStages,
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
      title: 'Series per model call' + show.window,
      description: 'How many series were decoded together.',
      unit: 'short',
      axis: 'series',
      queries: show.quantiles(rules.kronos_batch_series, [], [], ['p50', 'p95']),
      overrides: style.quantiles,
    }),
    show.timeseries({
      title: 'Input candles and horizon p95' + show.window,
      description: 'Size of the work: candles that came in with each series, and candles asked for.',
      unit: 'short',
      axis: 'candles',
      queries: show.quantiles(rules.kronos_prediction_input_candles, ['route'], ['route'], ['p95'], 'input ') +
               show.quantiles(rules.kronos_prediction_horizon_candles, ['route'], ['route'], ['p95'], 'horizon '),
      overrides: style.directions + style.routes,
    }),
    show.timeseries({
      title: 'Forecast candles' + show.window,
      description: 'Left: candles forecast per second. Right, dotted: share of them whose low or high had to be mended.',
      unit: 'cps',
      queries: [
        panel.query(show.sum(['route'], show.averaged(rules.kronos_forecast_candles_total, ['route'])), 'forecast {{route}}'),
        show.share(rules.kronos_inconsistent_candles_total, rules.kronos_forecast_candles_total, 'mended {{route}}'),
      ],
      overrides: style.byRoute + style.rightAxis('/^mended/', 'percentunit'),
    }),
    show.timeseries({
      title: 'Body size p95' + show.window,
      description: 'Size of request and response bodies, by route.',
      unit: 'bytes',
      log: true,
      queries: show.quantiles(rules.kronos_request_size_bytes, ['route'], ['route'], ['p95'], 'request ') +
               show.quantiles(rules.kronos_response_size_bytes, ['route'], ['route'], ['p95'], 'response '),
      overrides: style.directions + style.routes,
    }),
    show.timeseries({
      title: 'Stopped requests' + show.window,
      description: 'Admitted requests that were stopped before the model had finished, per second, by cause.',
      unit: 'reqps',
      reach: 0.1,
      queries: [panel.query(show.rate(rules.kronos_cancellations_total, ['cause'], []), '{{cause}}')],
      overrides: style.cancellations + style.happened,
      links: log.requests('Log lines of stopped requests', 'cancelled != ``', byRoute=false),
    }),
    show.rawTimeseries({
      title: 'Latency p95 by instance, with exemplars',
      description: 'The slowest instance stands out here. Dots are single requests: their request id leads to the log.',
      unit: 's',
      log: true,
      queries: [
        rawQuantile('kronos_request_duration_seconds', ['instance'], '{{instance}}') { exemplar: true },
      ],
      links: log.ofRequest('All log lines of the request'),
    }),
    show.rawTimeseries({
      title: 'Model inference time p95 by instance',
      description: 'One instance above the others has a slower machine, or a busy neighbour.',
      unit: 's',
      log: true,
      queries: [rawQuantile('kronos_model_inference_seconds', ['instance'], '{{instance}}')],
    }),
  ];

  dashboard.new(config, {
    uid: config.dashboards.inference.uid,
    title: 'Kronos / Inference',
    description: 'Why is Kronos slow? Where the time of a request goes. The instance filter applies to the panels by ' +
                 'instance, the route filter to those by route.',
    variables: ['route', 'instance'],
    source: rules.kronos_requests_total,
    inputs: log.requestVariable,
    rows: [dashboard.row(4, stats)] + dashboard.pairs(8, panels),
  })
