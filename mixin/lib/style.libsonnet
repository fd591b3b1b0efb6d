// The same thing has the same colour on every panel. Colours are Okabe and Ito's, and Tol's where those run out: colour-
// blind readers can tell them apart, on white and on black. The batch route is told from the single route by dashes as
// well. Each is a list of overrides; where two give one line a colour, the later one wins.
local panel = import 'panel.libsonnet';

local colours = {
  blue: '#0072B2',
  sky: '#56B4E9',
  green: '#009E73',
  teal: '#44AA99',
  orange: '#E69F00',
  vermilion: '#D55E00',
  pink: '#CC79A7',
  purple: '#9467BD',
  olive: '#B8A100',
  grey: '#999999',
};

local coloured(names) = [
  panel.override('/^' + name + '( |$)/', { color: { mode: 'fixed', fixedColor: names[name] } })
  for name in std.objectFields(names)
];

{
  // Dashes only, for lines whose colour says something else.
  routes: [panel.override('/\\bbatch$/', { 'custom.lineStyle': { fill: 'dash', dash: [10, 6] } })],

  // Lines that only their route tells apart.
  byRoute: [
    panel.override('/\\bsingle$/', { color: { mode: 'fixed', fixedColor: colours.sky } }),
    panel.override('/\\bbatch$/', { color: { mode: 'fixed', fixedColor: colours.purple } }),
  ] + self.routes,

  statuses: coloured({
    success: colours.green,
    invalid: colours.orange,
    unauthorized: colours.sky,
    too_large: colours.teal,
    rate_limited: colours.olive,
    overloaded: colours.blue,
    unavailable: colours.purple,
    timeout: colours.pink,
    cancelled: colours.grey,
    'error': colours.vermilion,
  }),

  // Rejections have the colour of the status that they end with.
  rejections: coloured({
    rate_limited: colours.olive,
    too_large: colours.teal,
    unauthorized: colours.sky,
    unsupported_encoding: colours.orange,
    queue_full: colours.blue,
    not_ready: colours.pink,
    draining: colours.purple,
  }),

  // One client each, beside the rejections of all.
  clients: [panel.override('/^rate limited: /', { 'custom.lineStyle': { fill: 'dash', dash: [10, 6] } })],

  errorTypes: coloured({
    inference: colours.orange,
    out_of_memory: colours.vermilion,
    invalid_output: colours.pink,
    internal: colours.grey,
  }),

  timeoutStages: coloured({ queue: colours.blue, inference: colours.orange }),

  modelStages: coloured({
    'p95 tokenize': colours.green,
    'p95 prefill': colours.sky,
    'p95 decode': colours.orange,
    'p95 detokenize': colours.pink,
  }),

  // What breaks an objective, beside all that counts for it.
  objectives: coloured({ failed: colours.vermilion, slow: colours.vermilion, all: colours.green }),

  quantiles: coloured({ p50: colours.sky, p95: colours.orange, p99: colours.vermilion }),

  // Lines whose name matches go to the right axis, dotted, with a unit of their own.
  rightAxis(regex, unit): [panel.override(regex, {
    unit: unit,
    'custom.axisPlacement': 'right',
    'custom.lineStyle': { fill: 'dot', dash: [0, 6] },
    'custom.thresholdsStyle': { mode: 'off' },
  })],
}
