// Is the service there at all?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules) {
  local q = query(config),
  local at = text(config),
  local alerts = config.alerts,

  local upOver(window) = 'avg_over_time(' + q.raw('up') + '[' + window + '])',

  KronosServiceDown: {
    local knobs = alerts.KronosServiceDown,
    expr: q.avg([], upOver(knobs.window)) + ' < ' + knobs.threshold,
    summary: 'Kronos is down.',
    description: 'Prometheus could reach only {{ $value | humanizePercentage }} of the targets of ' + at.job +
                 ' over the last ' + knobs.window + '. Forecasts fail or are missing.',
    dashboard: 'overview',
    variables: q.targetLabels,
  },

  // Only while the service as a whole is up: otherwise KronosServiceDown says it once for all targets.
  KronosTargetDown: {
    local knobs = alerts.KronosTargetDown,
    local service = alerts.KronosServiceDown,
    expr: upOver(knobs.window) + ' < ' + knobs.threshold +
          ' and ' + q.on([]) + ' ' + q.avg([], upOver(service.window)) + ' >= ' + service.threshold,
    summary: 'An instance of Kronos is down.',
    description: 'Prometheus cannot reach ' + at.instance + '. The others carry its load.',
    dashboard: 'instances',
    variables: q.targetLabels + ['instance'],
  },

  // One equality each: `absent` over a regular expression says nothing while one of its jobs exists.
  KronosTargetMissing: {
    local equal(target) = [label + '="' + target[label] + '"' for label in std.objectFields(target)],
    expr: std.join(' or ', [
      'absent(up{' + std.join(', ', equal(target)) + '})'
      for target in config.expectedTargets
    ]),
    summary: 'Kronos has disappeared from service discovery.',
    description: 'Prometheus has no target of job {{ $labels.job }} at all: nothing else here can notice an outage.',
    dashboard: 'overview',
    variables: ['job'],
  },

  KronosModelNotReady: {
    expr: q.max([], q.raw('kronos_model_ready')) + ' == 0',
    summary: 'No instance of Kronos has a model.',
    description: 'Every instance of ' + at.job + ' that answers has no model that works. Every forecast is refused.',
    dashboard: 'instances',
    variables: q.targetLabels,
  },

  KronosInstanceNotReady: {
    expr: q.raw('kronos_model_ready') + ' == 0 and ' + q.raw('kronos_draining') + ' == 0 and ' + q.on([]) + ' ' +
          q.max([], q.raw('kronos_model_ready')) + ' == 1',
    summary: 'An instance of Kronos has no model.',
    description: 'The model of ' + at.instance + ' does not get ready. The others carry its load.',
    dashboard: 'instances',
    variables: q.targetLabels + ['instance'],
  },
}
