// A dashboard's JSON as a scene: Grafana's own machinery for variables, time ranges, queries and panels.
import { standardTransformersRegistry } from '@grafana/data';
import {
  ConstantVariable,
  CustomVariable,
  DataSourceVariable,
  IntervalVariable,
  QueryVariable,
  SceneDataLayerSet,
  SceneDataTransformer,
  SceneGridItem,
  SceneGridLayout,
  SceneGridRow,
  SceneObjectBase,
  type SceneComponentProps,
  type SceneObject,
  type SceneObjectState,
  SceneQueryRunner,
  type SceneVariable,
  SceneRefreshPicker,
  SceneTimePicker,
  SceneTimeRange,
  SceneVariableSet,
  TextBoxVariable,
  VariableValueSelectors,
  VizPanel,
  dataLayers,
  sceneGraph,
} from '@grafana/scenes';
import { LinkButton, Stack, Text } from '@grafana/ui';

import type { Dashboard, Link, Panel, Settings, Source, Variable } from './dashboard';
import { UID } from './datasource';
import { DEFAULT_OPTIONS } from './panels';

const DATASOURCE = { type: 'prometheus', uid: UID };

/** `chosen` is the address of the page, where Grafana keeps the variables and the time range. */
export function scene(dashboard: Dashboard, all: Dashboard[], chosen: URLSearchParams, settings: Settings): Page {
  const { list } = dashboard.templating;
  const refresh = new SceneRefreshPicker({
    intervals: settings.follow ? ['5s', '10s', '30s', '1m', '5m', '15m'] : [],
    refresh: settings.follow ? (chosen.get('refresh') ?? (dashboard.refresh || '').toString()) : '',
    isOnCanvas: true,
  });
  return new Page({
    title: dashboard.title,
    isKiosk: chosen.has('kiosk'),
    $timeRange: new SceneTimeRange({
      from: time(chosen.get('from')) ?? dashboard.time.from,
      to: time(chosen.get('to')) ?? dashboard.time.to,
      timeZone: 'utc',
    }),
    $variables: new SceneVariableSet({
      variables: list.flatMap((one) => variable(one, chosen.getAll(`var-${one.name}`)) ?? []),
    }),
    $data: new SceneDataLayerSet({
      // Those without an expression are of Grafana itself, or of other data sources.
      layers: (dashboard.annotations?.list ?? []).filter(({ expr }) => expr).map(
        (one) => new dataLayers.AnnotationsDataLayer({ name: one.name, query: { ...one, datasource: DATASOURCE } }),
      ),
    }),
    toolbar: [
      ...dashboardLinks(dashboard, all),
      new SceneTimePicker({ isOnCanvas: true }),
      refresh,
    ],
    refresh,
    selectors: new VariableValueSelectors({}),
    body: new SceneGridLayout({ children: dashboard.panels.map(gridItem) }),
  });
}

interface PageState extends SceneObjectState {
  title: string;
  isKiosk: boolean;
  toolbar: SceneObject[];
  refresh: SceneRefreshPicker;
  selectors: SceneObject;
  body: SceneObject;
}

/** The whole page: title and time range, then the variables, then the panels; on a wall the panels alone. */
export class Page extends SceneObjectBase<PageState> {
  static Component = ({ model }: SceneComponentProps<Page>) => {
    const { title, isKiosk, toolbar, selectors, body } = model.useState();
    const panels = (
      <div style={{ display: 'flex' }}>
        <body.Component model={body} />
      </div>
    );
    return isKiosk ? panels : (
      <Stack direction="column" gap={2}>
        <Stack direction="row" gap={2} alignItems="center" justifyContent="space-between">
          <Text element="h1" variant="h3">
            {title}
          </Text>
          <Stack direction="row" gap={1} alignItems="center">
            {toolbar.map((one) => (
              <one.Component key={one.state.key} model={one} />
            ))}
          </Stack>
        </Stack>
        <Stack direction="row" gap={1} wrap="wrap">
          <selectors.Component model={selectors} />
        </Stack>
        {panels}
      </Stack>
    );
  };
}

/** Addresses carry milliseconds, or what one types: `now-6h`. */
function time(given: string | null): string | undefined {
  return given === null ? undefined : /^\d+$/.test(given) ? new Date(Number(given)).toISOString() : given;
}

