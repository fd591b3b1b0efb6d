// A dashboard's JSON as a scene: Grafana's own machinery for variables, time ranges, queries and panels.
import {
  DataSourceVariable,
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
  SceneRefreshPicker,
  SceneTimePicker,
  SceneTimeRange,
  SceneVariableSet,
  VariableValueSelectors,
  VizPanel,
  dataLayers,
  sceneGraph,
} from '@grafana/scenes';
import { LinkButton, Stack, Text } from '@grafana/ui';

import type { Dashboard, Link, Panel, Variable } from './dashboard';
import { UID } from './datasource';
import { DEFAULT_OPTIONS } from './panels';

const DATASOURCE = { type: 'prometheus', uid: UID };

/** `chosen` is the address of the page, where Grafana keeps the variables and the time range. */
export function scene(dashboard: Dashboard, all: Dashboard[], chosen: URLSearchParams): Page {
  return new Page({
    title: dashboard.title,
    isKiosk: chosen.has('kiosk'),
    $timeRange: new SceneTimeRange({
      from: time(chosen.get('from')) ?? dashboard.time.from,
      to: time(chosen.get('to')) ?? dashboard.time.to,
      timeZone: 'utc',
    }),
    $variables: new SceneVariableSet({
      variables: dashboard.templating.list.map((one) => variable(one, chosen.getAll(`var-${one.name}`))),
    }),
    $data: new SceneDataLayerSet({
      layers: (dashboard.annotations?.list ?? []).map(
        (one) => new dataLayers.AnnotationsDataLayer({ name: one.name, query: { ...one, datasource: DATASOURCE } }),
      ),
    }),
    toolbar: [
      ...dashboardLinks(dashboard, all),
      new SceneTimePicker({ isOnCanvas: true }),
      new SceneRefreshPicker({ intervals: [], isOnCanvas: true }),
    ],
    selectors: new VariableValueSelectors({}),
    body: new SceneGridLayout({ children: dashboard.panels.map(gridItem) }),
  });
}

interface PageState extends SceneObjectState {
  title: string;
  isKiosk: boolean;
  toolbar: SceneObject[];
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

function variable(one: Variable, chosen: string[]): DataSourceVariable | QueryVariable {
  const common = { name: one.name, label: one.label, hide: one.hide };
  if (one.type === 'datasource') {
    return new DataSourceVariable({ ...common, pluginId: 'prometheus', value: UID, text: 'Prometheus' });
  }
  if (one.type !== 'query') {
    throw new Error(`Variable ${one.name} is of type ${one.type}: only datasource and query are known here`);
  }
  const value = chosen.length ? chosen : (one.current?.value ?? '');
  return new QueryVariable({
    ...common,
    datasource: DATASOURCE,
    query: one.query,
    regex: one.regex,
    isMulti: one.multi,
    includeAll: one.includeAll,
    allValue: one.allValue,
    refresh: one.refresh,
    sort: one.sort,
    value,
    text: value,
  });
}

function gridItem(one: Panel): SceneGridItem | SceneGridRow {
  const { x, y, w: width, h: height } = one.gridPos;
  if (one.type === 'row') {
    return new SceneGridRow({ title: one.title, y, isCollapsed: one.collapsed, children: (one.panels ?? []).map(gridItem) as SceneGridItem[] });
  }
  return new SceneGridItem({ x, y, width, height, body: panel(one) });
}

function panel(one: Panel): VizPanel {
  const targets = one.targets ?? [];
  return new VizPanel({
    key: `panel-${one.id}`,
    title: one.title,
    description: one.description,
    pluginId: one.type,
    options: { ...DEFAULT_OPTIONS[one.type], ...one.options },
    fieldConfig: one.fieldConfig ?? { defaults: {}, overrides: [] },
    titleItems: one.links?.length ? new Links({ links: one.links }) : undefined,
    $data: targets.length
      ? new SceneDataTransformer({
          transformations: one.transformations ?? [],
          $data: new SceneQueryRunner({
            datasource: DATASOURCE,
            queries: targets.map((target) => ({ ...target, datasource: undefined })),
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
