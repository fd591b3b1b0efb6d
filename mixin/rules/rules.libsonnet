// The recording rules, in their groups.
local records = import 'records.libsonnet';

{
  local config = $._config.kronos,

  prometheusRules+:: {
    groups+: [
      { name: group.name + ':' + config.job, interval: config.evaluationInterval, rules: group.rules }
      for group in records(config).groups
    ],
  },
}
