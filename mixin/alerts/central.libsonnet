// For a centre to which several Prometheus servers send what they record: does each of them still send?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules) {
  local q = query(config),
  local at = text(config),

  // A server that has lost its targets still sends an alert about it. One that sends nothing leaves no series behind.
  KronosClusterSilent: {
    local ownAlert = q.read(q.series('ALERTS', ['alertname']), { alertname: 'KronosTargetMissing' }),
    expr: q.lost(rules.targets, config.alerts.KronosClusterSilent.window) + ' unless ' + q.on([]) + ' ' + ownAlert,
    summary: 'A Prometheus that watches Kronos has stopped sending.',
    description: 'Nothing has come from the server that watches ' + at.job + ': neither its recorded series nor its ' +
                 'alerts. It may still alert by itself.',
    dashboard: 'overview',
    variables: q.targetLabels,
  },
}
