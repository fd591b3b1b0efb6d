// The service in Kubernetes: a kustomize base, and components to choose from. What is one's own business (image, replicas,
// resources, variables) is patched with kustomize; what rules and scrape job know as well comes from the knobs.
local query = import 'lib/query.libsonnet';
local records = import 'rules/records.libsonnet';

{
  local config = $._config.kronos,
  local scrape = config.scrape,
  local name = scrape.discovery.kubernetes.name,
  local labels = { 'app.kubernetes.io/name': name },

  local object(apiVersion, kind, spec) = {
    apiVersion: apiVersion,
    kind: kind,
    metadata: { name: name, labels: labels },
    spec: spec,
  },

  local kustomization(kind, fields) = {
    apiVersion: 'kustomize.config.k8s.io/' + if kind == 'Component' then 'v1alpha1' else 'v1beta1',
    kind: kind,
  } + fields,
  local resources(kind, files) = { 'kustomization.yml': kustomization(kind, { resources: std.objectFields(files) }) } + files,

  // A probe's timeout must be longer than the process may be busy with something else.
  local probe(path, period, failures) = {
    httpGet: { path: path, port: 'http' },
    periodSeconds: period,
    timeoutSeconds: 5,
    failureThreshold: failures,
  },

  local container = {
    name: 'kronos',
    image: 'kronos',
    env: [],
    ports: [{ name: 'http', containerPort: 8000, protocol: 'TCP' }],
    // It listens before it loads the model: all that has to start is Python and PyTorch.
    startupProbe: probe('/v1/healthz', 2, 150),
    readinessProbe: probe('/v1/readyz', 5, 2),
    livenessProbe: probe('/v1/healthz', 10, 6),
    // As many threads as the limit has cores: without one, as many as the node has, up to eight.
    resources: {
      requests: { cpu: '2', memory: '2Gi' },
      limits: { cpu: '2', memory: '2Gi' },
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'cache', mountPath: '/cache' },
      { name: 'tmp', mountPath: '/tmp' },
    ],
  },

  local pod = {
    serviceAccountName: name,
    automountServiceAccountToken: false,
    // The variables of a Service named kronos look like settings.
    enableServiceLinks: false,
    // Longer than KRONOS_DRAIN_SECONDS and KRONOS_SHUTDOWN_SECONDS together. No preStop hook: the service answers while
    // it drains, so that nobody is refused who has not heard of it.
    terminationGracePeriodSeconds: 40,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 10001,
      runAsGroup: 10001,
      fsGroup: 10001,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: key,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: labels },
      }
      for key in ['topology.kubernetes.io/zone', 'kubernetes.io/hostname']
    ],
    containers: [container],
    volumes: [
      // Models that are downloaded.
      { name: 'cache', emptyDir: { sizeLimit: '4Gi' } },
      { name: 'tmp', emptyDir: { sizeLimit: '256Mi' } },
    ],
  },

  local deployment = object('apps/v1', 'Deployment', {
    replicas: 2,
    selector: { matchLabels: labels },
    // Never fewer than there should be. Where nodes are full, a rollout then waits for room, and says so in the end.
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    // A model may fail with its first requests.
    minReadySeconds: 10,
    progressDeadlineSeconds: 600,
    template: { metadata: { labels: labels }, spec: pod },
  }),

  local service = object('v1', 'Service', {
    selector: labels,
    ports: [{ name: 'http', port: 8000, targetPort: 'http', protocol: 'TCP', appProtocol: 'http' }],
  }),

  local serviceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: name, labels: labels },
    automountServiceAccountToken: false,
  },

  local podDisruptionBudget = object('policy/v1', 'PodDisruptionBudget', {
    maxUnavailable: 1,
    // A broken pod must not keep a node from being drained.
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
    selector: { matchLabels: labels },
  }),

  local to(ports, protocol='TCP') = [{ port: port, protocol: protocol } for port in ports],
  local networkPolicy = object('networking.k8s.io/v1', 'NetworkPolicy', {
    podSelector: { matchLabels: labels },
    policyTypes: ['Ingress', 'Egress'],
    // Any pod of the cluster; which ones is for whoever knows the callers to say.
    ingress: [{ from: [{ namespaceSelector: {} }], ports: to(['http']) }],
    // Names, and the model hub.
    egress: [{ ports: to([53], 'UDP') + to([53, 443]) }],
  }),

  local base = {
    'deployment.yml': deployment,
    'service.yml': service,
    'serviceaccount.yml': serviceAccount,
    'poddisruptionbudget.yml': podDisruptionBudget,
    'networkpolicy.yml': networkPolicy,
  },

  local podMonitor = object('monitoring.coreos.com/v1', 'PodMonitor', {
    selector: { matchLabels: labels },
    podMetricsEndpoints: [{
      port: scrape.discovery.kubernetes.port,
      path: scrape.path,
      honorLabels: true,
      interval: scrape.interval,
      scrapeTimeout: scrape.timeout,
      relabelings: [
        // The name that rules and dashboards expect.
        { targetLabel: 'job', replacement: scrape.job },
        { sourceLabels: ['__meta_kubernetes_pod_phase'], regex: 'Succeeded|Failed', action: 'drop' },
      ],
    }],
  }),

  // Metrics on a port of their own, which callers cannot reach. Comes after podmonitor, which it changes as well.
  // Not by std.manifestJsonEx, which takes a tenth of a second in C++.
  local patch(kind, steps) = {
    target: { kind: kind, name: name },
    patch: '[\n  ' + std.join(',\n  ', [std.toString(step) for step in steps]) + '\n]',
  },
  local add(path, value) = { op: 'add', path: path, value: value },
  local metricsPort = {
    'kustomization.yml': kustomization('Component', {
      patches: [
        patch('Deployment', [
          add('/spec/template/spec/containers/0/ports/-', { name: 'metrics', containerPort: 9000, protocol: 'TCP' }),
          add('/spec/template/spec/containers/0/env/-', { name: 'KRONOS_METRICS_PORT', value: '9000' }),
        ]),
        patch('NetworkPolicy', [
          add('/spec/ingress/-', {
            from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
            ports: to(['metrics']),
          }),
        ]),
        patch('PodMonitor', [add('/spec/podMetricsEndpoints/0/port', 'metrics')]),
      ],
    }),
  },

  // What to scale on: how full the queue is, and how long requests wait in it. CPU tells nothing: one long forecast takes
  // all of it. Both are scaled as they are, not per instance: they do not shrink as instances are added, but as work is.
  local q = query(config),
  local recorded = records(config),
  local waited = recorded.kronos_queue_wait_seconds,
  local scaling = {
    'queue-utilisation': {
      query: 'max(' + q.read(recorded.queueUtilisation) + ')',
      threshold: '0.25',
    },
    'queue-wait': {
      query:
        'histogram_quantile(0.9, sum by (le) (' + q.read(waited) + ')) and sum(' + q.read(waited, { le: '+Inf' }) + ') > 0',
      threshold: '2',
    },
  },
  local target = { apiVersion: 'apps/v1', kind: 'Deployment', name: name },
  local replicas = { min: 2, max: 10 },
  // Up as soon as callers wait, down when nobody has waited for ten minutes.
  local behaviour = {
    scaleUp: { stabilizationWindowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 60 }] },
    scaleDown: { stabilizationWindowSeconds: 600, policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] },
  },

  local scaledObject = object('keda.sh/v1alpha1', 'ScaledObject', {
    scaleTargetRef: target,
    minReplicaCount: replicas.min,
    maxReplicaCount: replicas.max,
    advanced: { horizontalPodAutoscalerConfig: { behavior: behaviour } },
    triggers: [
      {
        type: 'prometheus',
        name: trigger,
        metricType: 'Value',
        metadata: {
          serverAddress: 'http://prometheus-operated.monitoring:9090',
          query: scaling[trigger].query,
          threshold: scaling[trigger].threshold,
        },
      }
      for trigger in std.objectFields(scaling)
    ],
  }),

  local autoscaler = object('autoscaling/v2', 'HorizontalPodAutoscaler', {
    scaleTargetRef: target,
    minReplicas: replicas.min,
    maxReplicas: replicas.max,
    behavior: behaviour,
    metrics: [
      {
        type: 'External',
        external: {
          metric: { name: 'kronos-' + metric },
          target: { type: 'Value', value: scaling[metric].threshold },
        },
      }
      for metric in std.objectFields(scaling)
    ],
  }),

  // Values of prometheus-adapter, which then serves these metrics to the autoscaler.
  local adapter = {
    rules: {
      external: [
        {
          seriesQuery: recorded.queueUtilisation.record,
          resources: { namespaced: false },
          name: { as: 'kronos-' + metric },
          metricsQuery: scaling[metric].query,
        }
        for metric in std.objectFields(scaling)
      ],
    },
  },

  local below(folder, files) = { [folder + '/' + file]: files[file] for file in std.objectFields(files) },

  // By path.
  kubernetesManifests+::
    below('base', resources('Kustomization', base)) +
    below('components/metrics-port', metricsPort) +
    below('components/podmonitor', resources('Component', { 'podmonitor.yml': podMonitor })) +
    below('components/keda', resources('Component', { 'scaledobject.yml': scaledObject })) +
    below('components/hpa', resources('Component', { 'horizontalpodautoscaler.yml': autoscaler })) +
    { 'components/hpa/prometheus-adapter-values.yml': adapter },
}
