// Does the process have what it needs?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules) {
  local q = query(config),
  local at = text(config),

  KronosHighMemoryUsage: {
    expr: q.ratio(q.raw('process_resident_memory_bytes'), q.raw('kronos_memory_limit_bytes')) +
          ' > ' + config.alerts.KronosHighMemoryUsage.threshold,
    summary: 'Kronos is close to its memory limit.',
    description: 'Instance {{ $labels.instance }} of ' + at.job +
                 ' holds {{ $value | humanizePercentage }} of the memory it may use.',
    dashboard: 'overview',
    labels: [],
  },
}
