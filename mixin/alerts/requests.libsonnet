// Do requests end as they should, in time, and who is turned away?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules) {
  local q = query(config),
  local at = text(config),
  local alerts = config.alerts,

  // A share above its threshold, of a kind of bad request that is no single odd one.
  local guarded(kind, threshold) =
    '(' + q.read(kind.ratio) + ' or ' + q.read(kind.sparseRatio) + ') > ' + threshold +
    ' and ' + q.read(kind.count) + ' >= ' + config.requests.guardCount,

  KronosHighErrorRate: {
    expr: guarded(rules.failed, alerts.KronosHighErrorRate.threshold),
    summary: 'Kronos fails too many requests.',
    description: '{{ $value | humanizePercentage }} of the requests to ' + at.route + ' fail (' +
                 std.join(', ', config.requests.failedStatuses) + ').',
    dashboard: 'overview',
    variables: q.targetLabels + ['route'],
  },

  KronosHighLatency: {
    expr: guarded(rules.slow, alerts.KronosHighLatency.threshold),
    summary: 'Kronos answers too many requests too slowly.',
    description: '{{ $value | humanizePercentage }} of the requests to ' + at.route +
                 ' take longer than the objective of that route.',
    dashboard: 'inference',
    variables: q.targetLabels + ['route'],
  },

  KronosHighTimeoutRate: {
    expr: guarded(rules.timedOut, alerts.KronosHighTimeoutRate.threshold),
    summary: 'Kronos stops too many requests at its time limit.',
    description: '{{ $value | humanizePercentage }} of the requests to ' + at.route +
                 ' end at the time limit of the service.',
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
    summary: 'Kronos turns a client away again and again.',
    description: 'Client {{ $labels.client }} of ' + at.job +
                 ' is over its rate limit {{ $value | humanize }} times a second.',
    dashboard: 'overview',
    variables: q.targetLabels,
  },
}
