// Refuses knobs that do not exist or have another type than their default, and a selector of another job than the one
// that is scraped: a misspelt override would otherwise be ignored in silence. It looks at `_config.kronos` alone, so
// that mixins can be summed. The tool `kronos-mixin` knows more about values.
local defaults = (import '../config.libsonnet')._config.kronos;

// An empty object among the defaults is one that users fill with names of their own.
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

  // For the tool, which asks for what these assertions can't tell: where a knob was set, and which one was meant.
  kronosStrict:: true,
  kronosDefaults:: defaults,
}
