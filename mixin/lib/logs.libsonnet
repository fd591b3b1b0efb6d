// Links to the log lines behind a panel, in Grafana's Explore. They need logs in Loki: there are none unless
// `loki.enabled` is set.
//
// Filters are LogQL over the fields of a log line, which service/OBSERVABILITY.md lists. Grafana fills in variables,
// written ${name:pipe}, when the link is opened.
local contract = import 'contract.libsonnet';

// Characters with a meaning in a URL. Not braces: Grafana's variables have them.
local escapes = [
  ['%', '%25'],
  ['"', '%22'],
  [' ', '%20'],
  ['#', '%23'],
  ['&', '%26'],
  ['+', '%2B'],
  ['\\', '%5C'],
];
local escaped(text) = std.foldl(function(text, pair) std.strReplace(text, pair[0], pair[1]), escapes, text);

local oneOf(field, values) = field + ' =~ `' + std.join('|', values) + '`';

function(config) {
  local link(title, pipeline) = if !config.loki.enabled then [] else [{
    title: title,
    url: '/explore?schemaVersion=1&panes=' + escaped(std.manifestJsonMinified({
      logs: {
        datasource: config.loki.datasource,
        queries: [{
          refId: 'A',
          datasource: { type: 'loki', uid: config.loki.datasource },
          expr: '{' + config.loki.selector + '} ' + pipeline,
          queryType: 'range',
          editorMode: 'code',
        }],
        range: { from: '${__from}', to: '${__to}' },
      },
    })),
    targetBlank: true,
  }],

  // Log lines of any kind.
  lines(title, filter): link(title, '| json | ' + filter),

  // The log lines of requests; with `byRoute`, those of the chosen routes.
  requests(title, filter, byRoute=true):
    link(title, std.join(' | ', ['| json', 'event = `request`'] +
                                (if byRoute then [oneOf('route', ['${route:pipe}'])] else []) +
                                [filter])),

  // All log lines of one request, and the variable for its id. It stays out of URLs, where it would mostly be empty.
  ofRequest(title): link(title, '|= `${request_id:percentencode}`'),
  requestVariable: if !config.loki.enabled then [] else [{
    name: 'request_id',
    label: 'Request id',
    type: 'textbox',
    query: '',
    current: { text: '', value: '' },
    hide: 0,
    skipUrlSync: true,
    options: [],
  }],

  // Filters.
  chosenStatus: oneOf('status', ['${status:pipe}']),
  withStatus(statuses):
    local unknown = std.setDiff(std.set(statuses), std.set(contract.values('status')));
    if unknown == [] then oneOf('status', statuses)
    else error 'No such status: ' + std.join(', ', unknown),
  slow:
    local seconds = config.objectives.latency.seconds;
    std.join(' or ', [
      '(route = `' + route + '` and duration_ms > ' + std.parseJson(seconds[route]) * 1000 + ')'
      for route in std.objectFields(seconds)
    ]),
}
