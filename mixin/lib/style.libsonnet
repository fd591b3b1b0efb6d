// The same thing has the same colour on every panel. Colours are Okabe and Ito's, which colour-blind readers can tell
// apart; the batch route is told from the single route by dashes, so that colour stays free for what is measured.
local panel = import 'panel.libsonnet';

local colours = {
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
  p50: '#56B4E9',
  p95: '#E69F00',
  p99: '#D55E00',
};

local coloured(name) = panel.override('/^' + name + '( |$)/', {
  color: { mode: 'fixed', fixedColor: colours[name] },
});

local all(names) = std.foldl(function(panel, name) panel + coloured(name), names, {});

{
  routes: panel.override('/predict.batch/', { 'custom.lineStyle': { fill: 'dash', dash: [10, 6] } }),
  statuses: all([name for name in std.objectFields(colours) if name[0] != 'p']),
  quantiles: all(['p50', 'p95', 'p99']),
}
