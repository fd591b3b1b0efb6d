// Where an alert happened, in words. Only labels that the alert has are named.
function(config)
  // What tells installations apart may only be added when an alert is sent.
  local isAdded = { [label]: true for label in config.aggregationLabels };
  local valueOf(label) =
    local own = '$labels.' + label;
    if label in isAdded then 'or ' + own + ' $externalLabels.' + label else own;
  local places = std.join('', [
    '{{ with ' + valueOf(label) + ' }} in ' + label + ' {{ . }}{{ end }}'
    for label in config.aggregationLabels
  ]);

  {
    valueOf: valueOf,
    job: 'job {{ $labels.job }}' + places,
    route: 'route {{ $labels.route }} of ' + self.job,
    instance: 'instance {{ $labels.instance }} of ' + self.job,
  }
