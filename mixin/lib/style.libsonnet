// The same thing has the same colour on every panel. Colours are Okabe and Ito's, which colour-blind readers can tell
// apart; the batch route is told from the single route by dashes, so that colour stays free for what is measured.
// Each is a list of overrides.
local panel = import 'panel.libsonnet';

local coloured(colours) = [
  panel.override('/^' + name + '( |$)/', { color: { mode: 'fixed', fixedColor: colours[name] } })
  for name in std.objectFields(colours)
];

{
  routes: [panel.override('/predict.batch/', { 'custom.lineStyle': { fill: 'dash', dash: [10, 6] } })],

  statuses: coloured({
    success: '#009E73',
    invalid: '#E69F00',
    unauthorized: '#56B4E9',
    too_large: '#8C6D31',
    rate_limited: '#F0E442',
    overloaded: '#0072B2',
    unavailable: '#7F3C8D',
    timeout: '#CC79A7',
    cancelled: '#999999',
    'error': '#D55E00',
  }),

  quantiles: coloured({ p50: '#56B4E9', p95: '#E69F00', p99: '#D55E00' }),

  // Lines whose name matches go to the right axis, dotted, with a unit of their own.
  rightAxis(regex, unit): [panel.override(regex, {
    unit: unit,
    'custom.axisPlacement': 'right',
    'custom.lineStyle': { fill: 'dash', dash: [2, 6] },
  })],
}
