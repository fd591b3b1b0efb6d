// All alerts, in groups by the question they answer. What every alert has in common is added here, once.
local groups = import '../lib/groups.libsonnet';
local text = import '../lib/text.libsonnet';
local records = import '../rules/records.libsonnet';

{
  local config = $._config.kronos,
  local rules = records(config),
  local at = text(config),

  // Links go to the dashboard that shows the alert, with the alert's own labels chosen as its variables. Every alert has
  // a job; a label that it does not have leaves nothing behind.
  local dashboardURL(alert) =
    std.strReplace(
      std.strReplace(config.dashboardURL, '{uid}', config.dashboards[alert.dashboard].uid),
      '{query}',
      'var-job={{ $labels.job | urlquery }}' + std.join('', [
        '{{ with ' + at.valueOf(label) + ' }}&var-' + label + '={{ . | urlquery }}{{ end }}'
        for label in alert.variables
        if label != 'job'
      ])
    ),

  // An alert is { expr, summary, description, dashboard, variables }: `dashboard` shows it, `variables` are those of
  // its labels that choose what is shown there. `labels`, `for` and `severity` are for an alert of several
  // rules, which differ in them. `alone: true` says that it looks at one instance alone, and so is right on a server that
  // has only a part of them.
  local complete(name, alert) =
    local knobs = config.alerts[name] + alert;
    {
      alert: name,
      expr: alert.expr,
      'for': knobs['for'],
      [if knobs.keepFiringFor != '0s' then 'keep_firing_for']: knobs.keepFiringFor,
      labels: { severity: knobs.severity } + (if 'labels' in alert then alert.labels else {}) +
              config.alertLabels,
      annotations: {
        summary: alert.summary,
        description: alert.description,
        runbook_url: std.strReplace(config.runbookURL, '{alert}', name),
        [if config.dashboards[alert.dashboard].enabled then 'dashboard_url']: dashboardURL(alert),
      } + config.alertAnnotations,
    },

  // `alerts` maps names to an alert, or to the list of its rules.
  local group(name, alerts) = groups(config, name, config.evaluationInterval, [
    complete(name, alert)
    for name in std.objectFields(alerts)
    if config.alerts[name].enabled
    for alert in if std.isArray(alerts[name]) then alerts[name] else [alerts[name]]
    if !config.shard || std.get(alert, 'alone', false)
  ]),

  prometheusAlerts+:: {
    groups+:
      group('kronos-availability-alerts', (import 'availability.libsonnet')(config, rules)) +
      group('kronos-request-alerts', (import 'requests.libsonnet')(config, rules)) +
      group('kronos-objective-alerts', (import 'objectives.libsonnet')(config, rules)) +
      group('kronos-resource-alerts', (import 'resources.libsonnet')(config, rules)) +
      group('kronos-monitoring-alerts', (import 'monitoring.libsonnet')(config, rules)) +
      group('kronos-ray-alerts', (import 'ray.libsonnet')(config)),
  },

  // Not for the servers that scrape.
  prometheusCentralAlerts+:: {
    groups+: group('kronos-central-alerts', (import 'central.libsonnet')(config, rules)),
  },
}
