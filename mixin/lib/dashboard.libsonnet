// The frame around panels: variables, time range, links, and a grid that nobody has to count.
local panel = import 'panel.libsonnet';
local query = import 'query.libsonnet';

local width = 24;  // Grafana's grid is 24 columns wide.

// Rows of panels, each row one height, its panels sharing the width, equally or by their `widths`.
local place(rows) =
  local tops = std.foldl(function(tops, row) tops + [tops[std.length(tops) - 1] + row.height], rows, [0]);
  // Where the p-th panel of a row begins: on a whole column, as Grafana knows no others.
  local left(row, p) =
    if row.widths == [] then std.floor(p * width / std.length(row.panels)) else std.sum(row.widths[:p]);
  local placed = std.flattenArrays([
    [
      rows[r].panels[p] {
        gridPos: {
          h: rows[r].height,
          w: left(rows[r], p + 1) - left(rows[r], p),
          x: left(rows[r], p),
          y: tops[r],
        },
      }
      for p in std.range(0, std.length(rows[r].panels) - 1)
    ]
    for r in std.range(0, std.length(rows) - 1)
  ]);
  std.mapWithIndex(function(index, panel) panel { id: index + 1 }, placed);

// A variable with the values of a label. All matches series without that label as well, but for labels that every
// target has.
local labelVariable(label, source) = {
  name: label,
  label: std.asciiUpper(label[0]) + label[1:],
  type: 'query',
  datasource: panel.datasource,
  query: { qryType: 1, query: 'label_values(' + source + ', ' + label + ')', refId: label },
  definition: 'label_values(' + source + ', ' + label + ')',
  refresh: 2,  // when the time range changes
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: if std.member(['job', 'instance'], label) then '.+' else '.*',
  current: { text: ['All'], value: ['$__all'] },
  hide: 0,
  skipUrlSync: false,
  options: [],
  regex: '',
};

{
  row(height, panels, widths=[]): { height: height, panels: panels, widths: widths },

  // Rows of two panels each, the last of one if their number is odd.
  pairs(height, panels): [
    self.row(height, panels[index:index + 2])
    for index in std.range(0, std.length(panels) - 1)
    if index % 2 == 0
  ],

  // { uid, title, description, variables, source, inputs, rows }. `variables` are labels beside those of
  // `aggregationLabels` and `job`, which every dashboard has; `instance` is looked up among the targets, all others in
  // the recorded rule `source`. `inputs` are variables that are no labels.
  new(config, knobs):
    local q = query(config);
    local ofTarget = q.targetLabels + ['instance'];
    local labels = q.targetLabels + knobs.variables;
    // Each variable offers what exists under those chosen before it.
    local series(label, before) =
      local matchers = { [name]: ['$' + name] for name in before };
      if std.member(ofTarget, label) then
        q.raw('up', { [name]: matchers[name] for name in before if std.member(ofTarget, name) })
      else q.read(knobs.source, { [name]: matchers[name] for name in before if name != 'instance' });
    {
      title: knobs.title,
      description: knobs.description,
      uid: knobs.uid,
      tags: config.dashboards.tags,
      editable: false,
      graphTooltip: 1,  // one crosshair for all panels
      schemaVersion: 39,
      version: 1,
      refresh: config.dashboards.refresh,
      timezone: config.dashboards.timezone,
      time: { from: config.dashboards.period, to: 'now' },
      timepicker: {},
      annotations: { list: [] },
      links: [{
        title: 'Kronos dashboards',
        type: 'dashboards',
        tags: config.dashboards.tags,
        asDropdown: true,
        includeVars: true,
        keepTime: true,
        icon: 'external link',
        targetBlank: false,
        tooltip: '',
        url: '',
      }],
      panels: place(knobs.rows),
      templating: {
        list: [{
          name: 'datasource',
          label: 'Data source',
          type: 'datasource',
          query: 'prometheus',
          regex: config.dashboards.datasourceRegex,
          current: { text: config.dashboards.datasource, value: config.dashboards.datasource },
          refresh: 1,
          hide: 0,
          includeAll: false,
          multi: false,
          skipUrlSync: false,
          options: [],
        }] + [
          labelVariable(labels[index], series(labels[index], labels[:index]))
          for index in std.range(0, std.length(labels) - 1)
        ] + (if std.objectHas(knobs, 'inputs') then knobs.inputs else []),
      },
    },
}
