// Which one? Every instance by itself, from raw metrics: nothing here is aggregated away.
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';
local query = import '../lib/query.libsonnet';
local shown = import '../lib/shown.libsonnet';

function(config, rules)
  local q = query(config);
  local show = shown(config);

  local each(expr) = [panel.query(expr, '{{instance}}')];
  local empty = 'No instance';

  local stats = [
    panel.stat({
      title: 'Up',
      description: 'Instances that Prometheus can scrape, of all that it knows.',
      unit: 'percentunit',
      queries: [panel.query('avg by (job) (' + show.raw('up') + ')', '{{job}}')],
      steps: [{ value: null, color: 'red' }, { value: 0.5, color: 'orange' }, { value: 1, color: 'green' }],
      empty: empty,
    }),
    panel.stat({
      title: 'Draining',
      description: 'Instances that are on their way out.',
      unit: 'short',
      queries: [panel.query('sum by (job) (' + show.raw('kronos_draining') + ')', '{{job}}')],
      steps: [{ value: null, color: 'green' }],
      empty: empty,
    }),
    panel.stat({
      title: 'Version',
      description: 'Versions of the service, with the number of instances that run each.',
      unit: 'short',
      mode: 'value_and_name',
      queries: [panel.query('count by (version) (' + show.raw('kronos_build_info') + ')', '{{version}}')],
      steps: [{ value: null, color: 'blue' }],
      empty: empty,
    }),
    panel.stat({
      title: 'Model',
      description: 'Models that are loaded, with the number of instances that have each.',
      unit: 'short',
      mode: 'value_and_name',
      queries: [
        panel.query('count by (model, revision) (' + show.raw('kronos_model_info') + ')', '{{model}} {{revision}}'),
      ],
      steps: [{ value: null, color: 'blue' }],
      empty: 'No model',
    }),
  ];

  local panels = [
    show.rawTimeseries({
      title: 'Ready',
      description: '1 while the instance has a model that works.',
      unit: 'short',
      axis: 'ready',
      queries: each(show.raw('kronos_model_ready')),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Requests being handled',
      description: 'On each instance, all routes together.',
      unit: 'short',
      axis: 'requests',
      queries: each(show.sum(['instance'], show.raw('kronos_concurrent_requests'))),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Memory of its limit',
      description: 'Resident memory of the process as a share of what it may use: the limit of its cgroup, else the ' +
                   'memory of the host.',
      unit: 'percentunit',
      limits: [std.parseJson(config.alerts.KronosHighMemoryUsage.threshold)],
      queries: each(q.ratio(show.raw('process_resident_memory_bytes'), show.raw('kronos_memory_limit_bytes'))),
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
      queries: each(show.raw('kronos_event_loop_lag_seconds')),
      empty: empty,
    }),
    show.rawTimeseries({
      title: 'Starts in the last hour',
      description: 'How often the process was started again.',
      unit: 'short',
      axis: 'starts',
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
      queries: [panel.query(
        show.sum(
          ['instance', 'outcome'],
          'increase(' + show.raw('kronos_model_loads_total', ['instance'], { outcome: { not: ['success'] } }) + '[1h])'
        ) + ' > 0',
        '{{outcome}} {{instance}}'
      )],
      empty: 'No failed load',
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
    source: rules.requests,
    rows: [dashboard.row(4, stats)] + dashboard.pairs(8, panels),
  })
