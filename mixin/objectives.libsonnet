// The objectives, for tools that keep account of objectives themselves: what must be good of what, and how much of it.
local query = import 'lib/query.libsonnet';
local records = import 'rules/records.libsonnet';

{
  local config = $._config.kronos,
  local q = query(config),
  local rules = records(config),

  local objective(what, title, description) = {
    name: 'kronos-' + what,
    title: title,
    description: description,
    target: rules[what].target,
    window: config.objectives.window,
    // Rates, as the burn alerts read them.
    bad: 'sum(' + q.read(rules[what].bad) + ')',
    valid: 'sum(' + q.read(rules[what].valid) + ')',
  },

  serviceLevelObjectives+:: if config.shard then [] else [
    objective('availability', 'Kronos availability', 'Valid requests that did not fail.'),
    objective('latency', 'Kronos latency', 'Timed requests that were answered within the objective of their route.'),
  ],
}
