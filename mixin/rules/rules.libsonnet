// Groups of recording rules. Rules of one group are evaluated in order: what others read stands first.
local records = import 'records.libsonnet';

{
  local config = $._config.kronos,
  local rules = records(config),

  local group(name, rules) = { name: name, interval: config.evaluationInterval, rules: rules },
  local bad(kind) = [kind.rate, kind.ratio, kind.sparseRatio, kind.count],
  local objective(kind) =
    [kind.bad, kind.valid] + [kind.ratios[window] for window in std.objectFields(kind.ratios)] + [kind.budget],

  prometheusRules+:: {
    groups+: [
      group(
        'kronos-requests',
        [rules.requests, rules.eligible] + bad(rules.failed) + bad(rules.timedOut)
      ),
      group('kronos-latency', [rules.durations, rules.timed] + bad(rules.slow)),
      group('kronos-objectives', objective(rules.availability) + objective(rules.latency)),
      group(
        'kronos-model',
        [rules.inference, rules.inferences] + bad(rules.slowInference) +
        [rules.stages, rules.processing, rules.queueWait, rules.queueUtilisation, rules.batch]
      ),
      group('kronos-work', [
        rules.concurrent,
        rules.inputCandles,
        rules.horizon,
        rules.requestSize,
        rules.responseSize,
        rules.forecast,
        rules.inconsistent,
      ]),
      group('kronos-causes', [
        rules.errors,
        rules.timeouts,
        rules.cancellations,
        rules.rejections,
        rules.rateLimited,
      ]),
    ],
  },
}
