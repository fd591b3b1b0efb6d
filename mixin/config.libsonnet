// Every knob of the mixin. Lay your own values over them:
//
//   (import 'kronos-mixin/mixin.libsonnet') + {
//     _config+:: { kronos+: { alerts+: { KronosHighErrorRate+: { threshold: '0.05' } } } },
//   }
//
// Numbers that end up in a rule are strings, so that they appear there as they are written here: Jsonnet prints
// 0.005 as 0.0050000000000000001. A knob that does not exist is a compile error.
{
  _config+:: {
    kronos+: {
      // Which series are ours. Everything the rules read from the service itself carries this matcher.
      selector: 'job="kronos-api"',

      // Labels that tell installations apart. Rules keep them, dashboards offer them as variables, alerts carry them.
      // One that no series has does no harm: it vanishes from the result.
      aggregationLabels: ['cluster', 'namespace'],

      // Jobs that must exist. KronosTargetMissing watches each one by name: a job that service discovery has lost
      // has no series left that any other rule could see.
      expectedTargets: [{ job: 'kronos-api' }],

      // Window of the recorded rates, and part of their names. At least four scrape intervals, or one lost scrape
      // leaves a hole.
      rateWindow: '5m',

      // How often the rules are evaluated; also the smallest step of the panels that read them.
      evaluationInterval: '30s',

      scrape: {
        // Name of the scrape job, as `selector` and `expectedTargets` have it.
        job: 'kronos-api',
        // Where the service listens. Replace it by your own discovery.
        targets: ['127.0.0.1:8000'],
        interval: '15s',
        timeout: '10s',
      },

      requests: {
        // What counts as failed: the service's own faults. Refusals that the caller caused do not.
        failedStatuses: ['error', 'overloaded', 'timeout'],
        // While nothing came in during the rate window, ratios are read over this longer window, or an outage at one
        // request every five minutes would reset the `for` of its alert again and again.
        sparseWindow: '30m',
        // An alert on a ratio needs this many bad requests within guardWindow, so that one odd request never pages.
        // It lies half a request below the number meant, because `increase` extrapolates.
        guardCount: '2.5',
        guardWindow: '1h',
      },

      objectives: {
        // Seconds within which a request of each route should succeed: a bucket boundary, as the service exposes it.
        latency: {
          '/v1/predict/single': '5.0',
          '/v1/predict/batch': '30.0',
        },
      },

      // One object per alert. `for` is how long the condition must hold, `keepFiringFor` how long the alert outlives
      // it (`0s`: not at all), so that one good evaluation does not resolve it.
      alerts: {
        KronosServiceDown: {
          enabled: true,
          severity: 'critical',
          'for': '1m',
          keepFiringFor: '0s',
          // Share of the job's targets that must be up, averaged over `window`. A restart of one target of two
          // stays above it, as does a single target that is back within two minutes.
          threshold: '0.5',
          window: '5m',
        },
        KronosHighErrorRate: {
          enabled: true,
          severity: 'critical',
          'for': '5m',
          keepFiringFor: '5m',
          // Share of failed requests.
          threshold: '0.01',
        },
        KronosHighLatency: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Share of requests slower than the route's objective. 0.05 of them slower than 5 s is the same as a p95
          // above 5 s, but exact: a quantile is interpolated between buckets.
          threshold: '0.05',
        },
        KronosHighTimeoutRate: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Share of requests that the service's time limit stopped.
          threshold: '0.005',
        },
        KronosHighMemoryUsage: {
          enabled: true,
          severity: 'warning',
          'for': '15m',
          keepFiringFor: '5m',
          // Share of the memory limit.
          threshold: '0.9',
        },
        KronosExcessiveRateLimiting: {
          enabled: true,
          severity: 'warning',
          'for': '10m',
          keepFiringFor: '5m',
          // Refused requests per second and client. One request a second refused for ten minutes is a client that
          // does not back off, or a limit that is too low for it.
          threshold: '1',
        },
      },

      // Added to every alert.
      alertLabels: {},
      alertAnnotations: {},
      // {alert} is the alert's name. Point it at where you publish mixin/runbooks/.
      runbookURL: 'https://runbooks.example.com/kronos/{alert}.md',
      // {uid} and {query} are the dashboard's uid and the alert's own labels as variables.
      dashboardURL: 'https://grafana.example.com/d/{uid}?{query}',

      dashboards: {
        // The data source that is chosen first, and which ones are offered.
        datasource: 'default',
        datasourceRegex: '',
        tags: ['kronos'],
        folder: 'Kronos',
        refresh: '30s',
        timezone: 'browser',
        period: 'now-1h',
        overview: { enabled: true, uid: 'kronos-overview' },
      },
    },
  },
}
