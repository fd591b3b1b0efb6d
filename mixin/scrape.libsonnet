// The scrape job.
local defaults = (import 'config.libsonnet')._config.kronos.scrape;

// Only what is set: `fields` without empty values.
local set(fields) = { [key]: fields[key] for key in std.objectFields(fields) if fields[key] != '' };

{
  local scrape = $._config.kronos.scrape,
  local discovery = scrape.discovery,
  local kubernetes = discovery.kubernetes,
  local tls = set({
    ca_file: scrape.tls.caFile,
    cert_file: scrape.tls.certFile,
    key_file: scrape.tls.keyFile,
    server_name: scrape.tls.serverName,
  }),

  local discovered = {
    [if std.length(discovery.files) > 0 then 'file_sd_configs']: [{ files: discovery.files }],
    [if std.length(discovery.urls) > 0 then 'http_sd_configs']: [
      // Prometheus' default of a minute would miss the first scrapes of a new target.
      { url: url, refresh_interval: scrape.interval }
      for url in discovery.urls
    ],
    [if std.length(discovery.dns) > 0 then 'dns_sd_configs']: [
      { names: [std.join(':', parts[:std.length(parts) - 1])], type: 'A', port: std.parseInt(parts[std.length(parts) - 1]) }
      for parts in [std.split(name, ':') for name in discovery.dns]
    ],
    [if kubernetes.enabled then 'kubernetes_sd_configs']: [
      { role: 'pod' } +
      if std.length(kubernetes.namespaces) > 0 then { namespaces: { names: kubernetes.namespaces } } else {},
    ],
  },

  local pods = [
    {
      source_labels: [
        '__meta_kubernetes_pod_label_app_kubernetes_io_name',
        '__meta_kubernetes_pod_container_port_name',
      ],
      regex: kubernetes.name + ';' + kubernetes.port,
      action: 'keep',
    },
    { source_labels: ['__meta_kubernetes_pod_phase'], regex: 'Succeeded|Failed', action: 'drop' },
    { source_labels: ['__meta_kubernetes_namespace'], target_label: 'namespace' },
    { source_labels: ['__meta_kubernetes_pod_name'], target_label: 'pod' },
  ],

  local relabellings =
    (if kubernetes.enabled then pods else []) +
    [{ target_label: label, replacement: scrape.labels[label] } for label in std.objectFields(scrape.labels)],

  local static = { targets: scrape.targets } + if scrape.labels == {} then {} else { labels: scrape.labels },

  prometheusScrapeConfigs+:: [
    { job_name: scrape.job } +
    (if scrape.scheme == 'http' then {} else { scheme: scrape.scheme }) +
    {
      metrics_path: scrape.path,
      // The service's own labels win over those that discovery gives to a target.
      honor_labels: true,
      scrape_interval: scrape.interval,
      scrape_timeout: scrape.timeout,
      [if scrape.authorization.credentialsFile != '' then 'authorization']: {
        type: scrape.authorization.type,
        credentials_file: scrape.authorization.credentialsFile,
      },
      [if tls != {} then 'tls_config']: tls,
    } +
    discovered +
    {
      [if discovered == {} || scrape.targets != defaults.targets then 'static_configs']: [static],
      [if discovered != {} && std.length(relabellings) > 0 then 'relabel_configs']: relabellings,
    },
  ],
}
