// Does the process have what it needs?
local query = import '../lib/query.libsonnet';
local text = import '../lib/text.libsonnet';

function(config, rules)
  local q = query(config);
  local at = text(config);
  local alerts = config.alerts;

  {
    KronosHighMemoryUsage: {
      expr: q.ratio(q.raw('process_resident_memory_bytes'), q.raw('kronos_memory_limit_bytes')) +
            ' > ' + alerts.KronosHighMemoryUsage.threshold,
      summary: 'Kronos is close to its memory limit.',
      description: 'The process of ' + at.instance + ' uses {{ $value | humanizePercentage }} of its memory limit.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    KronosHighGpuMemoryUsage: {
      expr: q.ratio(q.raw('kronos_device_memory_used_bytes'), q.raw('kronos_device_memory_limit_bytes')) +
            ' > ' + alerts.KronosHighGpuMemoryUsage.threshold,
      summary: 'Kronos has almost all of the GPU memory.',
      description: 'The process of ' + at.instance + ' holds {{ $value | humanizePercentage }} of the memory of its GPU.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    KronosQueueSaturated: {
      local knobs = alerts.KronosQueueSaturated,
      expr: q.ratio('avg_over_time(' + q.raw('kronos_queue_depth') + '[' + knobs.window + '])', q.raw('kronos_queue_capacity')) +
            ' > ' + knobs.threshold,
      summary: 'The Kronos queue is almost full.',
      description: 'The queue of ' + at.instance + ' was {{ $value | humanizePercentage }} full over the last ' +
                   knobs.window + '. Once it is full, requests are refused.',
      dashboard: 'inference',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    KronosEventLoopBlocked: {
      expr: q.raw('kronos_event_loop_lag_seconds') + ' > ' + alerts.KronosEventLoopBlocked.threshold,
      summary: 'The Kronos event loop is blocked.',
      description: 'The event loop of ' + at.instance + ' was blocked for {{ $value | humanizeDuration }}: probes and ' +
                   'scrapes had to wait.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    KronosLogLinesLost: {
      local knobs = alerts.KronosLogLinesLost,
      expr: 'increase(' + q.raw('kronos_log_lines_lost_total') + '[' + knobs.window + ']) > ' + knobs.threshold,
      summary: 'Kronos loses log lines.',
      description: '{{ $value | humanize }} log lines of ' + at.instance + ' were lost within ' + knobs.window +
                   ', because nobody took them.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    local starts(window) = 'changes(' + q.raw('process_start_time_seconds') + '[' + window + '])',

    KronosRestarting: {
      local knobs = alerts.KronosRestarting,
      expr: starts(knobs.window) + ' >= ' + knobs.threshold,
      summary: 'A Kronos instance keeps restarting.',
      description: 'The process of ' + at.instance + ' restarted {{ $value }} times within ' + knobs.window + '.',
      dashboard: 'instances',
      variables: q.targetLabels + ['instance'],
      alone: true,
    },

    KronosRestartingEverywhere: {
      local knobs = alerts.KronosRestartingEverywhere,
      local often = alerts.KronosRestarting.threshold,
      expr: q.avg([], '(' + starts(knobs.window) + ' and ' + q.raw('up') + ') >= bool ' + often) + ' > ' + knobs.threshold,
      summary: 'Most Kronos instances keep restarting.',
      description: '{{ $value | humanizePercentage }} of the instances of ' + at.job + ' restarted ' +
                   often + ' times or more within ' + knobs.window + '.',
      dashboard: 'instances',
      variables: q.targetLabels,
    },
  }
