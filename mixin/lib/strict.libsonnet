// Refuses unknown knobs, knobs of another type than their default, and a selector of another job than the scraped one:
// mistakes that would otherwise go unnoticed. Only looks at `_config.kronos`, so that mixins can be added up. The tool
// `kronos-mixin` also checks values.
local defaults = (import '../config.libsonnet')._config.kronos;

// Users fill an object that is empty by default with names of their own.
local wrong(known, given, path) = std.flattenArrays([
  if !std.objectHas(known, key) then ['No such knob: ' + path + '.' + key]
  else
    local default = known[key];
    local value = given[key];
    if std.type(default) != std.type(value)
    then [path + '.' + key + ' must be of type ' + std.type(default) + ', like its default']
    else if std.isObject(default) && std.length(default) > 0
    then wrong(default, value, path + '.' + key)
    else []
  for key in std.objectFields(given)
]);

// 'forecasts' of 'job="forecasts"', [] of any other selector.
local jobs(selector) =
  local parts = std.split(selector, '"');
  if std.length(parts) == 3 && parts[0] == 'job=' && parts[2] == '' then [parts[1]] else [];

// `output`, unless `config` is wrong.
local checked(config, output) =
  local found = wrong(defaults, config, '_config.kronos');
  assert found == [] : std.join('; ', found) + '. All knobs are in mixin/config.libsonnet.';

  local expected = [target.job for target in config.expectedTargets if std.objectHas(target, 'job')];
  local missed = [
    job
    for job in [config.scrape.job] + expected
    for selected in jobs(config.selector)
    if job != selected
  ];
  assert missed == [] :
         '_config.kronos.selector is ' + config.selector + ', which never matches job ' + missed[0] +
         ' of scrape.job or expectedTargets. Set _config.kronos.job instead: all three follow it.';
  output;

{
  // Not an assertion of the object: Jsonnet in C++ would evaluate that at each access.
  local strict(output) = if $.kronosStrict then checked($._config.kronos, output) else output,
  prometheusRules:: strict(super.prometheusRules),
  prometheusAlerts:: strict(super.prometheusAlerts),
  prometheusScrapeConfigs:: strict(super.prometheusScrapeConfigs),
  grafanaDashboards:: strict(super.grafanaDashboards),
  prometheusCentralAlerts:: strict(super.prometheusCentralAlerts),
  alertmanagerConfig:: strict(super.alertmanagerConfig),
  kubernetesManifests:: strict(super.kubernetesManifests),
  serviceLevelObjectives:: strict(super.serviceLevelObjectives),

  // The tool checks by itself: it can tell where a knob was set, and suggest another.
  kronosStrict:: true,
  kronosDefaults:: defaults,
}
