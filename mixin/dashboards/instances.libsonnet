// Which one? Every instance by itself, from raw metrics: nothing here is aggregated away.
local dashboard = import '../lib/dashboard.libsonnet';
local logs = import '../lib/logs.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local shown = import '../lib/shown.libsonnet';
local style = import '../lib/style.libsonnet';

function(config, rules)
  local q = query(config);
  local show = shown(config);
  local log = logs(config);

  local each(expr) = [panel.query(expr, '{{instance}}')];
  local empty = 'No instance';

  local memory = q.ratio(show.raw('process_resident_memory_bytes'), show.raw('kronos_memory_limit_bytes'));
  local memoryLimit = std.parseJson(config.alerts.KronosHighMemoryUsage.threshold);

  local stats = [
    panel.stat({
      title: 'Up',
      description: 'Instances that Prometheus can scrape, of all that it knows.',
      unit: 'percentunit',
      queries: [panel.query('avg by (job) (' + show.raw('up') + ')', '{{job}}')],
      steps: style.below(std.parseJson(config.alerts.KronosServiceDown.threshold), 1),
      empty: empty,
    }),
    panel.stat({
      title: 'Ready',
      description: 'Instances with a model that works, of all that can be scraped.',
      unit: 'percentunit',
      queries: [panel.query('avg by (job) (' + show.raw('kronos_model_ready') + ')', '{{job}}')],
      steps: style.below(std.parseJson(config.alerts.KronosServiceDown.threshold), 1),
      empty: empty,
    }),
    panel.stat({
      title: 'Draining',
      description: 'Instances that are on their way out.',
      unit: 'short',
      queries: [panel.query('sum by (job) (' + show.raw('kronos_draining') + ')', '{{job}}')],
      steps: style.plain,
      empty: empty,
    }),
    panel.stat({
      title: 'Fullest memory',
      description: 'Memory of its limit on the instance that has least left.',
      unit: 'percentunit',
      queries: [panel.query('max by (job) (' + memory + ')', '{{job}}')],
      steps: style.above(memoryLimit, 1),
      empty: empty,
    }),
    panel.stat({
      title: 'Version',
      description: 'Versions of the service, with the number of instances that run each.',
      unit: 'prefix:× ',
      mode: 'value_and_name',
      size: 24,
      queries: [panel.query('count by (version) (' + show.raw('kronos_build_info') + ')', '{{version}}')],
      steps: style.plain,
      empty: empty,
    }),
    panel.stat({
      title: 'Model',
      description: 'Models that are loaded, each with the first characters of its revision and the number of instances ' +
                   'that have it.',
      unit: 'prefix:× ',
      mode: 'value_and_name',
      size: 24,
      queries: [
        panel.query('count by (model, revision) (' + show.raw('kronos_model_info') + ')', '{{model}} {{revision}}'),
      ],
      // A revision is a commit of 40 characters.
      names: '^(\\S+ \\S{1,8})\\S*$',
      steps: style.plain,
      empty: 'No model',
    }),
  ];

  local panels = [
    show.rawTimeseries({
      title: 'Ready',
      description: 'Instances with a model that works, one upon the other: a gap is one that has none.',
      unit: 'short',
      axis: 'instances',
      whole: true,
      stack: true,
      queries: each(show.raw('kronos_model_ready')),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Requests being handled',
      description: 'On each instance, all routes together.',
      unit: 'short',
      axis: 'requests',
      whole: true,
      stack: true,
      queries: each(show.sum(['instance'], show.raw('kronos_concurrent_requests'))),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Memory of its limit',
      description: 'Resident memory of the process as a share of what it may use: the limit of its cgroup, else the ' +
                   'memory of the host. Where it has a GPU, also that memory.',
      unit: 'percentunit',
      reach: 1,
      limits: [memoryLimit],
      queries: each(memory) + [
        panel.query(
          q.ratio(show.raw('kronos_device_memory_used_bytes'), show.raw('kronos_device_memory_limit_bytes')),
          'GPU of {{instance}}'
        ),
      ],
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Memory',
      description: 'Resident memory of the process, and that of its GPU where it has one.',
      unit: 'bytes',
      queries: each(show.raw('process_resident_memory_bytes')) +
               [panel.query(show.raw('kronos_device_memory_used_bytes'), 'GPU of {{instance}}')],
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'CPU',
      description: 'Cores that the process keeps busy.',
      unit: 'short',
      axis: 'cores',
      queries: each(show.rawRate('process_cpu_seconds_total')),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Event loop lag',
      description: 'Longest time within the last minute for which the event loop stood still.',
      unit: 's',
      limits: [std.parseJson(config.alerts.KronosEventLoopBlocked.threshold)],
      queries: each(show.raw('kronos_event_loop_lag_seconds')),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Starts in the last hour',
      description: 'How often the process was started again.',
      unit: 'short',
      axis: 'starts',
      whole: true,
      limits: [std.parseJson(config.alerts.KronosRestarting.threshold)],
      queries: each('changes(' + show.raw('process_start_time_seconds') + '[1h])'),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Model load time',
      description: 'Duration of the last successful load, warm-up included.',
      unit: 's',
      queries: each(show.raw('kronos_model_load_seconds')),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Garbage collections',
      description: 'Runs of the Python garbage collector per second.',
      unit: 'ops',
      queries: each(show.sum(['instance'], show.rawRate('python_gc_collections_total'))),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Open files',
      description: 'Open file descriptors, sockets among them, as a share of what the process may open.',
      unit: 'percentunit',
      queries: each(q.ratio(show.raw('process_open_fds'), show.raw('process_max_fds'))),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Failed model loads in the last hour',
      description: 'Attempts to load the model that failed, by instance and reason.',
      unit: 'short',
      axis: 'loads',
      whole: true,
      queries: [panel.query(
        show.sum(
          ['instance', 'outcome'],
          'increase(' + show.raw('kronos_model_loads_total', ['instance'], { outcome: { not: ['success'] } }) + '[1h])'
        ) + ' > 0',
        '{{outcome}} {{instance}}'
      )],
      overrides: style.loadOutcomes,
      empty: 'No failed load',
      links: log.lines('Log lines of failed loads', 'outcome != `` | outcome != `success`'),
    }),
    show.rawTimeseries({
      title: 'Scraped series',
      description: 'Series that each scrape brings. It should not grow with traffic.',
      unit: 'short',
      axis: 'series',
      queries: each(show.raw('scrape_samples_scraped')),
      empty: empty,
    }),
  ];

  dashboard.new(config, {
    uid: config.dashboards.instances.uid,
    title: 'Kronos / Instances',
    description: 'Which instance of Kronos is it? Memory, CPU, event loop, restarts and versions of each.',
    variables: ['instance'],
    source: rules.kronos_requests_total,
    rows: [dashboard.row(4, stats, [3, 3, 3, 3, 4, 8])] + dashboard.pairs(8, panels),
  })
