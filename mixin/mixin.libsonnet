(import 'config.libsonnet') +
(import 'rules/rules.libsonnet') +
(import 'alerts/alerts.libsonnet') +
(import 'dashboards/dashboards.libsonnet') +
(import 'kubernetes.libsonnet') +
(import 'scrape.libsonnet') +
(import 'objectives.libsonnet') +
(import 'alertmanager.libsonnet') +
(import 'lib/strict.libsonnet')
