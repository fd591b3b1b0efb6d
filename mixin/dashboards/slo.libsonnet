// How long can this go on? Both objectives: what is left of their error budgets, and how fast that is being spent.
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local show = shown(config);
  local burns = config.objectives.burn;

  local objectives = [
    {
      rules: rules.availability,
      name: 'Availability',
      bad: 'failed requests',
      promise: rules.availability.target + ' of all requests shall not be failed by the service.',
    },
    {
      rules: rules.latency,
      name: 'Latency',
      bad: 'slow requests',
      promise: rules.latency.target + ' of all requests shall be answered within the objective of their route.',
    },
  ];

  local burn(objective, ratio) = 'max by (job) (' + ratio + ') / (1 - ' + objective.rules.target + ')';

  local stats(objective) = [
    panel.stat(show.left(objective.rules) {
      title: objective.name + ': budget left',
      description: objective.promise + ' What is left of the error budget over ' + objective.rules.span + '.',
    }),
  ] + [
    panel.stat({
      title: objective.name + ': burn over ' + b.long,
      description: 'How many times faster than allowed the budget was spent over ' + b.long + '. An alert fires at ' +
                   b.factor + ', if it holds over ' + b.short + ' as well.',
      unit: 'suffix:×',
      decimals: 2,
      queries: [panel.query(burn(objective, show.now(objective.rules.ratios[b.long], [])), '{{job}}')],
      steps: style.above(1, std.max(1.01, std.parseJson(b.factor))),
    })
    for b in burns
  ];

  local overTime(objective) = [
    show.timeseries({
      title: objective.name + ': budget left',
      description: objective.promise + ' Below 0 the objective is broken.',
      unit: 'percentunit',
      queries: [panel.query('min by (job) (' + show.highest(objective.rules.budget, []) + ')', '{{job}}')],
      // A budget can be overspent.
      min: null,
      reach: 1,
      limits: [0],
      legend: 'list',
    }),
    show.timeseries({
      title: objective.name + ': burn rate',
      description: 'How many times faster than allowed the budget is being spent, over each window of the alerts.',
      unit: 'suffix:×',
      axis: 'allowed pace',
      limits: [1],
      legend: 'list',
      queries: [
        panel.query(burn(objective, show.highest(objective.rules.ratios[b.long], [])), b.long + ' {{job}}')
        for b in burns
      ],
      overrides: style.inOrder([b.long for b in burns]),
    }),
    show.timeseries({
      title: objective.name + ': ' + objective.bad + show.window,
      description: 'Requests per second that break the objective, beside all that count for it.',
      unit: 'reqps',
      queries: [
        panel.query(show.sum(['job'], show.averaged(objective.rules.bad, [])), objective.bad + ' {{job}}'),
        panel.query(show.sum(['job'], show.averaged(objective.rules.valid, [])), 'all {{job}}'),
      ],
      legend: 'list',
      overrides: style.objectives,
    }),
  ];

  dashboard.new(config, {
    uid: config.dashboards.slo.uid,
    title: 'Kronos / Objectives',
    description: 'How long can this go on? The error budgets of Kronos, and how fast they are being spent.',
    variables: [],
    source: rules.kronos_requests_total,
    rows: [dashboard.row(4, stats(objective)) for objective in objectives] +
          [dashboard.row(8, overTime(objective)) for objective in objectives],
  })
