// Refuses knobs that do not exist: a misspelt override would otherwise be ignored in silence. It looks at
// `_config.kronos` alone, so that mixins can be summed.
local defaults = (import '../config.libsonnet')._config.kronos;

// An empty object among the defaults is one that users fill with names of their own.
local unknown(known, given, path) = std.flattenArrays([
  if !std.objectHas(known, key) then [path + '.' + key]
  else if std.isObject(known[key]) && std.length(known[key]) > 0 && std.isObject(given[key])
  then unknown(known[key], given[key], path + '.' + key)
  else []
  for key in std.objectFields(given)
]);

{
  local found = unknown(defaults, $._config.kronos, '_config.kronos'),
  assert found == [] : 'No such knob: ' + std.join(', ', found) + '. All knobs are in mixin/config.libsonnet.',
}
