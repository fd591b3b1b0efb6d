// Groups of recording rules. Rules of one group are evaluated in order: what others read stands first.
local records = import 'records.libsonnet';

{
  local config = $._config.kronos,
  local rules = records(config),

  local group(name, rules) = { name: name, interval: config.evaluationInterval, rules: rules },
  local bad(kind) = [kind.rate, kind.ratio, kind.sparseRatio, kind.count],

  prometheusRules+:: {
    groups+: [
      group(
        'kronos-requests',
        [rules.requests, rules.eligible] + bad(rules.failed) + bad(rules.timedOut) +
        [rules.errors, rules.timeouts]
      ),
      group('kronos-latency', [rules.durations, rules.timed] + bad(rules.slow)),
      group('kronos-work', [rules.concurrent, rules.inference, rules.inputCandles]),
      group('kronos-callers', [rules.rejections, rules.rateLimited]),
    ],
  },
}
