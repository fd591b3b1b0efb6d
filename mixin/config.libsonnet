// Every knob of the mixin. Lay your own values over them:
//
//   (import 'kronos-mixin/mixin.libsonnet') + {
//     _config+:: { kronos+: { alerts+: { KronosHighErrorRate+: { threshold: '0.05' } } } },
//   }
//
// Numbers that end up in a rule are strings, so that they appear there as they are written here: Jsonnet prints
// 0.005 as 0.0050000000000000001. A knob that does not exist is a compile error.
//
// A default tells what may replace it: '5m' a duration, '0.5' a number, true a boolean. Where that is not enough, the
// comment ends in a note, such as [0 to 1]; kronos_mixin/schema.py knows what each means.
{
  _config+:: {
    kronos+: {
      local kronos = self,

      // Name of the scrape job. The knobs that name a job follow it, unless you set them yourself. [job name]
      job: 'kronos-api',

      // Label matchers of our series, on every raw metric that rules and panels read. For another name of the job, set
      // `job` instead. [matchers]
      selector: 'job="' + kronos.job + '"',

      // Labels that tell installations apart. Rules keep them, dashboards offer them as variables, alerts carry them.
      // A label that no series has does no harm: it vanishes from the result. [label names]
      aggregationLabels: ['cluster', 'namespace'],

      // Jobs that must exist. KronosTargetMissing watches each by name: once service discovery has lost a job, no series
      // is left that another rule could see. [labels]
      expectedTargets: [{ job: kronos.job }],

      // Window of the recorded rates, and part of their names. At least four scrape intervals, or one lost scrape
      // leaves a hole.
      rateWindow: '5m',

      // How often the rules are evaluated; also the smallest step of the panels that read them.
      evaluationInterval: '30s',

      scrape: {
        // Name of the job in the scrape config. [job name]
        job: kronos.job,
        // Where the service listens. Replace it by your own discovery. [host:port]
        targets: ['127.0.0.1:8000'],
        // How often a target is scraped; also the smallest step of the panels that read raw metrics.
        interval: '15s',
        // Not longer than the interval.
        timeout: '10s',
      },

      requests: {
        // What counts as failed: the service's own faults, not refusals that the caller caused. [values of status]
        failedStatuses: ['error', 'overloaded', 'timeout'],
        // While nothing came in during the rate window, ratios are read over this longer window, or an outage at one
        // request every five minutes would reset the `for` of its alert again and again.
        sparseWindow: '30m',
        // An alert on a ratio needs this many bad requests within guardWindow, so that one odd request never pages.
        // Half a request below the number meant, because `increase` extrapolates.
        guardCount: '2.5',
        guardWindow: '1h',
      },

      // The objectives. Targets are shares of requests; what is missing to 1 is the error budget.
      objectives: {
        // How far back the budget is counted, and how long Prometheus keeps its data (15 days unless you changed
        // `--storage.tsdb.retention.time`). The budget covers the shorter of the two: it can't see any further.
        window: '30d',
        retention: '15d',
        availability: {
          // Share of requests that the service must not fail. [between 0 and 1]
          target: '0.995',
        },
        latency: {
          // Share of requests that must be answered within the seconds of their route. [between 0 and 1]
          target: '0.95',
          // Seconds within which a request of each route should succeed: a bucket boundary, as the service exposes
          // it. [buckets of kronos_request_duration_seconds]
          seconds: {
            '/v1/predict/single': '5.0',
            '/v1/predict/batch': '30.0',
          },
        },
        // With less than this share left, an error budget is shown as low: below a half, it would not survive the same
        // again. [0 to 1]
        budgetLow: '0.5',
        // Budget burn alerts. `factor` times the rate that would use up the budget in exactly `window`; it must hold
        // over the long window, so that it matters, and over the short one, so that it still goes on. With 30 days,
        // 14.4 is 2 % of the budget in an hour, 6 is 5 % in six hours, 3 is 10 % in a day, 1 is 10 % in three days.
        burn: [
          { long: '1h', short: '5m', factor: '14.4', 'for': '2m', severity: 'critical' },
          { long: '6h', short: '30m', factor: '6', 'for': '15m', severity: 'critical' },
          { long: '1d', short: '2h', factor: '3', 'for': '1h', severity: 'warning' },
          { long: '3d', short: '6h', factor: '1', 'for': '3h', severity: 'warning' },
        ],
      },

      // One object per alert. `for` is how long the condition must hold, `keepFiringFor` how long the alert outlives
      // it (`0s`: not at all), so that one good evaluation does not resolve it.
      alerts: {
        // Is it there?
        KronosServiceDown: {
          enabled: true,
          severity: 'critical',
          'for': '1m',
          keepFiringFor: '0s',
          // Share of the job's targets that must be up, averaged over `window`. A restart of one target of two
          // stays above it, as does a single target that is back within two minutes. [0 to 1]
          threshold: '0.5',
          window: '5m',
        },
        KronosTargetDown: {
          enabled: true,
          severity: 'warning',
          'for': '5m',
          keepFiringFor: '0s',
          // Share of scrapes of one target that must succeed within `window`, while the service as a whole is up.
          // [0 to 1]
          threshold: '0.5',
          window: '5m',
        },
        KronosTargetMissing: {
          enabled: true,
          severity: 'critical',
          // Longer than a redeployment that replaces every target.
          'for': '10m',
          keepFiringFor: '0s',
        },
        KronosModelNotReady: {
          enabled: true,
          severity: 'critical',
          // Longer than the slowest model load, from start to warm-up: a load alone must never page.
          'for': '10m',
          keepFiringFor: '0s',
        },
        KronosInstanceNotReady: {
          enabled: true,
          severity: 'warning',
          'for': '15m',
          keepFiringFor: '0s',
        },

        // Do requests end as they should, in time?
        KronosHighErrorRate: {
          enabled: true,
          severity: 'critical',
          'for': '5m',
          keepFiringFor: '5m',
          // Share of failed requests. [0 to 1]
          threshold: '0.01',
        },
        KronosHighLatency: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Share of requests slower than the route's objective. 0.05 of them slower than 5 s is the same as a p95
          // above 5 s, but exact: a quantile is interpolated between buckets. [0 to 1]
          threshold: '0.05',
        },
        KronosHighTimeoutRate: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Share of requests that the service's time limit stopped. [0 to 1]
          threshold: '0.005',
        },
        KronosSlowInference: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Share of requests whose model time alone is over the route's latency objective... [0 to 1]
          threshold: '0.05',
          // ... while no queue is fuller than this: it is the model that is slow, not the load that is high.
          // [0 to 1]
          queue: '0.2',
        },

        // Will the objectives hold? Windows, factors, `for` and severities are objectives.burn.
        KronosErrorBudgetBurn: { enabled: true, keepFiringFor: '5m' },
        KronosLatencyBudgetBurn: {
          enabled: true,
          keepFiringFor: '5m',
          // Slow forecasts are still forecasts: nobody is woken for them.
          severity: 'warning',
        },

        // Does the process have what it needs?
        KronosHighMemoryUsage: {
          enabled: true,
          severity: 'warning',
          'for': '15m',
          keepFiringFor: '5m',
          // Share of the memory limit. [0 to 1]
          threshold: '0.9',
        },
        KronosQueueSaturated: {
          enabled: true,
          severity: 'warning',
          'for': '5m',
          keepFiringFor: '5m',
          // Share of the queue's capacity, averaged over `window`: a burst that drains again is what a queue is for.
          // [0 to 1]
          threshold: '0.8',
          window: '5m',
        },
        KronosEventLoopBlocked: {
          enabled: true,
          severity: 'warning',
          'for': '5m',
          keepFiringFor: '5m',
          // Seconds. Probes time out soon after, and the orchestrator kills a process that only computes.
          threshold: '1',
        },
        KronosRestarting: {
          enabled: true,
          severity: 'warning',
          'for': '0s',
          keepFiringFor: '15m',
          // Starts of one instance within `window`. A rolling restart, and one more that rolls it back, are two.
          threshold: '3',
          window: '1h',
        },
        KronosRestartingEverywhere: {
          enabled: true,
          severity: 'critical',
          'for': '0s',
          keepFiringFor: '15m',
          // Share of a job's instances that start that often. [0 to 1]
          threshold: '0.5',
        },

        // Who is turned away?
        KronosExcessiveRateLimiting: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Refused requests per second and client. One request a second refused for ten minutes is a client that
          // does not back off, or a limit that is too low for it.
          threshold: '1',
        },

        // Can this monitoring be believed?
        KronosMetricsMissing: { enabled: true, severity: 'warning', 'for': '10m', keepFiringFor: '0s' },
        KronosRulesMissing: { enabled: true, severity: 'warning', 'for': '15m', keepFiringFor: '0s' },
        KronosVersionSkew: {
          enabled: true,
          severity: 'info',
          // Longer than a rollout.
          'for': '1h',
          keepFiringFor: '0s',
        },
        KronosTrafficDropped: {
          // Off: it needs traffic with a weekly rhythm, and a retention of more than a week.
          enabled: false,
          severity: 'info',
          'for': '30m',
          keepFiringFor: '0s',
          // Share of the traffic of the same time last week, averaged over `window`. [0 to 1]
          threshold: '0.2',
          window: '1h',
          // Requests per second last week below which a drop says nothing.
          minimum: '0.1',
        },
      },

      // Labels and annotations of your own for every alert, such as { team: 'quant' }.
      alertLabels: {},
      alertAnnotations: {},
      // {alert} is the alert's name. Point it at where you publish mixin/runbooks/.
      runbookURL: 'https://runbooks.example.com/kronos/{alert}.md',
      // {uid} and {query} are the dashboard's uid and the alert's own labels as variables.
      dashboardURL: 'https://grafana.example.com/d/{uid}?{query}',

      // Links from panels to the log lines behind them, in Grafana's Explore, for those who keep logs in Loki.
      loki: {
        enabled: false,
        // Uid of the Loki data source.
        datasource: 'loki',
        // Which streams hold our lines. It may use dashboard variables, such as
        // cluster=~"${cluster:pipe}". [matchers]
        selector: 'job="' + kronos.job + '"',
      },

      dashboards: {
        // The data source that is chosen first, and which ones are offered.
        datasource: 'default',
        // Offers only data sources whose name matches; empty: all.
        datasourceRegex: '',
        // Tags of all dashboards, which also make the list of links between them.
        tags: ['kronos'],
        // Folder in Grafana, for those who provision by it. [may be empty]
        folder: 'Kronos',
        // How often an open dashboard is drawn again; empty: never. [may be empty]
        refresh: '30s',
        // Time zone; empty: that of Grafana. [may be empty]
        timezone: 'browser',
        // How far a dashboard looks back at first.
        period: 'now-1h',
        // One object per dashboard. The uid is part of its address: change it, and links from outside break.
        overview: { enabled: true, uid: 'kronos-overview' },
        inference: { enabled: true, uid: 'kronos-inference' },
        slo: { enabled: true, uid: 'kronos-slo' },
        instances: { enabled: true, uid: 'kronos-instances' },
      },
    },
  },
}
