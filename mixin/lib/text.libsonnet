// Where an alert happened, in words. Only labels that the alert has are named.
function(config)
  local places = std.join('', [
    '{{ with $labels.' + label + ' }} in ' + label + ' {{ . }}{{ end }}'
    for label in config.aggregationLabels
  ]);

  {
    job: 'job {{ $labels.job }}' + places,
    route: 'route {{ $labels.route }} of ' + self.job,
    instance: 'instance {{ $labels.instance }} of ' + self.job,
  }
