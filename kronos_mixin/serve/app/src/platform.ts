// What Grafana's own shell sets up before any panel is drawn: themes, registries, and the services behind them.
import {
  type DataSourceApi,
  EventBusSrv,
  type FieldConfigPropertyItem,
  type GrafanaTheme2,
  LoadingState,
  type PanelData,
  type PanelPlugin,
  createTheme,
  standardEditorsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  type TransformerRegistryItem,
} from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import {
  type DataSourceSrv,
  type TemplateSrv,
  config,
  setAppEvents,
  setDataSourceSrv,
  setPluginImportUtils,
  setRunRequest,
  setTemplateSrv,
} from '@grafana/runtime';
import { catchError, from, map, of } from 'rxjs';

import type { Prometheus } from './datasource';

const STANDARD_PROPERTIES = [
  'displayName', 'unit', 'min', 'max', 'decimals', 'noValue', 'color', 'mappings', 'thresholds', 'links',
];
const EDITORS = [
  'number', 'slider', 'text', 'strings', 'boolean', 'select', 'multi-select', 'color', 'unit', 'radio', 'stats-picker',
];

/** A property of a field that is taken as it is: nothing here edits it. */
export function property(path: string): FieldConfigPropertyItem {
  const nothing = () => null;
  return {
    id: path,
    path,
    name: path,
    editor: nothing,
    override: nothing,
    process: (value: unknown) => value,
    shouldApply: () => true,
    settings: {},
  };
}

export async function start(mode: 'light' | 'dark', prometheus: Prometheus, plugins: Record<string, PanelPlugin>): Promise<GrafanaTheme2> {
  const theme = createTheme({ colors: { mode } });
  Object.assign(config, {
    theme2: theme,
    featureToggles: {},
    bootData: { user: { timezone: 'utc', weekStart: '', lightTheme: mode === 'light' }, settings: {} },
  });
  await initPluginTranslations('kronos-pictures', []);
  registries();
  services(prometheus, plugins);
  return theme;
}

function registries(): void {
  standardFieldConfigEditorRegistry.setInit(() => STANDARD_PROPERTIES.map(property));
  standardEditorsRegistry.setInit(() => EDITORS.map((id) => ({ id, name: id, editor: () => null })));
  standardTransformersRegistry.setInit(() => {
    // Some are exported under two names.
    const unique = [...new Map(Object.values(standardTransformers).map((one) => [one.id, one])).values()];
    return unique.map((one) => ({ id: one.id, name: one.name, transformation: async () => one, editor: () => null }) as unknown as TransformerRegistryItem);
  });
}

function services(prometheus: Prometheus, plugins: Record<string, PanelPlugin>): void {
  setPluginImportUtils({
    importPanelPlugin: async (id) => {
      const plugin = plugins[id] ?? plugins.undrawn;
      if (!plugin) {
        throw new Error(`There is no panel of type ${id} here: take one of ${Object.keys(plugins).join(', ')}`);
      }
      return plugin;
    },
    getPanelPluginFromCache: (id) => plugins[id] ?? plugins.undrawn,
  });
  setDataSourceSrv({
    get: async () => prometheus as unknown as DataSourceApi,
    getList: () => [prometheus.instance],
    getInstanceSettings: () => prometheus.instance,
  } as unknown as DataSourceSrv);
  setRunRequest((datasource, request, query) => {
    const result = (query ?? datasource.query.bind(datasource))(request);
    const base = { request, timeRange: request.range };
    return from(result).pipe(
      map(({ data, errors }): PanelData => ({ ...base, series: data as PanelData['series'], errors, state: errors?.length ? LoadingState.Error : LoadingState.Done })),
      catchError((error: Error) => of<PanelData>({ ...base, series: [], state: LoadingState.Error, errors: [{ message: error.message }] })),
    );
  });
  // Scenes fill in variables themselves; this one is asked only by old code.
  setTemplateSrv({
    replace: (text = '') => text,
    getVariables: () => [],
    containsTemplate: () => false,
    updateTimeRange: () => undefined,
  } as TemplateSrv);
  setAppEvents(new EventBusSrv());
}
