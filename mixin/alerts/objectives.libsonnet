// Will the objectives be met? Each alert has one rule per pair of windows: the long one says that the burn matters, the
// short one that it still goes on.
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules)
  local q = query(config);
  local at = text(config);
  local objectives = config.objectives;
  local sparse = config.requests.sparseWindow;

  {
    // A model load refuses every request. As long as KronosModelNotReady waits for it, it must not page as a burn either.
    // Loads that add up to more than that within the long window do.
    local loading(burn) =
      local wait = q.seconds(config.alerts.KronosModelNotReady['for']);
      local recently = q.seconds(burn.short) + q.seconds(config.rateWindow);
      ' unless ' + q.on([]) + ' (min_over_time(' + q.read(rules.ready) + '[' + recently + 's]) == 0 and ' +
      'sum_over_time(' + q.over('(' + q.read(rules.ready) + ' == bool 0)', burn.long) + ') * ' +
      q.seconds(config.evaluationInterval) + ' <= ' + wait + ')',

    local burns(objective, what, severity) = [
      assert std.parseJson(burn.factor) * (1 - std.parseJson(objective.target)) < 1 :
             'objectives.burn: ' + burn.factor + ' times the error budget of ' + objective.target +
             ' is more than every request, so that the alert can never fire';
      local threshold = ' > ' + burn.factor + ' * (1 - ' + objective.target + ')';
      // At one request in a few minutes a short window is empty now and then, which would reset `for`.
      local short = if q.seconds(burn.short) < q.seconds(sparse)
      then '(' + q.read(objective.ratios[burn.short]) + ' or ' + q.read(objective.ratios[sparse]) + ')'
      else q.read(objective.ratios[burn.short]);
      // Not avg_over_time times the window: in the first minutes of a fresh service that turns one request into five.
      local count = 'sum_over_time(' + q.over(q.read(objective.bad), burn.long) + ') * ' +
                    q.seconds(config.evaluationInterval);
      // What reacts at once must end at once, when the traffic has ended.
      local prompt = q.seconds(burn.short) <= q.seconds(sparse);
      {
        expr: q.read(objective.ratios[burn.long]) + threshold + ' and ' + short + threshold +
              ' and ' + count + ' >= ' + config.requests.guardCount +
              (if prompt then ' and ' + q.read(objective.ongoing) + loading(burn) else ''),
        summary: 'Kronos is burning its ' + what + ' error budget too fast.',
        description: '{{ $value | humanizePercentage }} of the requests to ' + at.job + ' missed the ' + what +
                     ' objective over the last ' + burn.long + ': at least ' + burn.factor + ' times as many as it allows.',
        dashboard: 'slo',
        variables: q.targetLabels,
        labels: { long: burn.long, short: burn.short },
        'for': burn['for'],
        severity: if severity == null then burn.severity else severity,
      }
      for burn in objectives.burn
    ],

    KronosErrorBudgetBurn: burns(rules.availability, 'availability', null),
    KronosLatencyBudgetBurn: burns(rules.latency, 'latency', config.alerts.KronosLatencyBudgetBurn.severity),
  }
