// Which one? Each instance by itself, from scraped metrics.
local contract = import '../lib/contract.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local logs = import '../lib/logs.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local variables = ['instance'];
  local q = query(config);
  local show = shown(config, rules, variables);
  local log = logs(config);

  local stat(knobs) = panel.stat({ empty: 'No instance' } + knobs);
  local lines(knobs) = show.rawTimeseries({ empty: 'No instance' } + knobs);
  local gauge(metric, knobs={}) = show.instances(metric, { empty: 'No instance' } + knobs);
  local each(expr) = [show.query(expr, '{{instance}}')];

  local stats = {
    up: stat({
      title: 'Up',
      description: 'Share of the instances that Prometheus can scrape.',
      unit: 'percentunit',
      queries: [show.query(q.avg([], show.raw('up')))],
      steps: style.below(std.parseJson(config.alerts.KronosServiceDown.threshold), 1),
    }),
    draining: stat({
      title: 'Draining',
      description: 'Instances that are shutting down.',
      unit: 'none',
      queries: [show.query(q.sum([], show.raw('kronos_draining')))],
      steps: style.plain,
    }),
    version: stat({
      title: 'Version',
      description: 'Versions of the service, and how many instances run each.',
      unit: 'prefix:× ',
      mode: 'value_and_name',
      size: 24,
      queries: [show.query(q.count(['version'], show.raw('kronos_build_info')), '{{version}}')],
      steps: style.plain,
    }),
    model: stat({
      title: 'Model',
      description: 'Loaded models with the start of their revision, and how many instances have each.',
      unit: 'prefix:× ',
      mode: 'value_and_name',
      size: 24,
      queries: [
        show.query(q.count(['model', 'revision'], show.raw('kronos_model_info')), '{{model}} {{revision}}'),
      ],
      // A revision is a commit of 40 characters.
      names: '^(\\S+ \\S{1,8})\\S*( .*)?$',
      steps: style.plain,
      empty: 'No model',
    }),
  };

  local panels = {
    ready: gauge('kronos_model_ready', {
      title: 'Ready instances',
      description: 'Instances whose model is loaded and working, stacked: a gap is one that is not.',
      axis: 'instances',
      whole: true,
      stack: true,
    }),
    call: gauge('kronos_model_call_seconds', {
      narrow: true,
      limits: { 'alert threshold': config.alerts.KronosModelStuck.threshold },
    }),
    concurrent: lines(contract.signal('kronos_concurrent_requests') {
      title+: ' by instance',
      whole: true,
      stack: true,
      queries: each(q.sum(['instance'], show.raw('kronos_concurrent_requests'))),
    }),
    memoryShare: lines({
      title: 'Memory usage',
      description: 'Resident memory of the process as a share of what it may use: the limit of its cgroup, else the ' +
                   'memory of the host. Where it has a GPU, also that memory.',
      unit: 'percentunit',
      reach: 1,
      limits: { 'alert threshold': config.alerts.KronosHighMemoryUsage.threshold },
      queries: [
        show.query(
          q.ratio(show.raw('process_resident_memory_bytes'), show.raw('kronos_memory_limit_bytes')),
          '{{instance}}'
        ),
        show.query(
          q.ratio(show.raw('kronos_device_memory_used_bytes'), show.raw('kronos_device_memory_limit_bytes')),
          'GPU of {{instance}}'
        ),
      ],
    }),
    memory: lines({
      title: 'Memory',
      description: 'Resident memory of the process, and memory of its GPU if it has one.',
      unit: 'bytes',
      queries: each(show.raw('process_resident_memory_bytes')) +
               [show.query(show.raw('kronos_device_memory_used_bytes'), 'GPU of {{instance}}')],
    }),
    cpu: lines({
      title: 'CPU',
      description: 'CPU cores in use.',
      unit: 'none',
      axis: 'cores',
      queries: each(show.rawRate('process_cpu_seconds_total')),
    }),
    loopLag: gauge('kronos_event_loop_lag_seconds', {
      limits: { 'alert threshold': config.alerts.KronosEventLoopBlocked.threshold },
    }),
    starts: lines({
      title: 'Starts in the last hour',
      description: 'Restarts of the process.',
      unit: 'none',
      axis: 'starts',
      whole: true,
      limits: { 'alert threshold': config.alerts.KronosRestarting.threshold },
      queries: each('changes(' + show.raw('process_start_time_seconds') + '[1h])'),
    }),
    loadTime: gauge('kronos_model_load_seconds'),
    garbage: lines({
      title: 'Garbage collections per minute',
      description: 'Runs of the Python garbage collector.',
      unit: 'none',
      axis: 'runs per minute',
      queries: each('60 * ' + q.sum(['instance'], show.rawRate('python_gc_collections_total'))),
    }),
    files: lines({
      title: 'Open files',
      description: 'Open file descriptors, sockets included, as a share of the limit.',
      unit: 'percentunit',
      queries: each(q.ratio(show.raw('process_open_fds'), show.raw('process_max_fds'))),
    }),
    failedLoads: lines({
      title: 'Failed model loads in the last hour',
      description: 'Failed attempts to load the model, by reason and instance.',
      unit: 'none',
      axis: 'loads',
      whole: true,
      queries: [show.query(
        q.sum(
          ['instance', 'outcome'],
          'increase(' + show.raw('kronos_model_loads_total', { outcome: { not: ['success'] } }) + '[1h])'
        ) + ' > 0',
        '{{outcome}} {{instance}}'
      )],
      overrides: style.loadOutcomes,
      empty: 'No failed load',
      links: log.lines('Log lines of failed loads', 'outcome != `` | outcome != `success`'),
    }),
    lostLines: lines(contract.signal('kronos_log_lines_lost_total') {
      title: 'Lost log lines in the last hour',
      unit: 'none',
      axis: 'lines',
      whole: true,
      queries: each('increase(' + show.raw('kronos_log_lines_lost_total') + '[1h])'),
    }),
    series: lines({
      title: 'Scraped series',
      description: 'Samples per scrape. Should not grow with traffic.',
      unit: 'none',
      axis: 'series',
      queries: each(show.raw('scrape_samples_scraped')),
    }),
  };

  dashboard.new(config, {
    uid: config.dashboards.instances.uid,
    title: 'Kronos / Instances',
    description: 'Which instance of Kronos is it? Memory, CPU, event loop, restarts and versions of each.',
    variables: variables,
    source: rules.kronos_requests_total,
    panels: stats + panels,
    rows: [dashboard.row(4, ['up', 'draining', 'version', 'model'], [4, 4, 6, 10])] + dashboard.rows(9, [
      ['ready', 'concurrent'],
      ['memoryShare', 'memory'],
      ['cpu', 'loopLag'],
      ['starts', 'loadTime', 'call'],
      ['garbage', 'files'],
      ['failedLoads', 'lostLines'],
      ['series'],
    ]),
  })
