// How long can this go on? Both objectives: how fast their error budgets are being spent, and what is left of them.
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
      promise: rules.availability.target + ' of all requests shall not be failed by the service.',
    },
    latency: {
      rules: rules.latency,
      title: 'Latency',
      bad: 'slow requests',
      promise: rules.latency.target + ' of all requests shall be answered within the objective of their route.',
    },
  };

  local burn(objective, ratio) = 'max by (job) (' + ratio + ') / (1 - ' + objective.rules.target + ')';

  // Every panel of one objective, under names that begin with its own.
  local panels(name) =
    local objective = objectives[name];
    {
      [name + 'Burn' + b.long]: panel.stat({
        title: objective.title + ': burn rate over ' + b.long,
        description: 'How many times faster than allowed the budget was spent over ' + b.long + '. An alert fires at ' +
                     b.factor + ', if it holds over ' + b.short + ' as well.',
        unit: 'suffix:×',
        decimals: 2,
        queries: [panel.query(burn(objective, show.now(objective.rules.ratios[b.long])), '{{job}}')],
        steps: style.above(1, std.max(1.01, std.parseJson(b.factor))),
      })
      for b in burns
    } + {
      [name + 'Budget']: show.timeseries({
        title: objective.title + ': error budget left (' + objective.rules.span + ')',
        description: objective.promise + ' Below 0 it was broken over ' + objective.rules.span + '.',
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
        description: 'How many times faster than allowed the budget is being spent, over each window of the alerts.',
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
        description: 'Requests that break the objective, beside all that count for it.',
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
    description: 'How long can this go on? The error budgets of Kronos, and how fast they are being spent.',
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
