// A rule group, in as many parts as it takes: Mimir refuses groups of more than 20 rules. A rule of a later part may read
// what an earlier one records, and is then one evaluation behind.
local most = 20;

function(config, name, interval, rules) [
  {
    name: name + (if part == 0 then '' else '-' + (part + 1)) + ':' + config.job,
    interval: interval,
    rules: [rules[i] for i in std.range(part * most, std.min((part + 1) * most, std.length(rules)) - 1)],
  }
  for part in std.range(0, std.ceil(std.length(rules) / most) - 1)
]
