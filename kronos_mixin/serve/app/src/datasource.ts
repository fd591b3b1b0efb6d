// Prometheus as a Grafana data source: as much of it as the dashboards use. Grafana's own is not under a licence that
// this repository takes.
import {
  type AnnotationEvent,
  type AnnotationQuery,
  type AnnotationSupport,
  type DataFrame,
  type DataQueryRequest,
  type DataQueryResponse,
  type DataSourceInstanceSettings,
  type DataSourceRef,
  FieldType,
  type MetricFindValue,
  type ScopedVars,
  toDataFrame,
} from '@grafana/data';
import { RuntimeDataSource, sceneGraph, type SceneObject } from '@grafana/scenes';
import type { DataQuery } from '@grafana/schema';
import { of } from 'rxjs';

import type { Annotation, Settings, Target } from './dashboard';

type PrometheusQuery = DataQuery & Target;
type Labels = Record<string, string>;

interface Result {
  metric: Labels;
  values?: Array<[number, string]>;
  value?: [number, string];
}

export const UID = 'prometheus';

export class Prometheus extends RuntimeDataSource<PrometheusQuery> {
  override annotations: AnnotationSupport<PrometheusQuery> = {
    prepareAnnotation: (json: AnnotationQuery<PrometheusQuery> & Annotation) => ({
      ...json,
      target: { refId: 'annotation', expr: json.expr, legendFormat: json.titleFormat },
    }),
    processEvents: (_, frames) => of(frames.flatMap(spells)),
  };

  constructor(private readonly settings: Settings) {
    super('prometheus', UID);
  }

  get instance(): DataSourceInstanceSettings {
    const { id, type, meta } = this;
    return { id, uid: UID, type, meta, name: 'Prometheus', isDefault: true, jsonData: {}, access: 'direct', readOnly: true };
  }

  override getRef(): DataSourceRef {
    return { type: this.type, uid: UID };
  }

  override async query(request: DataQueryRequest<PrometheusQuery>): Promise<DataQueryResponse> {
    const frames = await Promise.all(request.targets.map((target) => this.frames(request, target)));
    return { data: frames.flat() };
  }

  override async metricFindQuery(query: string | { query: string }, options?: { scopedVars?: ScopedVars }): Promise<MetricFindValue[]> {
    const text = interpolate((typeof query === 'string' ? query : query.query).trim(), options?.scopedVars ?? {});
    return (await this.found(text)).map((value) => ({ text: value, value }));
  }

  private async found(text: string): Promise<string[]> {
    const [, call, inside = ''] = /^(\w+)\(([^]*)\)$/.exec(text) ?? [];
    switch (call) {
      case 'label_values': {
        const { series, label = '' } = /^(?:(?<series>[^]+),)?\s*(?<label>\w+)\s*$/.exec(inside)?.groups ?? {};
        return this.get(`label/${label}/values`, series ? { 'match[]': series } : {});
      }
      case 'label_names':
        return this.get('labels', {});
      case 'metrics':
        return (await this.get<string[]>('label/__name__/values', {})).filter((name) => new RegExp(inside).test(name));
      case 'query_result': {
        const { result } = await this.get<{ result: Result[] }>('query', { query: inside });
        return result.map(({ metric, value }) => `${selector(metric)} ${value?.[1]} ${(value?.[0] ?? 0) * 1000}`);
      }
      default:
        throw new Error(`${text}: variables ask by label_values, label_names, metrics or query_result`);
    }
  }

