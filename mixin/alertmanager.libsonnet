// An example for Alertmanager: who hears of what, and which alerts say nothing new while another one fires. Take over
// the route below the root and the inhibitions, and put in your own receivers.
//
// An alert that is switched off is left out, and so is an inhibition that would be left without a side.
local query = import 'lib/query.libsonnet';

{
  local config = $._config.kronos,
  local targetLabels = query(config).targetLabels,

  local enabled(names) = [name for name in names if config.alerts[name].enabled],
  local alertname(names) = 'alertname=~"' + std.join('|', names) + '"',

  // Objectives need not have both, burns that page and burns that don't.
  local burns = std.set([if burn.severity == 'critical' then 'page' else 'ticket' for burn in config.objectives.burn]),

  // Alerts `sources` mute alerts `targets` of the same installation; of the same `labels` if others are given.
  // `source` and `target` are further matchers.
  local mute(sources, targets, labels=targetLabels, source=[], target=[]) =
    if enabled(sources) == [] || enabled(targets) == [] then []
    else [{
      source_matchers: [alertname(enabled(sources))] + source,
      target_matchers: [alertname(enabled(targets))] + target,
      equal: labels,
    }],

  // What requests tell. While there is no service to answer them, they tell that, once more.
  local ratios = [
    'KronosErrorBudgetBurn',
    'KronosHighErrorRate',
    'KronosHighLatency',
    'KronosHighTimeoutRate',
    'KronosLatencyBudgetBurn',
    'KronosSlowInference',
    'KronosTrafficDropped',
  ],

  alertmanagerConfig:: {
    route: {
      receiver: 'elsewhere',
      routes: [{
        matchers: ['alertname=~"Kronos.+"'],
        // One notification for all that is wrong with one installation.
        group_by: targetLabels,
        group_wait: '30s',
        group_interval: '5m',
        repeat_interval: '12h',
        receiver: 'kronos-info',
        routes: [
          // Somebody is called, and called again.
          { matchers: ['severity="critical"'], receiver: 'kronos-page', group_wait: '10s', repeat_interval: '1h' },
          // Somebody has to look on a working day.
          { matchers: ['severity="warning"'], receiver: 'kronos-ticket' },
        ],
      }],
    },

    inhibit_rules: std.flattenArrays(
      [mute(['KronosServiceDown', 'KronosModelNotReady'], ratios)] +
      // This one knows only the labels of the entry that it misses.
      [
        mute(['KronosTargetMissing'], ratios, std.objectFields(target), [
          label + '="' + target[label] + '"'
          for label in std.objectFields(target)
        ])
        for target in config.expectedTargets
      ] +
      [
        // A budget that burns at a rate to wake somebody for: the slower burn, and the errors that make it.
        if burns != ['page', 'ticket'] then [] else mute(
          ['KronosErrorBudgetBurn'],
          ['KronosErrorBudgetBurn'],
          source=['severity="critical"'],
          target=['severity!="critical"']
        ),
        if !std.member(burns, 'page') then []
        else mute(['KronosErrorBudgetBurn'], ['KronosHighErrorRate'], source=['severity="critical"']),
        // The same slow requests, told more precisely.
        mute(['KronosHighTimeoutRate', 'KronosSlowInference'], ['KronosHighLatency'], targetLabels + ['route']),
        mute(['KronosRestartingEverywhere'], ['KronosRestarting']),
      ]
    ),

    local receivers = ['elsewhere', 'kronos-page', 'kronos-ticket', 'kronos-info'],
    // Webhooks to nowhere: put your own pager, tracker and chat in their place.
    receivers: [
      { name: name, webhook_configs: [{ url: 'http://127.0.0.1:9/' + name }] }
      for name in receivers
    ],
  },
}
