// All alerts, in groups by what they watch. What every alert has in common is added here, once.
local records = import '../rules/records.libsonnet';

{
  local config = $._config.kronos,
  local rules = records(config),

  // Links go to the dashboard that shows the alert, with the alert's own labels chosen as its variables.
  local dashboardURL(alert) =
    local variables = config.aggregationLabels + ['job'] + alert.labels;
    std.strReplace(
      std.strReplace(config.dashboardURL, '{uid}', config.dashboards[alert.dashboard].uid),
      '{query}',
      std.join('&', [
        '{{ with $labels.' + label + ' }}var-' + label + '={{ . | urlquery }}{{ end }}'
        for label in variables
      ])
    ),

  local complete(name, alert) =
    local knobs = config.alerts[name];
    {
      alert: name,
      expr: alert.expr,
      'for': knobs['for'],
      [if knobs.keepFiringFor != '0s' then 'keep_firing_for']: knobs.keepFiringFor,
      labels: { severity: knobs.severity } + config.alertLabels,
      annotations: {
        summary: alert.summary,
        description: alert.description,
        runbook_url: std.strReplace(config.runbookURL, '{alert}', name),
        [if config.dashboards[alert.dashboard].enabled then 'dashboard_url']: dashboardURL(alert),
      } + config.alertAnnotations,
    },

  local group(name, alerts) = {
    name: name,
    interval: config.evaluationInterval,
    rules: [complete(alert, alerts[alert]) for alert in std.objectFields(alerts) if config.alerts[alert].enabled],
  },

  prometheusAlerts+:: {
    groups+: [
      found
      for found in [
        group('kronos-availability-alerts', (import 'availability.libsonnet')(config, rules)),
        group('kronos-request-alerts', (import 'requests.libsonnet')(config, rules)),
        group('kronos-resource-alerts', (import 'resources.libsonnet')(config, rules)),
      ]
      if found.rules != []
    ],
  },
}
