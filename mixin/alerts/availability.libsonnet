// Is the service there at all?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules)
  local q = query(config);
  local at = text(config);
  local alerts = config.alerts;

  {
    // Shares of scrapes that succeeded, of the targets that exist; those that were never up count only if no other does.
    local upOver(window) = 'avg_over_time(' + q.raw('up') + '[' + window + ']) and ' + q.raw('up'),
    local seen = q.on(['instance']) + ' ' + q.read(rules.seen),
    local serviceUp(window) =
      '(' + q.avg([], upOver(window) + ' and ' + seen) + ' or ' + q.avg([], upOver(window)) + ')',

    KronosServiceDown: {
      local knobs = alerts.KronosServiceDown,
      expr: serviceUp(knobs.window) + ' < ' + knobs.threshold,
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
      // One that was never up had its time to start.
      local started = q.raw('up') + ' and ' + seen + ' or ' + q.raw('up') + ' offset ' + knobs.start,
      expr: '(' + upOver(knobs.window) + ') < ' + knobs.threshold + ' and (' + started + ')' +
            ' and ' + q.on([]) + ' ' + serviceUp(service.window) + ' >= ' + service.threshold,
      summary: 'A Kronos instance is down.',
      description: 'Prometheus cannot reach ' + at.instance + '. The other instances carry its load.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
    },

    // An installation that had targets and has none; and, from the start, one `absent` per job that must exist: over a
    // regular expression it would stay silent as long as one of the jobs exists.
    KronosTargetMissing: {
      local lost = q.lost(rules.targets, alerts.KronosTargetMissing.window),
      local absent(target) =
        local labels = std.objectFields(target);
        'absent(up{' + std.join(', ', [label + '="' + target[label] + '"' for label in labels]) + '}) unless on (' +
        std.join(', ', labels) + ') (' + lost + ')',
      expr: std.join(' or ', [lost] + [absent(target) for target in config.expectedTargets]),
      summary: 'Kronos has no targets in Prometheus.',
      description: 'Service discovery finds no target for ' + at.job + ', so no other alert can notice an outage.',
      dashboard: 'overview',
      variables: q.targetLabels,
    },

    KronosModelNotReady: {
      expr: q.read(rules.ready) + ' == 0',
      summary: 'No Kronos instance is ready.',
      description: 'No instance of ' + at.job + ' has a working model. Every forecast is refused.',
      dashboard: 'instances',
      variables: q.targetLabels,
    },

    KronosModelStuck: {
      expr: q.raw('kronos_model_call_seconds') + ' > ' + alerts.KronosModelStuck.threshold,
      summary: 'The model of a Kronos instance is stuck.',
      description: 'The model on ' + at.instance + ' has been in one call for {{ $value | humanizeDuration }}. ' +
                   'Only a restart of the instance helps.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    KronosInstanceNotReady: {
      expr: q.raw('kronos_model_ready') + ' == 0 and ' + q.raw('kronos_draining') + ' == 0 and ' + q.on([]) + ' ' +
            q.read(rules.ready) + ' == 1',
      summary: 'A Kronos instance is not ready.',
      description: 'There is no working model on ' + at.instance + '. The other instances carry its load.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
    },
  }
