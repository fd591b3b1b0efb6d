// A dashboard as Grafana stores it: the parts of its JSON that are drawn here.
import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table';
  instant?: boolean;
  hide?: boolean;
  datasource?: Source;
}

/** A data source as a panel names it: by uid and kind, or in older schemas by name. */
export type Source = { type?: string; uid?: string } | string | null;

export interface Link {
  title: string;
  url: string;
  targetBlank?: boolean;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  interval?: string;
  maxDataPoints?: number;
  options?: Record<string, unknown>;
  fieldConfig?: FieldConfigSource;
  transformations?: DataTransformerConfig[];
  links?: Link[];
  datasource?: Source;
  collapsed?: boolean;
  panels?: Panel[];
}

export interface Variable {
  name: string;
  label?: string;
  type: string;
  query: string | { query: string; refId: string };
  datasource?: Source;
  regex?: string;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string;
  refresh?: number;
  sort?: number;
  hide?: number;
  current?: { value: string | string[] };
}

export interface DashboardLink {
  type: string;
  title: string;
  tags: string[];
  includeVars?: boolean;
  keepTime?: boolean;
}

/** What is marked on every panel: the time in which `expr` has a value. */
export interface Annotation {
  name: string;
  enable: boolean;
  iconColor: string;
  expr: string;
  step?: string;
  titleFormat?: string;
}

export interface Dashboard {
  uid: string;
  title: string;
  tags: string[];
  time: { from: string; to: string };
  refresh?: string | boolean;
  templating: { list: Variable[] };
  annotations?: { list: Annotation[] };
  links?: DashboardLink[];
  panels: Panel[];
}

/** What the server that serves this page was told; scrapeInterval is in seconds, follow is whether it has news. */
export interface Settings {
  prometheus: string;
  scrapeInterval: number;
  follow: boolean;
}

/** All dashboards, as they compiled last; `revision` is that of the news of them. */
export interface Loaded {
  revision: number;
  dashboards: Dashboard[];
}

/** The mixin has compiled again, or does not: then `error` says why. */
export interface News {
  revision: number;
  error: string;
}

export async function load<T>(path: string): Promise<T> {
  const answer = await fetch(path);
  if (!answer.ok) {
    throw new Error(`${path}: HTTP ${answer.status}: ${await answer.text()}`);
  }
  return (await answer.json()) as T;
}
