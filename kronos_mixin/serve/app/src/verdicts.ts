// What a test asks the page: how each panel is doing, which values a variable offers, and to choose one.
import { LoadingState } from '@grafana/data';
import { MultiValueVariable, VizPanel, sceneGraph } from '@grafana/scenes';

import type { Panel } from './dashboard';
import { Links, type Page } from './scene';

export interface Verdict {
  id: string;
  title: string;
  type: string;
  /** As Grafana calls it: Done, Error, Loading, ...; NotStarted for a panel without queries. */
  state: string;
  series: number;
  rows: number;
  /** The names of the lines, as the legend shows them. */
  names: string[];
  error: string;
  /** What the panel says instead of data, where it has none. */
  empty: string;
  /** All that can be read in it, the title included. */
  text: string;
  /** Titles and texts that don't fit into their place. */
  cut: string[];
  links: Array<{ title: string; address: string }>;
  /** Where it ends, in pixels from the top of the page. */
  bottom: number;
  /** The share of the panel's inside that its lines and axes have beside the legend; null for other kinds. */
  plotted: number | null;
}

export interface Handle {
  verdicts(): Verdict[];
  /** Whether all panels have been asked and drawn. */
  settled(): boolean;
  /** The values that each variable offers, but for All. */
  offers(): Record<string, string[]>;
  values(): Record<string, unknown>;
  /** Begin and end of the time range, in milliseconds. */
  time(): [number, number];
  choose(variable: string, values: string[]): void;
}

declare global {
  interface Window {
    dashboard?: Handle;
    failure?: string;
    /** The last news that was drawn. */
    revision?: number;
  }
}

/** What the variables are set to, by name, as an address has it: All is `$__all`, and not what it stands for. */
export function values(scene: Page): Record<string, unknown> {
  const { variables } = sceneGraph.getVariables(scene).state;
  return Object.fromEntries(variables.map(({ state }) => [state.name, (state as { value?: unknown }).value ?? '']));
}

export function handle(scene: Page, all: Panel[]): Handle {
  const panels = (): VizPanel[] => sceneGraph.findAllObjects(scene, (one) => one instanceof VizPanel) as VizPanel[];
  const variables = (): MultiValueVariable[] =>
    sceneGraph.getVariables(scene).state.variables.filter((one) => one instanceof MultiValueVariable);
  const byKey = new Map(all.map((one) => [`panel-${one.id}`, one]));
  const verdicts = (): Verdict[] => panels().map((one) => verdict(one, byKey.get(one.state.key ?? '')));
  return {
    verdicts,
    settled: () => {
      const waiting = variables().some((one) => sceneGraph.getVariables(scene).isVariableLoadingOrWaitingToUpdate(one));
      return !waiting && verdicts().every(({ state, rows, id }) => state !== 'Loading' && (rows === 0 || drawn(id)));
    },
    offers: () =>
      Object.fromEntries(variables().map(({ state }) => [state.name, state.options.map(({ value }) => String(value))])),
    values: () => values(scene),
    time: () => {
      const { from, to } = sceneGraph.getTimeRange(scene).state.value;
      return [from.valueOf(), to.valueOf()];
    },
    choose: (name, values) => {
      const found = variables().find(({ state }) => state.name === name);
      if (!found) {
        throw new Error(`There is no variable ${name}`);
      }
      found.changeValueTo(values);
    },
  };
}

function verdict(panel: VizPanel, source: Panel | undefined): Verdict {
  const { key = '', title, pluginId, titleItems } = panel.state;
  const asked = source?.targets?.length ? sceneGraph.getData(panel).state.data : undefined;
  const series = asked?.series ?? [];
  const place = element(key);
  return {
    id: key,
    title,
    type: pluginId,
    state: source?.targets?.length ? (asked?.state ?? LoadingState.Loading) : LoadingState.NotStarted,
    series: series.length,
    rows: series.reduce((sum, frame) => sum + frame.length, 0),
    names: series.flatMap((frame) => frame.fields.map((field) => field.config.displayName ?? field.config.displayNameFromDS ?? '').filter(Boolean)),
    error: (asked?.errors ?? []).map(({ message }) => message ?? 'unknown').join('; '),
    empty: place?.querySelector('[data-empty]')?.textContent ?? '',
    text: place?.textContent?.replace(title, '') ?? '',
    cut: place ? cut(place) : [],
    links: titleItems instanceof Links ? titleItems.state.links.map((link) => ({ title: link.title, address: titleItems.address(link) })) : [],
    bottom: place ? place.getBoundingClientRect().bottom + window.scrollY : 0,
    plotted: place ? plotted(place) : null,
  };
}

function element(key: string): Element | null {
  return document.querySelector(`[data-viz-panel-key="${key}"]`);
}

function drawn(key: string): boolean {
  const place = element(key);
  return place !== null && (place.querySelector('canvas, [role="grid"], [data-empty]') !== null || place.textContent!.length > 0);
}

function plotted(place: Element): number | null {
  const plot = place.querySelector('.uplot')?.getBoundingClientRect();
  const inside = place.querySelector('[data-testid="data-testid panel content"]')?.getBoundingClientRect();
  return plot && inside ? (plot.width * plot.height) / (inside.width * inside.height) : null;
}

/** Texts that an ellipsis or an edge cuts off, and lists that one would have to scroll. */
function cut(place: Element): string[] {
  return [...cutAcross(place), ...cutBelow(place)];
}

/** What only screen readers see is one pixel wide. */
function cutAcross(place: Element): string[] {
  return [...place.querySelectorAll<HTMLElement>('h2, h3, h4, h5, h6, span, button, [role="columnheader"], [role="gridcell"]')]
    .filter((one) => one.childElementCount === 0 && one.textContent && one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1)
    .map((one) => one.textContent ?? '');
}

function cutBelow(place: Element): string[] {
  return [...place.querySelectorAll<HTMLElement>('*')]
    .filter((one) => /auto|scroll/.test(getComputedStyle(one).overflowY) && one.scrollHeight > one.clientHeight + 1)
    .map((one) => `${one.scrollHeight} pixels of ${one.textContent?.slice(0, 40)}... in ${one.clientHeight}`);
}
