// Do requests end as they should, in time, and who is turned away?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules) {
  local q = query(config),
  local at = text(config),
  local alerts = config.alerts,

  // The share of one kind of bad request is above its threshold, and more than a single odd request is behind it.
  local guarded(kind, threshold) =
    '(' + q.read(kind.ratio) + ' or ' + q.read(kind.sparseRatio) + ') > ' + threshold +
    ' and ' + q.read(kind.count) + ' >= ' + config.requests.guardCount,

  KronosHighErrorRate: {
    expr: guarded(rules.failed, alerts.KronosHighErrorRate.threshold),
    summary: 'Too many Kronos requests fail.',
    description: '{{ $value | humanizePercentage }} of the requests to ' + at.route + ' fail (' +
                 std.join(', ', config.requests.failedStatuses) + ').',
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
