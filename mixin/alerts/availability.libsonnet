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
                 ' over the last ' + knobs.window + '.',
    dashboard: 'overview',
    variables: q.targetLabels,
  },

  // Only while the service as a whole is up: an outage is one KronosServiceDown, not one alert per target.
  KronosTargetDown: {
    local knobs = alerts.KronosTargetDown,
    local service = alerts.KronosServiceDown,
    expr: upOver(knobs.window) + ' < ' + knobs.threshold +
          ' and ' + q.on([]) + ' ' + q.avg([], upOver(service.window)) + ' >= ' + service.threshold,
    summary: 'A Kronos instance is down.',
    description: 'Prometheus cannot reach ' + at.instance + '. The other instances carry its load.',
    dashboard: 'instances',
    variables: q.targetLabels + ['instance'],
  },

  // One `absent` per job: over a regular expression it stays silent as long as one of the jobs exists.
  [if config.expectedTargets != [] then 'KronosTargetMissing']: {
    local equal(target) = [label + '="' + target[label] + '"' for label in std.objectFields(target)],
    expr: std.join(' or ', [
      'absent(up{' + std.join(', ', equal(target)) + '})'
      for target in config.expectedTargets
    ]),
    summary: 'Kronos has no targets in Prometheus.',
    description: 'Service discovery finds no target for job {{ $labels.job }}, so no other alert can notice an outage.',
    dashboard: 'overview',
    variables: ['job'],
  },

  KronosModelNotReady: {
    expr: q.max([], q.raw('kronos_model_ready')) + ' == 0',
    summary: 'No Kronos instance is ready.',
    description: 'No instance of ' + at.job + ' has a working model. Every forecast is refused.',
    dashboard: 'instances',
    variables: q.targetLabels,
  },

  KronosInstanceNotReady: {
    expr: q.raw('kronos_model_ready') + ' == 0 and ' + q.raw('kronos_draining') + ' == 0 and ' + q.on([]) + ' ' +
          q.max([], q.raw('kronos_model_ready')) + ' == 1',
    summary: 'A Kronos instance is not ready.',
    description: 'There is no working model on ' + at.instance + '. The other instances carry its load.',
    dashboard: 'instances',
    variables: q.targetLabels + ['instance'],
  },
}
