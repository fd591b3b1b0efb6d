// The same thing has the same colour on every panel. The palette is Okabe and Ito's with some of Tol's colours, which
// colour-blind readers can tell apart on white and on black. The batch route is also dashed. Lists are field overrides;
// later ones win.
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

// Properties of lines whose name matches a regular expression.
local override(regex, properties) = {
  matcher: { id: 'byRegexp', options: regex },
  properties: [{ id: id, value: properties[id] } for id in std.objectFields(properties)],
};

local fixed(colour) = { color: { mode: 'fixed', fixedColor: colour } };

local coloured(names) = [override('/^' + name + '( |$)/', fixed(names[name])) for name in std.objectFields(names)];

// These differ in brightness too, for readers who can't tell red from green.
local standing = {
  good: colours.green,
  warning: '#D58A00',
  bad: '#C4162A',
  // Neither.
  neutral: '#7A7F87',
};

// Threshold steps: the first colour, then [value, colour] pairs.
local steps(first, others) =
  [{ value: null, color: standing[first] }] + [{ value: one[0], color: standing[one[1]] } for one in others];

standing {
  // Lines of limits, by name.
  limits(names): [
    {
      matcher: { id: 'byRegexp', options: '/^' + std.strReplace(name, '/v1/predict/', '') + '( |$)/' },
      properties: [
        // Grafana adapts named colours to the theme.
        { id: 'color', value: { mode: 'fixed', fixedColor: 'red' } },
        { id: 'custom.lineStyle', value: { fill: 'dash', dash: [10, 6] } },
        { id: 'custom.fillOpacity', value: 0 },
        { id: 'custom.stacking', value: { mode: 'none', group: 'limits' } },
      ],
    }
    for name in names
  ],

  // Alert annotations. Grey, because several may overlap on top of the lines.
  annotation: standing.neutral,
  deployment: colours.blue,

  // Thresholds: bad below `bad`, good from `good` on, a warning in between.
  below(bad, good): steps('bad', [[bad, 'warning'], [good, 'good']]),
  warnBelow(good): steps('warning', [[good, 'good']]),

  // Thresholds: a warning from `warning` on, bad from `bad` on.
  above(warning, bad): steps('good', [[warning, 'warning'], [bad, 'bad']]),
  warnFrom(warning): steps('good', [[warning, 'warning']]),
  badFrom(bad): steps('good', [[bad, 'bad']]),

  // No thresholds.
  plain: steps('neutral', []),

  // Hides lines that stay at 0, in plot and legend. Not by `viz: true`: with all lines hidden there would be no axis.
  happened: [{
    matcher: { id: 'byValue', options: { reducer: 'max', op: 'lte', value: 0 } },
    properties: [
      { id: 'custom.hideFrom', value: { legend: true, tooltip: true, viz: false } },
      { id: 'custom.lineWidth', value: 0 },
    ],
  }],

  // For panels where the colour means something else: only the dashes.
  routes: [override('/\\bbatch( |$)/', { 'custom.lineStyle': { fill: 'dash', dash: [10, 6] } })],

  // Lines that differ by route alone.
  byRoute: [
    override('/\\bsingle( |$)/', fixed(colours.sky)),
    override('/\\bbatch( |$)/', fixed(colours.purple)),
    override('/\\bunmatched( |$)/', fixed(colours.grey)),
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

  // In the colour of the status that a rejection leads to.
  rejections: coloured({
    rate_limited: colours.olive,
    too_large: colours.teal,
    unauthorized: colours.sky,
    unsupported_encoding: colours.orange,
    too_much_work: colours.grey,
    queue_full: colours.blue,
    not_ready: colours.pink,
    draining: colours.purple,
  }),

  // Clients over their limit, stacked below the line of their total.
  clients: self.parts(['limited: .*']) + [override('/^limited: /', { color: { mode: 'palette-classic-by-name' } })],

  loadOutcomes: coloured({ not_found: colours.blue, invalid: colours.orange, 'error': colours.vermilion }),

  cancellations: coloured({
    client_disconnect: colours.grey,
    timeout: colours.pink,
    shutdown: colours.purple,
  }),

  errorTypes: coloured({
    inference: colours.orange,
    out_of_memory: colours.vermilion,
    invalid_output: colours.pink,
    internal: colours.grey,
  }),

  timeoutStages: coloured({ 'in queue': colours.blue, 'in inference': colours.orange }),

  modelStages: coloured({
    tokenize: colours.green,
    prefill: colours.sky,
    decode: colours.orange,
    detokenize: colours.pink,
  }),

  processingStages: coloured({ preprocess: colours.sky, postprocess: colours.pink }),

  // Requests that miss an objective, and all that count for it.
  objectives: coloured({
    failed: colours.vermilion,
    slow: colours.vermilion,
    model: colours.orange,
    all: colours.green,
  }),

  // p95 stands out, because objectives are about it.
  quantiles: coloured({ p50: colours.sky, p95: colours.orange, p99: colours.pink }) +
             [override('/^p(50|99)( |$)/', { 'custom.lineWidth': 1 })],

  // Ordered names, such as windows from short to long.
  inOrder(names):
    local order = [colours.vermilion, colours.orange, colours.sky, colours.purple, colours.grey];
    coloured({ [names[index]]: order[index % std.length(order)] for index in std.range(0, std.length(names) - 1) }),

  // Stacked areas, for parts of a whole.
  parts(names): [override('/^(' + std.join('|', names) + ')( |$)/', {
    'custom.lineWidth': 0,
    'custom.fillOpacity': 50,
    'custom.stacking': { mode: 'normal', group: 'parts' },
  })],
}
