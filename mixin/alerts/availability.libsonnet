// Is the service there at all?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules) {
  local q = query(config),
  local at = text(config),

  KronosServiceDown: {
    local knobs = config.alerts.KronosServiceDown,
    expr: q.avg([], 'avg_over_time(' + q.raw('up') + '[' + knobs.window + '])') + ' < ' + knobs.threshold,
    summary: 'Kronos is down.',
    description: 'Prometheus could reach only {{ $value | humanizePercentage }} of the targets of ' + at.job +
                 ' over the last ' + knobs.window + '. Forecasts fail or are missing.',
    dashboard: 'overview',
    labels: [],
  },
}