  private async frames(request: DataQueryRequest<PrometheusQuery>, target: PrometheusQuery): Promise<DataFrame[]> {
    // As Grafana's does: at most 11,000 points, and windows that always hold enough scrapes for a rate.
    const range = request.range.to.unix() - request.range.from.unix();
    const step = Math.max(Math.ceil(request.intervalMs / 1000), Math.ceil(range / 11_000), 1);
    const rate = Math.max(step + this.settings.scrapeInterval, 4 * this.settings.scrapeInterval);
    const query = interpolate(target.expr, {
      ...request.scopedVars,
      __interval: { value: `${step}s`, text: `${step}s` },
      __interval_ms: { value: step * 1000, text: `${step * 1000}` },
      __rate_interval: { value: `${rate}s`, text: `${rate}s` },
      __range: { value: `${range}s`, text: `${range}s` },
      __range_s: { value: range, text: `${range}` },
    });
    if (target.instant) {
      const { result } = await this.get<{ result: Result[] }>('query', { query, time: `${request.range.to.unix()}` });
      return target.format === 'table' ? [table(target, result)] : result.map((one) => line(target, one, step));
    }
    // On whole steps, so that the same point is asked for again when the range moves on.
    const start = Math.floor(request.range.from.unix() / step) * step;
    const end = Math.floor(request.range.to.unix() / step) * step;
    const parameters = { query, start: `${start}`, end: `${end}`, step: `${step}` };
    const { result } = await this.get<{ result: Result[] }>('query_range', parameters);
    return target.format === 'table' ? [table(target, result)] : result.map((one) => line(target, one, step));
  }

  private async get<T>(path: string, parameters: Record<string, string>): Promise<T> {
    // Form data: an expression can be longer than an address may be.
    const body = new URLSearchParams(parameters);
    const url = `${this.settings.prometheus}/api/v1/${path}`;
    const answer = path.startsWith('label') ? await fetch(`${url}?${body}`) : await fetch(url, { method: 'POST', body });
    const { status, data, error } = (await answer.json()) as { status: string; data: T; error?: string };
    if (status !== 'success') {
      throw new Error(error ?? `${path}: ${status}`);
    }
    return data;
  }
}

/** Several values become a regular expression, as Grafana's Prometheus data source makes it. */
function interpolate(text: string, scopedVars: ScopedVars): string {
  const scene = (scopedVars.__sceneObject as { value: { valueOf(): SceneObject } } | undefined)?.value.valueOf();
  const join = (value: unknown): string => (Array.isArray(value) ? `(${value.join('|')})` : String(value));
  return scene ? sceneGraph.interpolate(scene, text, scopedVars, join) : text;
}

function line(target: PrometheusQuery, { metric, values, value }: Result, step: number): DataFrame {
  const points = values ?? (value ? [value] : []);
  const name = target.legendFormat
    ? target.legendFormat.replace(/{{\s*(\w+)\s*}}/g, (_, label: string) => metric[label] ?? '')
    : selector(metric);
  return toDataFrame({
    refId: target.refId,
    name,
    fields: [
      // The interval makes a hole where a step has no point; else the line would run across.
      { name: 'Time', type: FieldType.time, values: points.map(([at]) => at * 1000), config: { interval: step * 1000 } },
      {
        name: 'Value',
        type: FieldType.number,
        labels: metric,
        values: points.map(([, text]) => number(text)),
        config: { displayNameFromDS: name },
      },
    ],
  });
}

/** The times in which a series has points: one event from the first of them to the last before a hole. */
function spells(frame: DataFrame): AnnotationEvent[] {
  const [time] = frame.fields;
  const step = time.config.interval ?? 0;
  const events: AnnotationEvent[] = [];
  for (const at of time.values as number[]) {
    const last = events.at(-1);
    if (last && at - last.timeEnd! <= step) {
      last.timeEnd = at;
    } else {
      events.push({ time: at, timeEnd: at, title: frame.name });
    }
  }
  return events;
}

function table(target: PrometheusQuery, result: Result[]): DataFrame {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const last = result.map(({ values, value }) => value ?? values?.at(-1) ?? ([0, 'NaN'] as [number, string]));
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: last.map(([at]) => at * 1000) },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        values: result.map(({ metric }) => metric[label] ?? ''),
      })),
      { name: `Value #${target.refId}`, type: FieldType.number, values: last.map(([, text]) => number(text)) },
    ],
  });
}

function selector(metric: Labels): string {
  const { __name__: name = '', ...labels } = metric;
  return `${name}{${Object.entries(labels).map(([label, value]) => `${label}="${value}"`).join(', ')}}`;
}

function number(text: string): number {
  return text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
}
