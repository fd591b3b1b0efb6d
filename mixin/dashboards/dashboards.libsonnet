// The dashboards that are switched on, by file name; none for a shard, for they show all instances.
local records = import '../rules/records.libsonnet';

// Other plugins for the same queries have types of their own.
local typed(type, value) =
  if std.isArray(value) then [typed(type, item) for item in value]
  else if !std.isObject(value) then value
  else if value == { type: 'prometheus', uid: '${datasource}' } then value { type: type }
  else { [key]: typed(type, value[key]) for key in std.objectFields(value) };

{
  local config = $._config.kronos,
  local type = config.dashboards.datasourceType,
  local made(dashboard) = if type == 'prometheus' then dashboard else typed(type, dashboard),
  local rules = records(config),

  grafanaDashboardFolder:: config.dashboards.folder,

  grafanaDashboards+:: if config.shard then {} else {
    [if config.dashboards.overview.enabled then 'kronos-dashboard.json']:
      made((import 'overview.libsonnet')(config, rules)),
    [if config.dashboards.inference.enabled then 'kronos-inference.json']:
      made((import 'inference.libsonnet')(config, rules)),
    [if config.dashboards.slo.enabled then 'kronos-slo.json']:
      made((import 'slo.libsonnet')(config, rules)),
    [if config.dashboards.instances.enabled then 'kronos-instances.json']:
      made((import 'instances.libsonnet')(config, rules)),
  },
}
