// Every knob of the mixin. Override them with your own values:
//
//   (import 'kronos-mixin/mixin.libsonnet') + {
//     _config+:: { kronos+: { alerts+: { KronosHighErrorRate+: { threshold: '0.05' } } } },
//   }
//
// Numbers that end up in a rule are strings, because Jsonnet would print 0.005 as 0.0050000000000000001. An unknown
// knob is a compile error.
//
// A value must be of the kind of its default: '5m' is a duration, '0.5' a number, true a boolean. Where that is not
// enough, the comment ends in a note such as [0 to 1]; kronos_mixin/schema.py knows what each means.
{
  _config+:: {
    kronos+: {
      local kronos = self,

      // Name of the scrape job. Other knobs that name a job default to it. [job name]
      job: 'kronos-api',

      // Label matchers on every metric that rules and panels read. Recorded series keep job and aggregationLabels: at
      // least one of these must be matched, and all of them that tell two installations in one Prometheus apart. If only
      // the name of the job differs, set `job` instead. [matchers]
      selector: 'job="' + kronos.job + '"',

      // Labels that tell installations apart. Rules and alerts keep them, dashboards have variables for them. A label
      // that no series has does no harm. [label names]
      aggregationLabels: ['cluster', 'namespace'],

      // Jobs that must exist. KronosTargetMissing watches them by name, even before they had a target; what has had
      // targets and loses all of them, such as a cluster, it notices by itself. [labels]
      expectedTargets: [{ job: kronos.job }],

      // Whether these rules are for a Prometheus that scrapes only a part of the targets, as a shard does. They are then the
      // alerts that look at one instance alone: all else belongs where the series of all shards meet.
      shard: false,

      // How histograms are stored. Prometheus 3.5 and newer can convert the service's classic histograms to native ones
      // with custom buckets (`convert_classic_histograms_to_nhcb`); then their `_bucket` series are gone. `both` is for
      // servers and jobs of either kind, and slower. [classic, native or both]
      histograms: 'classic',

      targets: {
        // A target counts once it has been up, as long as service discovery lists it: new ones may take their time to
        // start. The rules remember who was up; after Prometheus itself was down, they look back this far.
        memory: '1h',
      },

      // Window of the recorded rates, and part of their names. Use at least four scrape intervals, or a failed scrape
      // leaves a gap.
      rateWindow: '5m',

      // How often the rules are evaluated; also the smallest step of the panels that read them.
      evaluationInterval: '30s',

      // The same for rules over a day and more, which read many samples and change slowly. Prometheus forgets a series
      // that gets no sample for five minutes. [at most 4m]
      slowEvaluationInterval: '2m',

      scrape: {
        // Name of the job in the scrape config. [job name]
        job: kronos.job,
        // Where the service listens. With any `discovery`, only used if you change it. [host:port]
        targets: ['127.0.0.1:8000'],
        // How the instances are found instead.
        discovery: {
          // Patterns of files with targets, read again whenever they change. [texts]
          files: [],
          // Addresses that answer with targets. [addresses]
          urls: [],
          // Names with an A record per instance, and the port. [host:port]
          dns: [],
          // Pods with the label `app.kubernetes.io/name` and a port of these names, without those that have finished.
          kubernetes: {
            enabled: false,
            name: 'kronos',
            port: 'http',
            // Only these namespaces; empty: all. [texts]
            namespaces: [],
          },
        },
        // Labels of your own for every target, such as { cluster: 'berlin' }.
        labels: {},
        // Protocol and path of the metrics. [http or https]
        scheme: 'http',
        path: '/v1/metrics',
        // The key that the service wants, in a file that Prometheus can read; empty: none. [may be empty]
        authorization: { type: 'Bearer', credentialsFile: '' },
        // For `https`: files that Prometheus can read, and the name in the service's certificate. [may be empty]
        tls: { caFile: '', certFile: '', keyFile: '', serverName: '' },
        // How often a target is scraped; also the smallest step of the panels that read raw metrics.
        interval: '15s',
        // At most the interval.
        timeout: '10s',
      },

      requests: {
        // Statuses that count as failed: faults of the service, not of the caller. [values of status]
        failedStatuses: ['error', 'overloaded', 'timeout'],
        // If no request ended within the rate window, alerts read ratios over this longer one. Otherwise an outage at
        // one request every five minutes would keep resetting the `for` of its alert. Holds for traffic that pauses and
        // goes on within guardWindow; once steady traffic has ended, its alerts end.
        sparseWindow: '30m',
        // An alert on a ratio also needs this many bad requests within guardWindow, so that a single one never pages.
        // 2.5 means three: `increase` extrapolates, and may be off by a little.
        guardCount: '2.5',
        guardWindow: '1h',
      },

      // The objectives. Targets are shares of requests; the rest, up to 1, is the error budget.
      objectives: {
        // The period that the budget is for, and how long Prometheus keeps its data (15 days unless you changed
        // `--storage.tsdb.retention.time`). The budget is computed over the shorter of the two.
        window: '30d',
        retention: '15d',
        availability: {
          // Share of requests that must not fail. [between 0 and 1]
          target: '0.995',
        },
        latency: {
          // Share of requests that must be answered within `seconds` of their route. [between 0 and 1]
          target: '0.95',
          // Seconds within which a request of each route should succeed; must be a bucket boundary.
          // [buckets of kronos_request_duration_seconds]
          seconds: {
            '/v1/predict/single': '5.0',
            '/v1/predict/batch': '30.0',
          },
        },
        // Dashboards show an error budget as low if less than this share is left: below one half, it would not survive
        // the same again. [0 to 1]
        budgetLow: '0.5',
        // Budget burn alerts. Factor 1 is the rate that uses up the budget in exactly `window`. The burn must exceed
        // `factor` over the long window, so that it matters, and over the short one, so that it is still going on. With
        // 30 days, 14.4 is 2 % of the budget in an hour, 6 is 5 % in six hours, 3 is 10 % in a day, 1 is 10 % in three
        // days.
        burn: [
          { long: '1h', short: '5m', factor: '14.4', 'for': '2m', severity: 'critical' },
          { long: '6h', short: '30m', factor: '6', 'for': '15m', severity: 'critical' },
          { long: '1d', short: '2h', factor: '3', 'for': '1h', severity: 'warning' },
          { long: '3d', short: '6h', factor: '1', 'for': '3h', severity: 'warning' },
        ],
      },

      // One object per alert. `for` is how long the condition must hold, `keepFiringFor` how long the alert keeps firing
      // after it has ended (`0s`: not at all), so that one good evaluation does not resolve it.
      alerts: {
        // Is the service there?
        KronosServiceDown: {
          enabled: true,
          severity: 'critical',
          'for': '1m',
          keepFiringFor: '5m',
          // Share of the job's targets that must be up, averaged over `window`. One target of two does not fall below
          // it, nor does a single one that is back within two minutes or fails every second scrape. [0 to 1]
          threshold: '0.45',
          window: '5m',
        },
        KronosTargetDown: {
          enabled: true,
          severity: 'warning',
          'for': '5m',
          keepFiringFor: '5m',
          // Share of one target's scrapes within `window` that must succeed, while the service as a whole is up. If every
          // second one fails, the target falls below it. [0 to 1]
          threshold: '0.6',
          window: '5m',
          // How long a new target may take until it is up for the first time.
          start: '15m',
        },
        KronosTargetMissing: {
          enabled: true,
          severity: 'critical',
          // Longer than a deployment that replaces every target.
          'for': '10m',
          keepFiringFor: '0s',
          // How long an installation that had targets and has lost all of them is missed, unless it is in
          // expectedTargets, which are missed for ever.
          window: '6h',
        },
        KronosModelNotReady: {
          enabled: true,
          severity: 'critical',
          // Longer than the slowest model load including warm-up: a load alone must never page.
          'for': '10m',
          keepFiringFor: '0s',
        },
        KronosInstanceNotReady: {
          enabled: true,
          severity: 'warning',
          'for': '15m',
          keepFiringFor: '0s',
        },
        KronosModelStuck: {
          enabled: true,
          severity: 'warning',
          'for': '2m',
          keepFiringFor: '0s',
          // Seconds in one call of the model, which takes a second or two at most. Like KRONOS_STUCK_SECONDS.
          threshold: '60',
        },

        // Do requests end as they should, in time?
        KronosHighErrorRate: {
          enabled: true,
          severity: 'critical',
          'for': '5m',
          // A short overload every quarter of an hour is one page, not four an hour.
          keepFiringFor: '8m',
          // Share of failed requests. [0 to 1]
          threshold: '0.01',
        },
        KronosNothingSucceeds: {
          enabled: true,
          severity: 'critical',
          'for': '5m',
          keepFiringFor: '5m',
          // At least this many requests to a route within `window`, failed ones not counted, and none succeeded. 4.5
          // means five: `increase` extrapolates, and may be off by a little.
          minimum: '4.5',
          window: '10m',
          // Only routes that had success within this time: others may never have been in use.
          memory: '1d',
        },
        KronosHighLatency: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Share of requests slower than the route's objective. More than 0.05 slower than 5 s means a p95 above 5 s,
          // but is exact: a quantile is interpolated between buckets. [0 to 1]
          threshold: '0.05',
        },
        KronosHighTimeoutRate: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Share of requests stopped by the service's time limit. [0 to 1]
          threshold: '0.005',
        },
        KronosSlowInference: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Share of requests whose model time alone exceeds the route's latency objective. [0 to 1]
          threshold: '0.05',
          // Fires only while no queue is fuller than this share: otherwise load is the cause, not the model. [0 to 1]
          queue: '0.2',
        },

        // Will the objectives be met? Windows, factors, `for` and severities are in objectives.burn.
        KronosErrorBudgetBurn: { enabled: true, keepFiringFor: '10m' },
        KronosLatencyBudgetBurn: {
          enabled: true,
          keepFiringFor: '10m',
          // Slow forecasts are still forecasts, and nothing to wake someone for.
          severity: 'warning',
        },

        // Does the process have what it needs?
        KronosHighMemoryUsage: {
          enabled: true,
          severity: 'warning',
          // Short: a leak that is killed every half hour is above the threshold for a few minutes only.
          'for': '3m',
          keepFiringFor: '5m',
          // Share of the memory limit. [0 to 1]
          threshold: '0.9',
        },
        KronosHighGpuMemoryUsage: {
          enabled: true,
          severity: 'warning',
          'for': '15m',
          keepFiringFor: '5m',
          // Share of the GPU's memory that the process holds. PyTorch keeps what it once needed. [0 to 1]
          threshold: '0.9',
        },
        KronosQueueSaturated: {
          enabled: true,
          severity: 'warning',
          'for': '5m',
          keepFiringFor: '5m',
          // Share of the queue's capacity, averaged over `window`: queues exist for short bursts. [0 to 1]
          threshold: '0.8',
          window: '5m',
        },
        KronosEventLoopBlocked: {
          enabled: true,
          severity: 'warning',
          'for': '5m',
          keepFiringFor: '5m',
          // Seconds. Not much above it, probes time out and the orchestrator kills a process that is merely busy.
          threshold: '1',
        },
        KronosLogLinesLost: {
          enabled: true,
          severity: 'warning',
          'for': '0s',
          keepFiringFor: '15m',
          // Lines of one instance within `window`. Any gap can hide what somebody looks for.
          threshold: '0',
          window: '15m',
        },
        KronosRestarting: {
          enabled: true,
          severity: 'warning',
          'for': '0s',
          keepFiringFor: '15m',
          // Starts of one instance within `window`. A rollout and its rollback are two. An instance that is killed every
          // half hour, as by a leak, starts four times in two hours.
          threshold: '3',
          window: '2h',
        },
        KronosRestartingEverywhere: {
          enabled: true,
          severity: 'critical',
          'for': '0s',
          keepFiringFor: '15m',
          // Share of a job's instances that start as KronosRestarting.threshold within `window`, which is
          // shorter, because three rollouts in an afternoon are nothing to wake someone for. [0 to 1]
          threshold: '0.5',
          window: '1h',
        },

        // Who is refused?
        KronosExcessiveRateLimiting: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Refused requests per second and client. If one a second is refused for ten minutes, the client does not
          // back off, or its limit is too low.
          threshold: '1',
        },

        // Can this monitoring be trusted?
        KronosMetricsMissing: { enabled: true, severity: 'warning', 'for': '10m', keepFiringFor: '0s' },
        KronosRulesMissing: { enabled: true, severity: 'warning', 'for': '15m', keepFiringFor: '0s' },
        KronosLabelsTaken: { enabled: true, severity: 'warning', 'for': '15m', keepFiringFor: '0s' },
        KronosHistogramsMissing: { enabled: true, severity: 'warning', 'for': '15m', keepFiringFor: '0s' },
        KronosVersionSkew: {
          enabled: true,
          severity: 'info',
          // Longer than a rollout.
          'for': '1h',
          keepFiringFor: '0s',
        },
        // At a centre that receives from several Prometheus servers; in a file of its own.
        KronosClusterSilent: {
          enabled: true,
          severity: 'critical',
          'for': '5m',
          keepFiringFor: '0s',
          // How long a cluster that no longer sends is missed.
          window: '1d',
        },
        KronosTrafficDropped: {
          // Off by default: it needs traffic with a weekly pattern, and a retention of more than a week.
          enabled: false,
          severity: 'info',
          'for': '30m',
          keepFiringFor: '0s',
          // Share of the traffic at the same time last week, averaged over `window`. [0 to 1]
          threshold: '0.2',
          window: '1h',
          // Requests per second last week below which a drop means nothing.
          minimum: '0.1',
        },
        KronosRayRequestsLost: {
          // Off by default: for those behind Ray Serve. See `ray`.
          enabled: false,
          severity: 'warning',
          'for': '0s',
          keepFiringFor: '0s',
          // Requests within `window` that the proxy answered with a 500 of its own.
          threshold: '2.5',
          window: '10m',
        },
        KronosRayQueue: {
          // Off by default: for those behind Ray Serve. See `ray`.
          enabled: false,
          severity: 'warning',
          'for': '5m',
          keepFiringFor: '0s',
          // Requests that wait in all proxies together.
          threshold: '0',
        },
      },

      // For the alerts that begin with KronosRay, which are off by default.
      ray: {
        // Scrape job of the metrics of Ray's nodes. [job name]
        job: 'ray',
        // Name of the application in Ray Serve's configuration.
        application: 'kronos',
      },

      // Labels and annotations of your own for every alert, such as { team: 'quant' }.
      alertLabels: {},
      alertAnnotations: {},
      // Where you publish mixin/runbooks/; {alert} is the name of the alert.
      runbookURL: 'https://runbooks.example.com/kronos/{alert}.md',
      // {uid} is the dashboard's uid, {query} its variables, set to the labels of the alert.
      dashboardURL: 'https://grafana.example.com/d/{uid}?{query}',

      // Links from panels to the log lines behind them, in Grafana's Explore. Needs logs in Loki.
      loki: {
        enabled: false,
        // Uid of the Loki data source.
        datasource: 'loki',
        // Label matchers of the service's log streams. May use dashboard variables, as in cluster=~"${cluster:pipe}".
        // [matchers]
        selector: 'job="' + kronos.job + '"',
      },

      dashboards: {
        // The data source that is chosen at first.
        datasource: 'default',
        // Type of the data source: the id of its plugin, such as victoriametrics-metrics-datasource.
        datasourceType: 'prometheus',
        // Offer only data sources whose name matches; empty: all.
        datasourceRegex: '',
        // Tags of all dashboards. The menu of links lists the dashboards that have them.
        tags: ['kronos'],
        // Folder in Grafana for provisioned dashboards. [may be empty]
        folder: 'Kronos',
        // How often an open dashboard refreshes; empty: never. [may be empty]
        refresh: '30s',
        // Time zone; empty: Grafana's default. [may be empty]
        timezone: 'browser',
        // Start of the time range when a dashboard is opened.
        period: 'now-1h',
        // One object per dashboard. The uid is part of its URL: changing it breaks links from outside.
        overview: { enabled: true, uid: 'kronos-overview' },
        inference: { enabled: true, uid: 'kronos-inference' },
        slo: { enabled: true, uid: 'kronos-slo' },
        instances: { enabled: true, uid: 'kronos-instances' },
      },
    },
  },
}
