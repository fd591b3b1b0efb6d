// Every recorded series, in its group, under the name that alerts and dashboards call it by. The rate of a metric that
// has a `rule_group` in metrics.json goes by the metric's name and needs no line here; what takes more is told below.
// What more than one reader aggregates is recorded once; a quantile never is: it can't be aggregated any further.
//
// Records are locals and not fields of one object, because the C++ implementation evaluates a field anew each time it
// is read, but a local only once.
local contract = import '../lib/contract.libsonnet';
local query = import '../lib/query.libsonnet';

function(config)
  local q = query(config);
  local knobs = config.requests;
  local objectives = config.objectives;
  local rate = 'rate' + config.rateWindow;
  assert q.seconds(knobs.sparseWindow) > q.seconds(config.rateWindow) : 'requests.sparseWindow must be longer than rateWindow';

  // One kind of bad request: its rate, its share of `whole`, and how many there were within the guard's window. The
  // share exists twice: over the rate window, and over the longer one that bridges the gaps of sparse traffic, made
  // from recorded rates, because raw counters would be read many times over.
  local bad(metric, badRate, whole, badCount) =
    local recorded = q.record(['route'], metric, rate, badRate);
    local ratio = q.record(['route'], metric, 'ratio_' + rate, q.ratio(q.read(recorded), q.read(whole)));
    local sparseRatio = q.record(
      ['route'],
      metric,
      'ratio_rate' + knobs.sparseWindow,
      q.ratio(q.readOver(recorded, knobs.sparseWindow), q.readOver(whole, knobs.sparseWindow))
    );
    local count = q.record(['route'], metric, 'increase' + knobs.guardWindow, badCount);
    {
      rules: [recorded, ratio, sparseRatio, count],
      rate: recorded,
      ratio: ratio,
      sparseRatio: sparseRatio,
      count: count,
    };

  // Requests by how they ended.
  local requests = q.recordRate('kronos_requests_total');
  local ended(statuses) = q.sum(['route'], q.read(requests, { status: statuses }));
  local endedCount(statuses) =
    q.sum(['route'], q.increase(q.raw('kronos_requests_total', { status: statuses }), knobs.guardWindow));

  // What shares are taken of: success and failure. Refused and cancelled requests are neither.
  local eligible =
    q.record(['route'], 'kronos_requests_eligible', rate, ended(['success'] + knobs.failedStatuses));
  local failed =
    bad('kronos_requests_failed', ended(knobs.failedStatuses), eligible, endedCount(knobs.failedStatuses));
  local timedOut = bad('kronos_requests_timed_out', ended('timeout'), eligible, endedCount('timeout'));

  // Admitted requests by how long they took.
  local seconds = 'kronos_request_duration_seconds';
  local durations = q.recordRate(seconds);

  // Requests whose time counts: admitted, not ended by a fault of the service other than slowness, and not given up
  // by the caller before the objective had passed. One given up AFTER it is a slow one, or a hang in which every
  // caller gives up would look like silence. `buckets` gives the buckets that match: as rates, or as counts.
  local withinObjective(buckets, statuses) = std.join(' or ', [
    assert std.member(contract.values('api_route'), route) :
           'objectives.latency.seconds names ' + route + ', which is no route of the service';
    buckets({ route: route, status: statuses, le: contract.bucket(seconds, objectives.latency.seconds[route]) })
    for route in std.objectFields(objectives.latency.seconds)
  ]);
  local timedWithout(buckets, statuses) =
    q.sum(['route'], buckets({ status: { not: ['error', 'unavailable'] }, le: '+Inf' })) +
    ' - ' + q.sum(['route'], withinObjective(buckets, statuses));
  local timedRate(matchers) = q.read(durations, matchers);
  local timedCount(matchers) = q.increase(q.buckets(seconds, matchers), knobs.guardWindow);
  // The difference of two rates may miss 0 by a rounding error.
  local slowOf(buckets) = 'clamp_min(' + timedWithout(buckets, ['cancelled', 'success']) + ', 0)';

  local timed = q.record(['route'], 'kronos_requests_timed', rate, timedWithout(timedRate, 'cancelled'));
  local slow = bad('kronos_requests_slow', slowOf(timedRate), timed, slowOf(timedCount));

  // The model alone, and its share of requests that are over the objective before queueing is added.
  local modelSeconds = 'kronos_model_inference_seconds';
  local inference = q.recordRate(modelSeconds);
  local slowInferences(buckets) = 'clamp_min(' + q.sum(['route'], buckets({ le: '+Inf' })) + ' - ' + q.sum(
    ['route'],
    std.join(' or ', [
      buckets({ route: route, le: contract.bucket(modelSeconds, objectives.latency.seconds[route]) })
      for route in std.objectFields(objectives.latency.seconds)
    ])
  ) + ', 0)';
  local inferences =
    q.record(['route'], 'kronos_model_inferences', rate, q.sum(['route'], q.read(inference, { le: '+Inf' })));
  local slowInference = bad(
    'kronos_model_inferences_slow',
    slowInferences(function(matchers) q.read(inference, matchers)),
    inferences,
    slowInferences(function(matchers) q.increase(q.buckets(modelSeconds, matchers), knobs.guardWindow))
  );

  // Every window that an alert asks for. Where a short one can be empty at sparse traffic, the sparse window stands
  // in for it.
  local windows = std.set(std.flattenArrays([
    [burn.long, burn.short] +
    (if q.seconds(burn.short) < q.seconds(knobs.sparseWindow) then [knobs.sparseWindow] else [])
    for burn in objectives.burn
  ]));

  // An objective: what broke it and what counted, the share of the former over every window that an alert asks for,
  // and what is left of the error budget (1: all; below 0: overspent).
  local objective(name, badRate, validRate) =
    local target = objectives[name].target;
    local metric = 'kronos_' + name;
    local broken = q.record([], metric + '_bad', rate, badRate);
    local valid = q.record([], metric + '_valid', rate, validRate);
    local share(window) =
      if window == config.rateWindow then q.ratio(q.read(broken), q.read(valid))
      else q.ratio(q.readOver(broken, window), q.readOver(valid, window));
    local span =
      if q.seconds(objectives.window) < q.seconds(objectives.retention) then objectives.window
      else objectives.retention;
    local ratios = {
      [window]: q.record([], metric + '_bad', 'ratio_rate' + window, share(window))
      for window in windows
    };
    local budget = q.record([], metric + '_budget_left', 'ratio', '1 - ' + share(span) + ' / (1 - ' + target + ')');
    {
      rules: [broken, valid] + [ratios[window] for window in windows] + [budget],
      target: target,
      bad: broken,
      valid: valid,
      ratios: ratios,
      budget: budget,
      span: span,
    };
  local availability = objective(
    'availability',
    q.sum([], q.read(requests, { status: knobs.failedStatuses + ['unavailable'] })),
    q.sum([], q.read(requests, { status: ['success', 'unavailable'] + knobs.failedStatuses }))
  );
  local latency = objective('latency', q.sum([], q.read(slow.rate)), q.sum([], q.read(timed)));

  // Load.
  local concurrent = q.record(
    ['route'],
    'kronos_concurrent_requests',
    'sum',
    q.sum(['route'], q.raw('kronos_concurrent_requests'))
  );
  local queueUtilisation = q.record(
    [],
    'kronos_queue_utilisation',
    'max',
    q.max([], q.ratio(q.raw('kronos_queue_depth'), q.raw('kronos_queue_capacity')))
  );

  // Rules of one group are evaluated in order: the rates of metrics come first, then these, and what others read
  // stands before them.
  local groups = [
    ['kronos-requests', [{ eligible: eligible }, { failed: failed }, { timedOut: timedOut }]],
    ['kronos-latency', [{ timed: timed }, { slow: slow }]],
    ['kronos-objectives', [{ availability: availability }, { latency: latency }]],
    [
      'kronos-model',
      [{ inferences: inferences }, { slowInference: slowInference }, { queueUtilisation: queueUtilisation }],
    ],
    ['kronos-work', [{ concurrent: concurrent }]],
    ['kronos-causes', []],
  ];

  local plain = { [metric]: q.recordRate(metric) for metric in std.objectFields(contract.recorded) };
  local rulesOf(named) = std.flattenArrays([
    if std.objectHas(named[name], 'record') then [named[name]] else named[name].rules
    for name in std.objectFields(named)
  ]);
  local unknown = std.setDiff(std.set(std.objectValues(contract.recorded)), std.set([group[0] for group in groups]));
  assert unknown == [] : 'metrics.json names the rule groups ' + std.join(', ', unknown) + ', which are not in records.libsonnet';

  plain + std.foldl(function(all, group) std.foldl(function(sum, named) sum + named, group[1], all), groups, {}) + {
    // In the order in which they are evaluated.
    groups: [
      {
        name: group[0],
        rules: [
          plain[metric]
          for metric in std.objectFields(plain)
          if contract.recorded[metric] == group[0]
        ] + std.flattenArrays([rulesOf(named) for named in group[1]]),
      }
      for group in groups
    ],
  }
