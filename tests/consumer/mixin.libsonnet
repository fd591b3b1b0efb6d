// What a user of the Kronos mixin writes in a repository of their own.
(import 'kronos-mixin/mixin.libsonnet') + {
  _config+:: {
    kronos+: {
      // What our scrape job is called.
      job: 'forecasts',
      aggregationLabels: ['cluster'],
      alerts+: {
        // A threshold of our own, and one alert that we don't want.
        KronosHighErrorRate+: { threshold: '0.05' },
        KronosHighMemoryUsage+: { enabled: false },
      },
    },
  },

  // A recording rule of our own, and an alert that reads it.
  prometheusRules+:: {
    groups+: [{
      name: 'forecasts-rules',
      rules: [{
        record: 'job:forecasts_orders:rate5m',
        expr: 'sum by (cluster, job) (rate(forecasts_orders_total{job="forecasts"}[5m]))',
      }],
    }],
  },
  prometheusAlerts+:: {
    groups+: [{
      name: 'forecasts-alerts',
      rules: [{
        alert: 'ForecastsNoOrders',
        expr: 'job:forecasts_orders:rate5m == 0',
        'for': '15m',
        labels: { severity: 'warning' },
        annotations: { summary: 'Nobody trades on the forecasts.' },
      }],
    }],
  },

  // A panel of our own, below those of the overview.
  grafanaDashboards+:: {
    'kronos-dashboard.json'+: {
      panels+: [{
        id: 1000,
        title: 'Orders',
        type: 'timeseries',
        gridPos: { x: 0, y: 1000, w: 24, h: 8 },
        datasource: { type: 'prometheus', uid: '${datasource}' },
        targets: [{ refId: 'A', expr: 'job:forecasts_orders:rate5m{job=~"$job"}', legendFormat: '{{job}}' }],
      }],
    },
  },
}
