// Why is it slow? The queue, the stages of the model, the size of the work; by instance where instances may differ.
local dashboard = import '../lib/dashboard.libsonnet';
local logs = import '../lib/logs.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local variables = ['route', 'instance'];
  local q = query(config);
  local show = shown(config, rules, variables);
  local log = logs(config);

  local panels = {
    requestRate: show.perMinute('kronos_requests_total', 'route', { overrides: style.byRoute + style.happened }),
    slow: show.timeseries({
      title: 'Slow requests' + show.window,
      description: 'Share of requests over the latency objective of their route, and of those for which the model ' +
                   'alone took longer than that: the rest of the slow ones waited.',
      unit: 'percentunit',
      limits: { objective: '1 - ' + config.objectives.latency.target },
      queries: [
        show.query(show.share(rules.slow.rate, rules.timed), 'slow {{route}}'),
        show.query(show.share(rules.slowInference.rate, rules.inferences), 'model {{route}}'),
      ],
      overrides: style.objectives + style.routes,
      links: log.requests('Log lines of slow requests', log.slow),
    }),
    latencyByInstance: show.slowestInstance('kronos_request_duration_seconds', {
      title+: ', with exemplars',
      description+: ' Dots are requests, each with the request id that its log lines have.',
      log: true,
      queries: [super.queries[0] { exemplar: true }],
      links: log.ofRequest('All log lines of the request'),
    }),
    queueWait: show.quantiles('kronos_queue_wait_seconds', [], { log: true }),
    queueDepth: show.instances('kronos_queue_depth', {
      whole: true,
      queries+: [show.query(q.min([], show.raw('kronos_queue_capacity')), 'capacity')],
      overrides: style.limits(['capacity']),
    }),
    stages: show.quantiles('kronos_model_stage_seconds', ['stage'], { log: true, overrides: style.modelStages }, ['p95']),
    inferenceByInstance: show.slowestInstance('kronos_model_inference_seconds', {
      description+: ' One instance above the others has a slower machine, or a busy neighbour.',
      log: true,
    }),
    processing: show.quantiles('kronos_processing_seconds', ['stage'], { overrides: style.processingStages }, ['p95']),
    firstCandle: show.quantiles('kronos_time_to_first_candle_seconds', [], { log: true }),
    perCandle: show.quantiles('kronos_time_per_candle_seconds', [], { log: true }),
    running: show.instances('kronos_running_series', { whole: true }),
    batch: show.mean('kronos_batch_rows', 'instance'),
    cache: show.instances('kronos_cached_positions', {
      whole: true,
      narrow: true,
      queries+: [show.query(q.min([], show.raw('kronos_cached_positions_limit')), 'limit')],
      overrides: style.limits(['limit']),
    }),
    horizon: show.mean('kronos_prediction_horizon_candles', 'route'),
    forecast: show.perMinute('kronos_forecast_candles_total', 'route', { narrow: true, overrides: style.byRoute }),
    requestSize: show.quantiles('kronos_request_size_bytes', ['route'], { log: true }, ['p95']),
    responseSize: show.quantiles('kronos_response_size_bytes', ['route'], { log: true }, ['p95']),
    corrected: show.timeseries({
      title: 'Corrected candles' + show.window,
      description: 'Share of the forecast candles whose low, high, volume or amount had to be corrected.',
      unit: 'percentunit',
      narrow: true,
      queries: [show.query(show.share(rules.kronos_inconsistent_candles_total, rules.kronos_forecast_candles_total), '{{route}}')],
      overrides: style.byRoute,
    }),
    odd: show.rawTimeseries({
      title: 'Odd input and output (per minute)',
      description: 'Candles of the history that were off by floating-point noise, series refused in batches that ' +
                   'succeeded in part, and forecast candles that fell to 0 or below.',
      unit: 'short',
      narrow: true,
      queries: [
        show.query('60 * ' + q.sum([], show.rawRate(counter.name)), counter.legend)
        for counter in [
          { name: 'kronos_mended_candles_total', legend: 'mended candles' },
          { name: 'kronos_refused_series_total', legend: 'refused series' },
          { name: 'kronos_nonpositive_candles_total', legend: 'candles at or below 0' },
        ]
      ],
    }),
    cancelled: show.perMinute('kronos_cancellations_total', 'cause', {
      narrow: true,
      overrides: style.cancellations + style.happened,
      links: log.requests('Log lines of cancelled requests', 'cancelled != ``', byRoute=false),
    }),
  };

  dashboard.new(config, {
    uid: config.dashboards.inference.uid,
    title: 'Kronos / Inference',
    description: 'Why is Kronos slow? Where the time of a request goes. The instance filter applies to panels by ' +
                 'instance and to means, the route filter to whatever has a route.',
    variables: variables,
    source: rules.kronos_requests_total,
    inputs: log.requestVariable,
    panels: panels,
    rows: dashboard.rows(9, [
      ['requestRate', 'slow'],
      ['latencyByInstance', 'inferenceByInstance'],
      ['queueWait', 'queueDepth'],
      ['firstCandle', 'perCandle'],
      ['stages', 'processing'],
      ['running', 'batch', 'cache'],
      ['horizon', 'forecast'],
      ['requestSize', 'responseSize', 'odd'],
      ['corrected', 'cancelled'],
    ]),
  })