/** A variable, or nothing for one that has no part in queries to Prometheus. */
function variable(one: Variable, chosen: string[]): SceneVariable | undefined {
  const common = { name: one.name, label: one.label, hide: one.hide };
  const query = typeof one.query === 'string' ? one.query : (one.query?.query ?? '');
  const value = chosen.length ? chosen : (one.current?.value ?? '');
  const single = String([value].flat()[0] ?? '');
  const kept = one.multi ? value : single;
  const several = { isMulti: one.multi, includeAll: one.includeAll, allValue: one.allValue, value: kept, text: kept };
  switch (one.type) {
    case 'datasource':
      return query === 'prometheus' ? new DataSourceVariable({ ...common, pluginId: 'prometheus', value: UID, text: 'Prometheus' }) : undefined;
    case 'query':
      return new QueryVariable({ ...common, ...several, datasource: DATASOURCE, query: one.query, regex: one.regex, refresh: one.refresh, sort: one.sort });
    case 'custom':
      return new CustomVariable({ ...common, ...several, query });
    case 'interval':
      return new IntervalVariable({ ...common, intervals: query.split(',').filter((given) => given !== 'auto'), value: single });
    case 'textbox':
      return new TextBoxVariable({ ...common, value: chosen.length ? single : query || single });
    case 'constant':
      return new ConstantVariable({ ...common, value: query });
    case 'adhoc':
    case 'groupby':
      return undefined;
    default:
      throw new Error(`Variable ${one.name} is of type ${one.type}, which is not known here`);
  }
}

/** The kind of the data source, if it is another than Prometheus. */
function otherSource(source: Source | undefined): string | undefined {
  const type = source && typeof source === 'object' ? source.type : undefined;
  return type && !['prometheus', 'datasource', 'grafana', '-- Mixed --', 'mixed'].includes(type) ? type : undefined;
}

function gridItem(one: Panel): SceneGridItem | SceneGridRow {
  const { x, y, w: width, h: height } = one.gridPos;
  if (one.type === 'row') {
    return new SceneGridRow({ title: one.title, y, isCollapsed: one.collapsed, children: (one.panels ?? []).map(gridItem) as SceneGridItem[] });
  }
  return new SceneGridItem({ x, y, width, height, body: panel(one) });
}

function panel(one: Panel): VizPanel {
  const targets = (one.targets ?? []).filter(({ expr, hide, datasource }) => expr && !hide && !otherSource(datasource));
  const other = otherSource(one.datasource) ?? (targets.length ? undefined : one.targets?.map(({ datasource }) => otherSource(datasource)).find(Boolean));
  return new VizPanel({
    key: `panel-${one.id}`,
    title: one.title,
    description: one.description,
    pluginId: other ? 'undrawn' : one.type,
    options: other ? { reason: `Its data is in ${other}` } : { ...DEFAULT_OPTIONS[one.type], ...one.options },
    fieldConfig: one.fieldConfig ?? { defaults: {}, overrides: [] },
    titleItems: one.links?.length ? new Links({ links: one.links }) : undefined,
    $data: targets.length && !other
      ? new SceneDataTransformer({
          transformations: (one.transformations ?? []).filter(({ id }) => standardTransformersRegistry.getIfExists(id)),
          $data: new SceneQueryRunner({
            datasource: DATASOURCE,
            queries: targets.map((target, place) => ({ ...target, refId: target.refId ?? `Q${place}`, datasource: undefined })),
            minInterval: one.interval,
            ...(one.maxDataPoints ? { maxDataPoints: one.maxDataPoints } : { maxDataPointsFromWidth: true }),
          }),
        })
      : undefined,
  });
}

interface LinksState extends SceneObjectState {
  links: Link[];
  caption?: string;
}

/** Links of a panel or a dashboard, with variables and time filled in when they are followed. */
export class Links extends SceneObjectBase<LinksState> {
  static Component = ({ model }: SceneComponentProps<Links>) => {
    const { links } = model.useState();
    return (
      <Stack direction="row" gap={0.5}>
        {links.map((link) => (
          <LinkButton
            key={link.title}
            size="sm"
            fill="text"
            icon="external-link-alt"
            tooltip={link.title}
            data-link={link.title}
            href={link.url}
            // The address is made when it is needed: by then, other values may have been chosen.
            onClick={(event) => {
              event.preventDefault();
              window.location.assign(model.address(link));
            }}
          >
            {model.state.caption ? link.title : undefined}
          </LinkButton>
        ))}
      </Stack>
    );
  };

  address(link: Link): string {
    return sceneGraph.interpolate(this, link.url);
  }
}

/** The dashboards with the same tags, as the JSON's link of type `dashboards` finds them. */
function dashboardLinks(dashboard: Dashboard, all: Dashboard[]): SceneObject[] {
  return (dashboard.links ?? [])
    .filter(({ type }) => type === 'dashboards')
    .map(({ tags, includeVars, keepTime }) => {
      const others = all.filter((one) => one.uid !== dashboard.uid && tags.every((tag) => one.tags.includes(tag)));
      const query = [includeVars && '${__all_variables}', keepTime && '${__url_time_range}'].filter(Boolean).join('&');
      return new Links({ caption: 'title', links: others.map(({ uid, title }) => ({ title, url: `/d/${uid}?${query}` })) });
    });
}
