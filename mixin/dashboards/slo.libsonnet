// How long can this go on? For both objectives: the burn rate, and the error budget that is left.
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local q = query(config);
  local show = shown(config, rules, []);
  local burns = config.objectives.burn;

  local objectives = {
    availability: {
      rules: rules.availability,
      title: 'Availability',
      bad: 'failed requests',
      promise: rules.availability.target + ' of all requests should not fail.',
    },
    latency: {
      rules: rules.latency,
      title: 'Latency',
      bad: 'slow requests',
      promise: rules.latency.target + ' of all requests should be answered within the objective of their route.',
    },
  };

  local burn(objective, ratio) = ratio + ' / ' + show.now(objective.rules.allowed);
  local slow = { interval: config.slowEvaluationInterval };

  // The panels of one objective. Their names begin with its name.
  local panels(name) =
    local objective = objectives[name];
    {
      [name + 'Burn' + b.long]: panel.stat({
        title: objective.title + ': burn rate over ' + b.long,
        description: 'Speed at which the error budget was spent over ' + b.long + '; at 1 it lasts exactly as long as ' +
                     'it should. An alert fires at ' + b.factor + ', if it holds over ' + b.short + ' as well.',
        unit: 'suffix:×',
        decimals: 2,
        queries: [show.query(burn(objective, show.now(objective.rules.ratios[b.long])))],
        steps: style.above(1, std.max(1.01, std.parseJson(b.factor))),
      })
      for b in burns
    } + {
      local longest = std.sort(burns, function(b) q.seconds(b.long))[std.length(burns) - 1].long,

      [name + 'Lasts']: panel.stat({
        title: objective.title + ': budget lasts',
        description: 'Days until the error budget of ' + objective.rules.span + ' is used up at the pace of the last ' +
                     longest + '; at most ' + objective.rules.span + '.',
        unit: 'suffix: days',
        decimals: 1,
        queries: [show.query(
          'clamp_max(clamp_min(' + show.now(objective.rules.budget) + ', 0) * ' + show.now(objective.rules.period) +
          ' / (' + burn(objective, show.now(objective.rules.ratios[longest])) + '), ' + objective.rules.days + ')'
        )],
        steps: style.plain,
      }),
      [name + 'Budget']: show.timeseries(slow {
        title: objective.title + ': error budget left (' + objective.rules.span + ')',
        description: objective.promise + ' Below 0 the objective is missed.',
        unit: 'percentunit',
        queries: [show.query(show.highest(objective.rules.budget))],
        // A budget can be overspent.
        min: null,
        reach: 1,
        limits: { 'used up': '0' },
        narrow: true,
      }),
      [name + 'Burn']: show.timeseries(slow {
        title: objective.title + ': burn rate',
        description: 'Speed at which the error budget is spent, over each window of the alerts.',
        unit: 'suffix:×',
        limits: { 'allowed pace': '1' },
        narrow: true,
        queries: [
          show.query(burn(objective, show.highest(objective.rules.ratios[b.long])), b.long)
          for b in burns
        ],
        overrides: style.inOrder([b.long for b in burns]),
      }),
      [name + 'Requests']: show.timeseries({
        title: objective.title + ': ' + objective.bad + ' per minute' + show.window,
        description: 'Requests that break the objective, and all that count for it.',
        unit: 'reqpm',
        queries: [
          show.query(show.minutely(objective.rules.bad, []), objective.bad),
          show.query(show.minutely(objective.rules.valid, []), 'all'),
        ],
        narrow: true,
        overrides: style.objectives,
      }),
    };

  dashboard.new(config, {
    uid: config.dashboards.slo.uid,
    title: 'Kronos / Objectives',
    description: 'How long can this go on? Error budgets of Kronos and their burn rates.',
    variables: [],
    source: rules.kronos_requests_total,
    panels: panels('availability') + panels('latency'),
    rows: std.flattenArrays([
      [
        dashboard.row(4, [name + 'Lasts'] + [name + 'Burn' + b.long for b in burns]),
        dashboard.row(9, [name + 'Budget', name + 'Burn', name + 'Requests']),
      ]
      for name in std.objectFields(objectives)
    ]),
  })
