// Every recorded series, under the name that alerts and dashboards call it by. What more than one reader aggregates
// is recorded once; a quantile never is, because it can't be aggregated any further.
//
// All are locals and not fields of one object, because the C++ implementation evaluates a field anew each time it is
// read, but a local only once.
local contract = import '../lib/contract.libsonnet';
local query = import '../lib/query.libsonnet';

function(config)
  local q = query(config);
  local knobs = config.requests;
  local rate = 'rate' + config.rateWindow;

  // One kind of bad request: its rate, its share of `whole`, and how many there were within the guard's window. The
  // share exists twice: over the rate window, and over the longer one that bridges the gaps of sparse traffic, made
  // from recorded rates, because raw counters would be read many times over.
  local bad(metric, badRate, whole, badCount) =
    local recorded = q.record(['route'], metric, rate, badRate);
    {
      rate: recorded,
      ratio: q.record(['route'], metric, 'ratio_' + rate, q.ratio(q.read(recorded), q.read(whole))),
      sparseRatio: q.record(
        ['route'],
        metric,
        'ratio_rate' + knobs.sparseWindow,
        q.ratio(q.readOver(recorded, knobs.sparseWindow), q.readOver(whole, knobs.sparseWindow))
      ),
      count: q.record(['route'], metric, 'increase' + knobs.guardWindow, badCount),
    };

  // Requests by how they ended.
  local requests = q.recordRate('kronos_requests_total', ['route', 'status']);
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
  local durations = q.recordBuckets(seconds, ['route', 'status']);

  // Requests whose time counts: admitted, not ended by a fault of the service other than slowness, and not given up
  // by the caller before the objective had passed. One given up AFTER it is a slow one, or a hang in which every
  // caller gives up would look like silence. `buckets` gives the buckets that match: as rates, or as counts.
  local withinObjective(buckets, statuses) = std.join(' or ', [
    assert std.member(contract.values('api_route'), route) :
           'objectives.latency names ' + route + ', which is no route of the service';
    buckets({ route: route, status: statuses, le: contract.bucket(seconds, config.objectives.latency[route]) })
    for route in std.objectFields(config.objectives.latency)
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

  {
    requests: requests,
    eligible: eligible,
    failed: failed,
    timedOut: timedOut,
    durations: durations,
    timed: timed,
    slow: slow,

    // Load and work.
    concurrent: q.record(
      ['route'],
      'kronos_concurrent_requests',
      'sum',
      q.sum(['route'], q.raw('kronos_concurrent_requests'))
    ),
    inference: q.recordBuckets('kronos_model_inference_seconds', ['route']),
    inputCandles: q.recordBuckets('kronos_prediction_input_candles', ['route']),

    // Why requests failed or were turned away.
    errors: q.recordRate('kronos_errors_total', ['route', 'type']),
    timeouts: q.recordRate('kronos_timeouts_total', ['route', 'stage']),
    rejections: q.recordRate('kronos_rejections_total', ['reason']),
    rateLimited: q.recordRate('kronos_rate_limited_total', ['client']),
  }
