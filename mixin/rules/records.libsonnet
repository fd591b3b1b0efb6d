// All recorded series: by the name under which alerts and dashboards refer to them, and in groups. If a metric has a
// `rule_group` in metrics.json, its rate is recorded under the metric's name and needs no line here.
// Aggregations with more than one reader are recorded; quantiles never are, because they can't be aggregated further.
//
// Records are locals and items of arrays, not fields of one object: the C++ implementation evaluates a field each time it
// is read, the others only once.
local contract = import '../lib/contract.libsonnet';
local query = import '../lib/query.libsonnet';

local secondsPerDay = 86400;

function(config)
  local q = query(config);
  local knobs = config.requests;
  local objectives = config.objectives;
  local rate = 'rate' + config.rateWindow;
  local sparse = knobs.sparseWindow;
  assert q.seconds(knobs.sparseWindow) > q.seconds(config.rateWindow) : 'requests.sparseWindow must be longer than rateWindow';

  // What a target needs to count: it was up at some time, and service discovery still lists it. So those that are still
  // starting do not look like an outage, nor do the last samples of those that were taken away. The rule reads its own
  // last value, and a longer window of `up` in case this Prometheus was down.
  local here = q.raw('up');
  local seen = q.record(
    ['instance'],
    'kronos_targets',
    'seen',
    q.group(['instance'], here + ' and max_over_time(' + here + '[' + config.targets.memory + ']) == 1') +
    ' or ' + q.group(['instance'], here + ' and ' + q.on(['instance']) + ' ' + q.read(seen))
  );
  local targets = q.record([], 'kronos_targets', 'count', q.count([], here));
  local ready = q.record([], 'kronos_model_ready', 'max', q.max([], q.raw('kronos_model_ready')));

  // Present while requests of a kind still come in. Traffic that has stopped and begun again within the guard window
  // comes and goes, and may pause as long as the sparse window; all other traffic has ended once the rate is 0. A page
  // would otherwise outlive the traffic that it is about.
  local ongoing(labels, metric, whole) = q.record(
    labels,
    metric,
    'ongoing',
    q.read(whole) + ' > 0 or (max_over_time(' + q.read(whole) + '[' + sparse + ']) > 0 and changes(' +
    q.over('(' + q.read(whole) + ' > bool 0)', knobs.guardWindow) + ') >= 3)'
  );

  // One kind of bad request: its rate, its share of `whole`, and the number within the guard window. The share is
  // recorded over the rate window, and over the longer window for sparse traffic, where it is computed from recorded
  // rates: reading the raw counters would cost much more. The number is not among `rules`: see `groups`.
  local bad(metric, badRate, whole, badCount, going) =
    local recorded = q.record(['route'], metric, rate, badRate);
    local ratio = q.record(['route'], metric, 'ratio_' + rate, q.ratio(q.read(recorded), q.read(whole)));
    local sparseRatio = q.record(
      ['route'],
      metric,
      'ratio_rate' + sparse,
      q.ratio(q.readOver(recorded, sparse), q.readOver(whole, sparse))
    );
    local count = q.record(['route'], metric, 'increase' + knobs.guardWindow, badCount);
    {
      rules: [recorded, ratio, sparseRatio],
      rate: recorded,
      ratio: ratio,
      sparseRatio: sparseRatio,
      count: count,
      ongoing: going,
    };

  // Requests by how they ended.
  local requests = q.recordRate('kronos_requests_total');
  local ended(statuses) = q.sum(['route'], q.read(requests, { status: statuses }));
  local endedCount(statuses) =
    q.sum(['route'], q.increase(q.raw('kronos_requests_total', { status: statuses }), knobs.guardWindow));

  // The denominator of ratios: success and failure. Refused and cancelled requests are neither.
  local eligible =
    q.record(['route'], 'kronos_requests_eligible', rate, ended(['success'] + knobs.failedStatuses));
  local eligibleOngoing = ongoing(['route'], 'kronos_requests_eligible', eligible);
  local failed = bad(
    'kronos_requests_failed',
    ended(knobs.failedStatuses),
    eligible,
    endedCount(knobs.failedStatuses),
    eligibleOngoing
  );
  local timedOut =
    bad('kronos_requests_timed_out', ended('timeout'), eligible, endedCount('timeout'), eligibleOngoing);

  // Admitted requests by how long they took.
  local seconds = 'kronos_request_duration_seconds';
  local durations = q.recordRate(seconds);

  // Requests whose duration counts: admitted, not ended by a fault of the service other than slowness, and not
  // cancelled by the caller before the objective. One cancelled AFTER it counts as slow: otherwise a hang in which
  // every caller gives up would not show. `buckets` selects buckets, as rates or as counts.
  local withinObjective(buckets, statuses) = std.join(' or ', [
    assert std.member(contract.values('api_route'), route) :
           'objectives.latency.seconds names ' + route + ', which is not a route of the service';
    buckets({ route: route, status: statuses, le: contract.bucket(seconds, objectives.latency.seconds[route]) })
    for route in std.objectFields(objectives.latency.seconds)
  ]);
  local timedWithout(buckets, statuses) =
    q.sum(['route'], buckets({ status: { not: ['error', 'unavailable'] }, le: '+Inf' })) +
    ' - ' + q.sum(['route'], withinObjective(buckets, statuses));
  local timedRate(matchers) = q.read(durations, matchers);
  local timedCount(matchers) = q.bucketIncrease(seconds, matchers, knobs.guardWindow);
  // Rounding can make the difference of two rates slightly negative.
  local slowOf(buckets) = 'clamp_min(' + timedWithout(buckets, ['cancelled', 'success']) + ', 0)';

  local timed = q.record(['route'], 'kronos_requests_timed', rate, timedWithout(timedRate, 'cancelled'));
  local timedOngoing = ongoing(['route'], 'kronos_requests_timed', timed);
  local slow = bad('kronos_requests_slow', slowOf(timedRate), timed, slowOf(timedCount), timedOngoing);

  // Model time, and the share of requests for which it alone exceeds the objective.
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
  local inferencesOngoing = ongoing(['route'], 'kronos_model_inferences', inferences);
  local slowInference = bad(
    'kronos_model_inferences_slow',
    slowInferences(function(matchers) q.read(inference, matchers)),
    inferences,
    slowInferences(function(matchers) q.bucketIncrease(modelSeconds, matchers, knobs.guardWindow)),
    inferencesOngoing
  );

  // Every window that a burn alert reads. At sparse traffic a short one may be empty: then the sparse window is read.
  local windows = std.set(std.flattenArrays([
    [burn.long, burn.short] +
    (if q.seconds(burn.short) < q.seconds(sparse) then [sparse] else [])
    for burn in objectives.burn
  ]));

  // An objective: the share of requests that must be good, the share that need not (its error budget), the days that the
  // budget is for, rates of bad and of all valid requests, the ratio over every window of a burn alert, and the share of
  // the error budget that is left (1: all; below 0: overspent). What reads samples of a day and more is `slow`.
  local objective(name, badRate, validRate) =
    local target = objectives[name].target;
    local metric = 'kronos_' + name;
    local broken = q.record([], metric + '_bad', rate, badRate);
    local valid = q.record([], metric + '_valid', rate, validRate);
    local going = ongoing([], metric + '_valid', valid);
    local share(window) =
      if window == config.rateWindow then q.ratio(q.read(broken), q.read(valid))
      else q.ratio(q.readOver(broken, window), q.readOver(valid, window));
    local span = if q.seconds(objectives.window) < q.seconds(objectives.retention) then objectives.window else objectives.retention;
    local constant(value) = '0 * ' + q.read(valid) + ' + ' + value;
    local days = q.seconds(span) / secondsPerDay;
    local promise = q.record([], metric + '_objective', 'ratio', constant(target));
    local allowed = q.record([], metric + '_error_budget', 'ratio', '1 - ' + q.read(promise));
    local period = q.record([], metric + '_period', 'days', constant(std.toString(days)));
    local ratios = {
      [window]: q.record([], metric + '_bad', 'ratio_rate' + window, share(window))
      for window in windows
    };
    local budget = q.record([], metric + '_budget_left', 'ratio', '1 - ' + share(span) + ' / ' + q.read(allowed));
    local isSlow(window) = q.seconds(window) >= secondsPerDay;
    {
      rules: [broken, valid, going, promise, allowed, period] +
             [ratios[window] for window in windows if !isSlow(window)],
      slow: [ratios[window] for window in windows if isSlow(window)] + [budget],
      target: target,
      promise: promise,
      allowed: allowed,
      period: period,
      days: days,
      bad: broken,
      valid: valid,
      ongoing: going,
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

  // Rules of one group are evaluated in order: first the rates of metrics, then these. A record comes before those
  // that read it. Groups run side by side, so what reads many scraped samples shares its group only with what reads its
  // result: with thousands of instances, all of a group must fit into its interval.
  local groups = [
    { name: 'kronos-availability', records: [{ seen: seen }, { targets: targets }, { ready: ready }] },
    {
      name: 'kronos-requests',
      records: [
        { eligible: eligible },
        { eligibleOngoing: eligibleOngoing },
        { failed: failed },
        { timedOut: timedOut },
      ],
    },
    { name: 'kronos-requests-count', records: [{ failedCount: failed.count }, { timedOutCount: timedOut.count }] },
    { name: 'kronos-latency', records: [{ timed: timed }, { timedOngoing: timedOngoing }, { slow: slow }] },
    { name: 'kronos-latency-count', records: [{ slowCount: slow.count }] },
    { name: 'kronos-availability-objective', records: [{ availability: availability }] },
    { name: 'kronos-latency-objective', records: [{ latency: latency }] },
    {
      name: 'kronos-model',
      records: [{ inferences: inferences }, { inferencesOngoing: inferencesOngoing }, { slowInference: slowInference }],
    },
    { name: 'kronos-model-count', records: [{ slowInferenceCount: slowInference.count }] },
    { name: 'kronos-stages', records: [] },
    { name: 'kronos-queue', records: [{ queueUtilisation: queueUtilisation }] },
    { name: 'kronos-work', records: [{ concurrent: concurrent }] },
    { name: 'kronos-causes', records: [] },
  ];

  local metrics = std.objectFields(contract.recorded);
  local rates = [q.recordRate(metric) for metric in metrics];
  local plain = { [metrics[index]]: rates[index] for index in std.range(0, std.length(metrics) - 1) };
  local isGroup = { [group.name]: true for group in groups };
  local lost = std.filter(function(metric) !(contract.recorded[metric] in isGroup), metrics);
  assert std.length(lost) == 0 : 'metrics.json names a rule group that is not in records.libsonnet, for ' + std.join(', ', lost);

  // A record is one rule; a kind of bad request and an objective are several.
  local rulesOf(record) = if 'record' in record then record.sources + [record] else record.rules;

  std.foldl(
    function(all, record) all + record,
    std.flattenArrays([group.records for group in groups]),
    plain
  ) + {
    // In order of evaluation.
    groups: [
      {
        name: group.name,
        interval: config.evaluationInterval,
        rules: std.flattenArrays([
          rulesOf(plain[metric])
          for metric in metrics
          if contract.recorded[metric] == group.name
        ]) + std.flattenArrays([
          rulesOf(named[name])
          for named in group.records
          for name in std.objectFields(named)
        ]),
      }
      for group in groups
    ] + [{
      name: 'kronos-budgets',
      interval: config.slowEvaluationInterval,
      rules: availability.slow + latency.slow,
    }],
  }
