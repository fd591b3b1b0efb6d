// Do requests end as they should, in time, and who is turned away?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules)
  local q = query(config);
  local at = text(config);
  local alerts = config.alerts;

  {
    // The share of one kind of bad request is above its threshold, and more than a single odd request is behind it.
    local guarded(kind, threshold) =
      '(' + q.read(kind.ratio) + ' or ' + q.read(kind.sparseRatio) + ') > ' + threshold +
      // The largest of a while, because at one request in 25 minutes the count goes up and down.
      ' and max_over_time(' + q.read(kind.count) + '[' + config.requests.sparseWindow + ']) >= ' +
      config.requests.guardCount + ' and ' + q.read(kind.ongoing),

    KronosHighErrorRate: {
      expr: guarded(rules.failed, alerts.KronosHighErrorRate.threshold),
      summary: 'Too many Kronos requests fail.',
      description: '{{ $value | humanizePercentage }} of the requests to ' + at.route + ' fail (' +
                   std.join(', ', config.requests.failedStatuses) + ').',
      dashboard: 'overview',
      variables: q.targetLabels + ['route'],
    },

    // Whatever the reason: callers who give up early, a key that is refused, a client that sends rubbish. Failed requests
    // are left to KronosHighErrorRate, and a route that never had success to those who set it up.
    KronosNothingSucceeds: {
      local knobs = alerts.KronosNothingSucceeds,
      local ended(matchers) =
        q.sum(['route'], q.increase(q.raw('kronos_requests_total', matchers), knobs.window)),
      expr: ended({ status: { not: config.requests.failedStatuses } }) + ' >= ' + knobs.minimum +
            ' unless ' + ended({ status: 'success' }) + ' > 0 and ' + q.on(['route']) + ' max_over_time(' +
            q.read(rules.kronos_requests_total, { status: 'success' }) + '[' + knobs.memory + ']) > 0',
      summary: 'No Kronos request succeeds any more.',
      description: 'None of the last {{ $value | humanize }} requests to ' + at.route + ' succeeded, over ' + knobs.window +
                   ': they were refused, or their callers gave up.',
      dashboard: 'overview',
      variables: q.targetLabels + ['route'],
    },

    KronosHighLatency: {
      expr: guarded(rules.slow, alerts.KronosHighLatency.threshold),
      summary: 'Too many Kronos requests are slow.',
      description: '{{ $value | humanizePercentage }} of the requests to ' + at.route +
                   ' take longer than the objective of that route.',
      dashboard: 'inference',
      variables: q.targetLabels + ['route'],
    },

    KronosHighTimeoutRate: {
      expr: guarded(rules.timedOut, alerts.KronosHighTimeoutRate.threshold),
      summary: 'Too many Kronos requests time out.',
      description: '{{ $value | humanizePercentage }} of the requests to ' + at.route +
                   ' hit the time limit of the service.',
      dashboard: 'inference',
      variables: q.targetLabels + ['route'],
    },

    KronosSlowInference: {
      local knobs = alerts.KronosSlowInference,
      expr: guarded(rules.slowInference, knobs.threshold) +
            ' and ' + q.on([]) + ' ' + q.read(rules.queueUtilisation) + ' < ' + knobs.queue,
      summary: 'The Kronos model itself is slow.',
      description: 'For {{ $value | humanizePercentage }} of the requests to ' + at.route +
                   ' the model alone takes longer than the objective of that route, while hardly anything is queued.',
      dashboard: 'inference',
      variables: q.targetLabels + ['route'],
    },

    KronosExcessiveRateLimiting: {
      expr: q.read(rules.kronos_rate_limited_total) + ' > ' + alerts.KronosExcessiveRateLimiting.threshold,
      summary: 'A Kronos client keeps exceeding its rate limit.',
      description: 'Client {{ $labels.client }} of ' + at.job +
                   ' is refused {{ $value | humanize }} times per second.',
      dashboard: 'overview',
      variables: q.targetLabels,
    },
  }
