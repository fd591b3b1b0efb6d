// Do requests end as they should, in time?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules) {
  local q = query(config),
  local at = text(config),
  local requests = config.requests,

  // A share above its threshold, of a kind of bad request that is no single odd one.
  local guarded(kind, threshold) =
    '(' + q.read(kind.ratio) + ' or ' + q.read(kind.sparseRatio) + ') > ' + threshold +
    ' and ' + q.read(kind.count) + ' >= ' + requests.guardCount,

  KronosHighErrorRate: {
    expr: guarded(rules.failed, config.alerts.KronosHighErrorRate.threshold),
    summary: 'Kronos fails too many requests.',
    description: '{{ $value | humanizePercentage }} of the requests to ' + at.route + ' fail with ' +
                 std.join(', ', requests.failedStatuses) + '.',
    dashboard: 'overview',
    labels: ['route'],
  },

  KronosHighLatency: {
    expr: guarded(rules.slow, config.alerts.KronosHighLatency.threshold),
    summary: 'Kronos answers too many requests too slowly.',
    description: '{{ $value | humanizePercentage }} of the requests to ' + at.route +
                 ' take longer than the objective of that route.',
    dashboard: 'overview',
    labels: ['route'],
  },

  KronosHighTimeoutRate: {
    expr: guarded(rules.timedOut, config.alerts.KronosHighTimeoutRate.threshold),
    summary: 'Kronos stops too many requests at its time limit.',
    description: '{{ $value | humanizePercentage }} of the requests to ' + at.route +
                 ' end at the time limit of the service.',
    dashboard: 'overview',
    labels: ['route'],
  },

  KronosExcessiveRateLimiting: {
    expr: q.read(rules.rateLimited) + ' > ' + config.alerts.KronosExcessiveRateLimiting.threshold,
    summary: 'Kronos turns a client away again and again.',
    description: 'Client {{ $labels.client }} of ' + at.job +
                 ' is over its rate limit {{ $value | humanize }} times a second.',
    dashboard: 'overview',
    labels: [],
  },
}
