// Behind Ray Serve: what callers see of its proxy, and the service cannot count.
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config)
  local q = query(config);
  local at = text(config);
  local alerts = config.alerts;

  // Ray's series are of a job of their own, and of all its applications. Alerts about them have the job of the service.
  local summed(metric, matchers, offset='') =
    'label_replace(sum by (' + std.join(', ', config.aggregationLabels) + ') (' + metric + '{job="' + config.ray.job +
    '", application="' + config.ray.application + '"' + matchers + '}' + offset + '), "job", "' + config.job + '", "", "")';

  {
    // The proxy counts an error for the first time when it happens: there is no 0 before it, but other requests.
    KronosRayRequestsLost: {
      local knobs = alerts.KronosRayRequestsLost,
      local answered(matchers, offset='') = summed('ray_serve_num_http_requests_total', matchers, offset),
      local before = ' offset ' + knobs.window,
      local failed = answered(', status_code="500"'),
      local own = q.sum([], q.increase(q.raw('kronos_requests_total', { status: 'error' }), knobs.window)),
      expr: failed + ' - (' + answered(', status_code="500"', before) + ' or 0 * ' + answered('', before) + ')' +
            ' - (' + own + ' or 0 * ' + failed + ') > ' + knobs.threshold,
      summary: 'Ray Serve has lost Kronos requests.',
      description: 'About {{ $value | humanize }} requests to ' + at.job + ' got a 500 from the proxy of Ray Serve within ' +
                   knobs.window + ', and none from a replica.',
      dashboard: 'overview',
      variables: q.targetLabels,
    },

    KronosRayQueue: {
      expr: summed('ray_serve_deployment_queued_queries', '') + ' > ' + alerts.KronosRayQueue.threshold,
      summary: 'Kronos requests wait in the proxy of Ray Serve.',
      description: '{{ $value }} requests to ' + at.job + ' wait for a replica, where no time limit of the service ends them.',
      dashboard: 'overview',
      variables: q.targetLabels,
    },
  }
