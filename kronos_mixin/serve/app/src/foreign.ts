// Dashboards of other people, brought to the form that is drawn here: older schemas, and kinds of panels that have become
// others. Grafana does the same as it loads them, by code that is not in its packages.
import type { FieldConfigSource } from '@grafana/data';

import type { Dashboard, Panel } from './dashboard';

/** What older kinds of panels are drawn as. A gauge is drawn as a number: its needle is not in the packages. */
const SUCCESSORS: Record<string, string> = { graph: 'timeseries', singlestat: 'stat', gauge: 'stat', 'table-old': 'table' };

interface Old extends Omit<Panel, 'gridPos'> {
  /** Some leave a part of it out. */
  gridPos?: Partial<Panel['gridPos']>;
  span?: number;
  height?: number | string;
  format?: string;
  yaxes?: Array<{ format?: string; min?: number | string | null; max?: number | string | null }>;
  stack?: boolean;
  fill?: number;
  legend?: { show?: boolean; rightSide?: boolean; alignAsTable?: boolean };
  valueName?: string;
  content?: string;
}

interface Row {
  title?: string;
  collapse?: boolean;
  showTitle?: boolean;
  height?: number | string;
  panels: Old[];
}

const COLUMNS = 24;
const ROW_PIXELS = 30;
const CALCS: Record<string, string> = { current: 'lastNotNull', avg: 'mean', total: 'sum' };

export function complete(given: Partial<Dashboard> & { rows?: Row[] }): Dashboard {
  const panels = given.panels ?? laidOut(given.rows ?? []);
  let id = Math.max(0, ...everyOf(panels).map((one) => one.id ?? 0));
  const finish = (one: Old): Panel => ({
    ...renewed(one),
    id: one.id ?? ++id,
    title: one.title ?? '',
    gridPos: { x: 0, y: 0, w: 12, h: 8, ...one.gridPos },
    panels: one.panels?.map(finish),
  });
  return {
    ...given,
    uid: given.uid!,
    title: given.title ?? given.uid!,
    tags: given.tags ?? [],
    time: given.time ?? { from: 'now-6h', to: 'now' },
    templating: { list: given.templating?.list ?? [] },
    panels: panels.map(finish),
  };
}

function everyOf(panels: Old[]): Old[] {
  return panels.flatMap((one) => [one, ...((one.panels ?? []) as Old[])]);
}

/** The rows of before Grafana 5: panels of so many twelfths of the width, one after another. */
function laidOut(rows: Row[]): Old[] {
  const panels: Old[] = [];
  let y = 0;
  for (const row of rows) {
    if (row.title && row.showTitle !== false) {
      panels.push({ type: 'row', title: row.title, gridPos: { x: 0, y, w: COLUMNS, h: 1 } } as Old);
      y += 1;
    }
    let x = 0;
    let tallest = 0;
    for (const one of row.panels) {
      const w = Math.min(COLUMNS, 2 * (one.span ?? 12));
      const h = Math.max(3, Math.round(parseInt(String(one.height ?? row.height ?? 250), 10) / ROW_PIXELS));
      if (x + w > COLUMNS) {
        [x, y, tallest] = [0, y + tallest, 0];
      }
      panels.push({ ...one, gridPos: { x, y, w, h } });
      x += w;
      tallest = Math.max(tallest, h);
    }
    y += tallest;
  }
  return panels;
}

/** A panel of an older kind as one of its successor, with what matters most of its looks. */
function renewed(one: Old): Old {
  const type = SUCCESSORS[one.type] ?? one.type;
  if (one.type === 'text' && one.content !== undefined) {
    return { ...one, options: { content: one.content, ...one.options } };
  }
  if (one.fieldConfig && (one.fieldConfig.defaults?.unit || one.type === type)) {
    return { ...one, type };
  }
  const [axis] = one.yaxes ?? [];
  const fieldConfig: FieldConfigSource = {
    defaults: {
      ...one.fieldConfig?.defaults,
      unit: one.format ?? axis?.format,
      min: bound(axis?.min),
      max: bound(axis?.max),
      custom: type === 'timeseries' ? { fillOpacity: 10 * (one.fill ?? 1), stacking: { mode: one.stack ? 'normal' : 'none', group: 'A' } } : {},
    },
    overrides: one.fieldConfig?.overrides ?? [],
  };
  const options = {
    ...(one.legend && {
      legend: {
        showLegend: one.legend.show ?? true,
        displayMode: one.legend.alignAsTable ? 'table' : 'list',
        placement: one.legend.rightSide ? 'right' : 'bottom',
        calcs: [],
      },
    }),
    ...(one.valueName && { reduceOptions: { calcs: [CALCS[one.valueName] ?? one.valueName] } }),
    ...one.options,
  };
  return { ...one, type, fieldConfig, options };
}

function bound(given: number | string | null | undefined): number | undefined {
  const found = given === null || given === undefined || given === '' ? NaN : Number(given);
  return Number.isNaN(found) ? undefined : found;
}
