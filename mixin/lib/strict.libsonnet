// Refuses unknown knobs, knobs of another type than their default, and a selector of another job than the scraped one:
// mistakes that would otherwise go unnoticed. Only looks at `_config.kronos`, so that mixins can be added up. The tool
// `kronos-mixin` also checks values.
local defaults = (import '../config.libsonnet')._config.kronos;

// Users fill an object that is empty by default with names of their own.
local wrong(known, given, path) = std.flattenArrays([
  if !std.objectHas(known, key) then ['No such knob: ' + path + '.' + key]
  else if std.type(known[key]) != std.type(given[key])
  then [path + '.' + key + ' must be of type ' + std.type(known[key]) + ', like its default']
  else if std.isObject(known[key]) && std.length(known[key]) > 0
  then wrong(known[key], given[key], path + '.' + key)
  else []
  for key in std.objectFields(given)
]);

// 'forecasts' of 'job="forecasts"', [] of any other selector.
local jobs(selector) =
  local parts = std.split(selector, '"');
  if std.length(parts) == 3 && parts[0] == 'job=' && parts[2] == '' then [parts[1]] else [];

{
  local config = $._config.kronos,

  local found = wrong(defaults, config, '_config.kronos'),
  assert !$.kronosStrict || found == [] :
         std.join('; ', found) + '. All knobs are in mixin/config.libsonnet.',

  local expected = [target.job for target in config.expectedTargets if std.objectHas(target, 'job')],
  local missed = [
    job
    for job in [config.scrape.job] + expected
    for selected in jobs(config.selector)
    if job != selected
  ],
  assert !$.kronosStrict || missed == [] :
         '_config.kronos.selector is ' + config.selector + ', which never matches job ' + missed[0] +
         ' of scrape.job or expectedTargets. Set _config.kronos.job instead: all three follow it.',

  // The tool turns these assertions off and checks by itself: it can tell where a knob was set, and suggest another.
  kronosStrict:: true,
  kronosDefaults:: defaults,
}
