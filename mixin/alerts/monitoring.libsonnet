// Can the monitoring itself be trusted?
local contract = import '../lib/contract.libsonnet';
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules)
  local q = query(config);
  local at = text(config);

  {
    KronosMetricsMissing: {
      expr: q.raw('up') + ' == 1 unless ' + q.on(['instance']) + ' ' + q.raw('kronos_build_info'),
      summary: 'A Kronos target exposes no Kronos metrics.',
      description: 'Prometheus scrapes ' + at.instance + ', but what answers there is not the Kronos service.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    // Somebody loaded the alerts without the recording rules, or evaluates them elsewhere.
    KronosRulesMissing: {
      expr: q.count([], q.raw('up') + ' == 1') + ' unless ' + q.on([]) + ' ' + q.read(rules.kronos_requests_total),
      summary: 'The Kronos recording rules are not loaded.',
      description: 'Prometheus scrapes ' + at.job + ', but records nothing for it: most Kronos alerts cannot fire.',
      dashboard: 'overview',
      variables: q.targetLabels,
    },

    // Rules would read the label of the target in place of the service's.
    KronosLabelsTaken: {
      expr: q.count(['instance'], std.join(' or ', [q.displaced(label) for label in std.objectFields(contract.withLabel)])),
      summary: 'Labels of the scrape job displace those of Kronos.',
      description: 'The target ' + at.instance + ' has a label with the name of one that the service sets: rules and ' +
                   'dashboards read the wrong one.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    // Buckets can get lost on their way while counters do not: dropped by relabelling, converted to native histograms,
    // or respelt. Then no alert about latency can fire.
    KronosHistogramsMissing: [
      {
        local traffic = { route: std.objectFields(config.objectives.latency.seconds) },
        expr: q.readOver(rules.eligible, config.requests.sparseWindow, traffic) + ' > 0 and ' + q.read(rules.eligible, traffic) +
              ' unless ' + q.read(missing.record),
        summary: 'Kronos has traffic, but no latency.',
        description: 'Requests to ' + at.route + ' are counted, but ' + missing.histogram +
                     ' has no bucket at its objective: alerts about latency cannot fire.',
        dashboard: 'inference',
        variables: q.targetLabels + ['route'],
        labels: { histogram: missing.histogram },
      }
      for missing in [
        { histogram: 'kronos_request_duration_seconds', record: rules.slow.rate },
        { histogram: 'kronos_model_inference_seconds', record: rules.slowInference.rate },
      ]
    ],

    KronosVersionSkew: {
      local kinds(metric, labels) = q.count([], q.count(labels, q.raw(metric))) + ' > 1',
      expr: kinds('kronos_build_info', ['version']) + ' or ' +
            kinds('kronos_model_info', ['model', 'revision', 'tokenizer', 'tokenizer_revision']),
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
