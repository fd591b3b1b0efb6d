// The scrape job, as an example that works: replace `static_configs` by your own discovery.
local contract = import 'lib/contract.libsonnet';

{
  local scrape = $._config.kronos.scrape,

  prometheusScrapeConfigs+:: [
    {
      job_name: scrape.job,
      metrics_path: contract.scrape.metrics_path,
      // The service's own labels win over those that discovery gives to a target.
      honor_labels: true,
      scrape_interval: scrape.interval,
      scrape_timeout: scrape.timeout,
      static_configs: [{ targets: scrape.targets }],
    },
  ],
}
