// Makes a dashboard of panels: adds variables, time range, links and annotations, and lays out the grid.
local panel = import 'panel.libsonnet';
local query = import 'query.libsonnet';
local shown = import 'shown.libsonnet';
local style = import 'style.libsonnet';

local width = 24;  // Grafana's grid is 24 columns wide.

// Grafana's panel ids are numbers, and part of the links that people share. An id made from the panel's name does not
// change when other panels are added or removed.
local digit = { [std.substr('0123456789abcdef', value, 1)]: value for value in std.range(0, 15) };
local id(name) =
  std.foldl(function(sum, char) sum * 16 + digit[char], std.stringChars(std.substr(std.md5(name), 0, 6)), 0);

// Puts panels on the grid, row by row. The panels of a row share its width equally, or by `widths`.
local place(panels, rows) =
  local named = std.flattenArrays([row.panels for row in rows]);
  local misplaced = [
    name
    for name in std.set(named + std.objectFields(panels))
    if std.count(named, name) != 1 || !(name in panels)
  ];
  assert std.sort(named) == std.objectFields(panels) :
         '`rows` must list each panel exactly once, and no others; wrong: ' + std.join(', ', misplaced);
  // Where each of several things begins that follow each other, and where the last one ends.
  local edges(sizes) = std.foldl(function(edges, size) edges + [edges[std.length(edges) - 1] + size], sizes, [0]);
  local columns(row) =
    local count = std.length(row.panels);
    if std.length(row.widths) > 0 then edges(row.widths)
    else [std.floor(p * width / count) for p in std.range(0, count)];
  local tops = edges([row.height for row in rows]);
  std.flattenArrays([
    local row = rows[r];
    local lefts = columns(row);
    [
      panels[row.panels[p]] {
        id: id(row.panels[p]),
        gridPos: { h: row.height, w: lefts[p + 1] - lefts[p], x: lefts[p], y: tops[r] },
      }
      for p in std.range(0, std.length(row.panels) - 1)
    ]
    for r in std.range(0, std.length(rows) - 1)
  ]);

// A variable with the values of a label. `All` also matches series without the label, unless every target has it.
local labelVariable(label, source) = {
  name: label,
  label: std.asciiUpper(label[0]) + std.substr(label, 1, std.length(label)),
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

local annotation(name, colour, expr, title, text, tags='') = {
  name: name,
  datasource: panel.datasource,
  enable: true,
  hide: false,
  iconColor: colour,
  expr: expr,
  step: '1m',
  titleFormat: title,
  textFormat: text,
  tagKeys: tags,
  useValueForTime: false,
};

// Regions on every panel. While one of our alerts fires: one per alert and installation, however many routes or
// instances it is about. After a deployment: the first minutes of a version or model that did not run before.
local annotations(config) =
  local q = query(config);
  local show = shown(config, {}, []);
  local deployed(metric, labels) =
    q.count(labels, show.raw(metric)) + ' unless ' +
    q.count(labels, 'last_over_time(' + show.raw(metric) + '[' + config.rateWindow + '] offset ' + config.rateWindow + ')');
  [
    annotation(
      'Alerts',
      style.annotation,
      q.count(['alertname', 'severity'], show.firing()),
      '{{alertname}}',
      show.legend('{{severity}}'),
      tags='severity'
    ),
    annotation('Deployments', style.deployment, deployed('kronos_build_info', ['version']), 'Version {{version}}', show.legend()),
    annotation(
      'Models',
      style.deployment,
      deployed('kronos_model_info', ['model', 'revision']),
      'Model {{model}} {{revision}}',
      show.legend()
    ),
  ];

{
  // Rows list panels by name.
  row(height, panels, widths=[]): { height: height, panels: panels, widths: widths },
  rows(height, rows): [self.row(height, panels) for panels in rows],

  // { uid, title, description, variables, source, inputs, panels, rows }. `panels` maps names to panels. `variables`
  // are labels, in addition to `aggregationLabels` and `job`, which every dashboard has. Values of target labels come
  // from `up`, all others from the recorded rule `source`. `inputs` are variables that are not labels.
  new(config, knobs):
    local q = query(config);
    local withoutJob = panel.withoutJob(config.job);
    local ofTarget = q.targetLabels + ['instance'];
    local labels = q.targetLabels + knobs.variables;
    // Each variable offers values that match the choice in those before it.
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
      annotations: { list: annotations(config) },
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
      panels: place(
        { [name]: knobs.panels[name] + withoutJob for name in std.objectFields(knobs.panels) },
        knobs.rows
      ),
      templating: {
        list: [{
          name: 'datasource',
          label: 'Data source',
          type: 'datasource',
          query: config.dashboards.datasourceType,
          regex: config.dashboards.datasourceRegex,
          current: { text: config.dashboards.datasource, value: config.dashboards.datasource },
          refresh: 1,
          hide: 0,
          includeAll: false,
          multi: false,
          skipUrlSync: false,
          options: [],
        }] + [
          labelVariable(labels[index], series(labels[index], [labels[i] for i in std.range(0, index - 1)]))
          for index in std.range(0, std.length(labels) - 1)
        ] + (if 'inputs' in knobs then knobs.inputs else []),
      },
    },
}
