// How long can this go on? For both objectives: the burn rate, and the error budget that is left.
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
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

  local burn(objective, ratio) = 'max by (job) (' + ratio + ') / (1 - ' + objective.rules.target + ')';

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
        queries: [panel.query(burn(objective, show.now(objective.rules.ratios[b.long])), '{{job}}')],
        steps: style.above(1, std.max(1.01, std.parseJson(b.factor))),
      })
      for b in burns
    } + {
      [name + 'Budget']: show.timeseries({
        title: objective.title + ': error budget left (' + objective.rules.span + ')',
        description: objective.promise + ' Below 0 the objective is missed.',
        unit: 'percentunit',
        queries: [panel.query('min by (job) (' + show.highest(objective.rules.budget) + ')', '{{job}}')],
        // A budget can be overspent.
        min: null,
        reach: 1,
        limits: { 'used up': '0' },
        narrow: true,
      }),
      [name + 'Burn']: show.timeseries({
        title: objective.title + ': burn rate',
        description: 'Speed at which the error budget is spent, over each window of the alerts.',
        unit: 'suffix:×',
        limits: { 'allowed pace': '1' },
        narrow: true,
        queries: [
          panel.query(burn(objective, show.highest(objective.rules.ratios[b.long])), b.long + ' {{job}}')
          for b in burns
        ],
        overrides: style.inOrder([b.long for b in burns]),
      }),
      [name + 'Requests']: show.timeseries({
        title: objective.title + ': ' + objective.bad + ' per minute' + show.window,
        description: 'Requests that break the objective, and all that count for it.',
        unit: 'reqpm',
        queries: [
          panel.query(show.minutely(objective.rules.bad, ['job']), objective.bad + ' {{job}}'),
          panel.query(show.minutely(objective.rules.valid, ['job']), 'all {{job}}'),
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
        dashboard.row(4, [name + 'Burn' + b.long for b in burns]),
        dashboard.row(9, [name + 'Budget', name + 'Burn', name + 'Requests']),
      ]
      for name in std.objectFields(objectives)
    ]),
  })
