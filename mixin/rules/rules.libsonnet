// The recording rules, in their groups.
local group = import '../lib/groups.libsonnet';
local records = import 'records.libsonnet';

{
  local config = $._config.kronos,

  prometheusRules+:: {
    groups+: if config.shard then [] else std.flattenArrays([
      group(config, one.name, one.interval, one.rules)
      for one in records(config).groups
    ]),
  },
}
