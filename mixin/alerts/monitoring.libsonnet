// Can the monitoring itself be trusted?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules) {
  local q = query(config),
  local at = text(config),

  KronosMetricsMissing: {
    expr: q.raw('up') + ' == 1 unless ' + q.on(['instance']) + ' ' + q.raw('kronos_build_info'),
    summary: 'A Kronos target exposes no Kronos metrics.',
    description: 'Prometheus scrapes ' + at.instance + ', but what answers there is not the Kronos service.',
    dashboard: 'instances',
    variables: q.targetLabels + ['instance'],
  },

  // Somebody loaded the alerts without the recording rules, or evaluates them elsewhere.
  KronosRulesMissing: {
    expr: q.count([], q.raw('up') + ' == 1') + ' unless ' + q.on([]) + ' ' + q.read(rules.kronos_requests_total),
    summary: 'The Kronos recording rules are not loaded.',
    description: 'Prometheus scrapes ' + at.job + ', but records nothing for it: most Kronos alerts cannot fire.',
    dashboard: 'overview',
    variables: q.targetLabels,
  },

  KronosVersionSkew: {
    local kinds(metric, labels) = q.count([], q.count(labels, q.raw(metric))) + ' > 1',
    expr: kinds('kronos_build_info', ['version']) + ' or ' +
          kinds('kronos_model_info', ['model', 'revision', 'tokenizer']),
    summary: 'Kronos instances run different versions.',
    description: '{{ $value }} versions of the service or its model run side by side in ' + at.job +
                 ' for longer than a rollout takes: the same request gets different forecasts.',
    dashboard: 'instances',
    variables: q.targetLabels,
  },

  KronosTrafficDropped: {
    local knobs = config.alerts.KronosTrafficDropped,
    local traffic(offset) =
      q.sum([], 'avg_over_time(' + q.read(rules.eligible) + '[' + knobs.window + ']' + offset + ')'),
    expr: traffic('') + ' < ' + knobs.threshold + ' * (' + traffic(' offset 1w') + ' > ' + knobs.minimum + ')',
    summary: 'Kronos gets far fewer requests than a week ago.',
    description: 'Only {{ $value | humanize }} requests per second reach ' + at.job +
                 ', far fewer than at the same time last week.',
    dashboard: 'overview',
    variables: q.targetLabels,
  },
}
