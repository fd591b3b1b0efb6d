// The dashboards that are switched on, by file name.
local records = import '../rules/records.libsonnet';

{
  local config = $._config.kronos,
  local rules = records(config),

  grafanaDashboardFolder:: config.dashboards.folder,

  grafanaDashboards+:: {
    [if config.dashboards.overview.enabled then 'kronos-dashboard.json']:
      (import 'overview.libsonnet')(config, rules),
    [if config.dashboards.inference.enabled then 'kronos-inference.json']:
      (import 'inference.libsonnet')(config, rules),
    [if config.dashboards.slo.enabled then 'kronos-slo.json']:
      (import 'slo.libsonnet')(config, rules),
    [if config.dashboards.instances.enabled then 'kronos-instances.json']:
      (import 'instances.libsonnet')(config, rules),
  },
}
