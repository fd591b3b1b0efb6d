// An example for Alertmanager: who hears of what, and which alerts say nothing new while another one fires. Take over
// the route below the root and the inhibitions, and put in your own receivers.
//
// An alert that is switched off is left out, and so is an inhibition that would be left without a side.
local query = import 'lib/query.libsonnet';

{
  local config = $._config.kronos,
  local q = query(config),
  local targetLabels = q.targetLabels,

  local enabled(names) = [name for name in names if config.alerts[name].enabled],
  local alertname(names) = 'alertname=~"' + std.join('|', names) + '"',

  // Alerts `sources` mute alerts `targets` of the same installation; `labels` are further ones that must be equal,
  // `source` and `target` further matchers. An alert about all routes never mutes one about a single route, unless there
  // is no service at all: the other routes may be well, or ill in another way.
  local mute(sources, targets, labels=[], source=[], target=[]) =
    if enabled(sources) == [] || enabled(targets) == [] then []
    else [{
      source_matchers: [alertname(enabled(sources))] + source,
      target_matchers: [alertname(enabled(targets))] + target,
      equal: targetLabels + labels,
    }],

  // A budget that burns over a short window burns over the longer ones, too. A ticket never mutes a page.
  local burns = std.sort(config.objectives.burn, function(burn) q.seconds(burn.long)),
  local muteSlower(name, severity) = std.flattenArrays([
    local slower = [
      other.long
      for other in burns[index + 1:]
      if severity(other) != 'critical' || severity(burns[index]) == 'critical'
    ];
    if slower == [] then []
    else mute([name], [name], source=['long="' + burns[index].long + '"'], target=['long=~"' + std.join('|', slower) + '"'])
    for index in std.range(0, std.length(burns) - 1)
  ]),

  // What requests tell. While there is no service to answer them, they tell that, once more.
  local ratios = [
    'KronosErrorBudgetBurn',
    'KronosHighErrorRate',
    'KronosHighLatency',
    'KronosHighTimeoutRate',
    'KronosLatencyBudgetBurn',
    'KronosNothingSucceeds',
    'KronosSlowInference',
    'KronosTrafficDropped',
  ],

  // One for all servers, and so none for a shard.
  alertmanagerConfig:: if config.shard then {} else {
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

    inhibit_rules:
      mute(['KronosServiceDown', 'KronosModelNotReady', 'KronosTargetMissing'], ratios) +
      muteSlower('KronosErrorBudgetBurn', function(burn) burn.severity) +
      muteSlower('KronosLatencyBudgetBurn', function(burn) config.alerts.KronosLatencyBudgetBurn.severity) +
      // The same slow requests, told more precisely.
      mute(['KronosHighTimeoutRate', 'KronosSlowInference'], ['KronosHighLatency'], ['route']) +
      mute(['KronosRestartingEverywhere'], ['KronosRestarting']),

    local receivers = ['elsewhere', 'kronos-page', 'kronos-ticket', 'kronos-info'],
    // Webhooks to nowhere: put your own pager, tracker and chat in their place.
    receivers: [
      { name: name, webhook_configs: [{ url: 'http://127.0.0.1:9/' + name }] }
      for name in receivers
    ],
  },
}
