// What is around a dashboard while its mixin is being written: the choice among all, news of the mixin, and its errors.
import type { GrafanaTheme2 } from '@grafana/data';
import { sceneGraph } from '@grafana/scenes';
import { Alert, Stack } from '@grafana/ui';
import { Component, type ReactElement, type ReactNode, useEffect, useRef, useState } from 'react';

import { type Dashboard, type Loaded, type News, type Settings, load } from './dashboard';
import { complete } from './foreign';
import { type Page, scene } from './scene';
import { handle, values } from './verdicts';

let drawings = 0;

interface Drawn {
  /** Which drawing this is: another one starts afresh. */
  number: number;
  revision: number;
  all: Dashboard[];
  source: string;
  page?: Page;
  failure?: string;
}

/** The uid in the address; empty if there is none. */
function named(): string {
  return decodeURIComponent(/^\/d\/([^/]+)/.exec(window.location.pathname)?.[1] ?? '');
}

/** The dashboard that the address names, or else the first. */
function asked({ dashboards }: Loaded): Dashboard | undefined {
  const uid = named();
  return uid ? dashboards.find((one) => one.uid === uid) : dashboards[0];
}

function sourceOf(loaded: Loaded): string {
  return JSON.stringify(asked(loaded) ?? null);
}

function listed({ revision, dashboards }: Loaded): Pick<Drawn, 'revision' | 'all'> {
  return { revision, all: dashboards.map((one) => ({ ...one, title: one.title ?? one.uid, tags: one.tags ?? [] })) };
}

/** The page of the dashboard, with what has been chosen in it. */
function draw(loaded: Loaded, chosen: URLSearchParams, settings: Settings): Drawn {
  const found = { ...listed(loaded), source: sourceOf(loaded), number: ++drawings };
  delete window.failure;
  try {
    const given = asked(loaded);
    if (!given) {
      throw new Error(named() ? `No dashboard has the uid ${named()}; there are ${found.all.map(({ uid }) => uid).join(', ')}` : 'This mixin has no dashboards');
    }
    const dashboard = complete(given);
    const page = scene(dashboard, found.all, chosen, settings);
    document.title = dashboard.title;
    window.dashboard = handle(page, dashboard.panels.flatMap((one) => [one, ...(one.panels ?? [])]));
    return { ...found, page };
  } catch (error) {
    delete window.dashboard;
    window.failure = (error as Error).stack ?? String(error);
    return { ...found, failure: (error as Error).message };
  }
}

/** What is chosen on a page, as an address carries it. */
function chosenOn(page: Page): URLSearchParams {
  const chosen = new URLSearchParams(window.location.search);
  const { from, to } = sceneGraph.getTimeRange(page).state;
  chosen.set('from', from);
  chosen.set('to', to);
  chosen.set('refresh', page.state.refresh?.state.refresh ?? '');
  for (const [name, given] of Object.entries(values(page))) {
    chosen.delete(`var-${name}`);
    [given].flat().forEach((one) => chosen.append(`var-${name}`, String(one)));
  }
  return chosen;
}

export function Shell({ settings, first, chosen, theme }: { settings: Settings; first: Loaded; chosen: URLSearchParams; theme: GrafanaTheme2 }): ReactElement {
  const [drawn, setDrawn] = useState(() => draw(first, chosen, settings));
  const [wrong, setWrong] = useState('');
  const [lost, setLost] = useState(false);
  const current = useRef(drawn);
  current.current = drawn;
  useEffect(() => {
    if (!settings.follow) {
      return;
    }
    const events = new EventSource('/events');
    events.onopen = () => setLost(false);
    events.onerror = () => setLost(true);
    events.onmessage = async ({ data }: MessageEvent<string>) => {
      const { revision, error } = JSON.parse(data) as News;
      setWrong(error);
      const old = current.current;
      if (error || revision === old.revision) {
        return;
      }
      const loaded = await load<Loaded>('/dashboards.json');
      // If another dashboard has changed, this one goes on as it is, in the new list.
      const next = old.page && old.source === sourceOf(loaded) ? { ...old, ...listed(loaded) } : draw(loaded, old.page ? chosenOn(old.page) : chosen, settings);
      setDrawn(next);
      window.revision = next.revision;
    };
    return () => events.close();
  }, [settings, chosen]);
  const { page, failure, number, all } = drawn;
  return (
    <div id="page" style={{ background: theme.colors.background.canvas, minHeight: '100vh', padding: 16 }}>
      <Stack direction="column" gap={2}>
        {settings.follow && <Choice all={all} theme={theme} />}
        {lost && <Alert severity="warning" title="kronos-mixin serve does not answer: is it still running?" />}
        {wrong && <Wrong title="The mixin does not compile; this is the last that did" text={wrong} />}
        {failure && settings.follow && <Wrong title="This dashboard can't be drawn" text={failure} />}
        {page && (
          <Guard key={number}>
            <page.Component model={page} />
          </Guard>
        )}
      </Stack>
    </div>
  );
}

function Wrong({ title, text }: { title: string; text: string }): ReactElement {
  return (
    <Alert severity="error" title={title}>
      <pre data-wrong style={{ whiteSpace: 'pre-wrap', margin: 0 }}>{text}</pre>
    </Alert>
  );
}

/** All dashboards of the mixin. */
function Choice({ all, theme }: { all: Dashboard[]; theme: GrafanaTheme2 }): ReactElement {
  const { background, borderColor, text } = theme.components.input;
  const style = { ...theme.typography.body, alignSelf: 'flex-start', height: 32, padding: '0 8px', background, color: text, border: `1px solid ${borderColor}`, borderRadius: theme.shape.radius.default };
  return (
    <select
      aria-label="Dashboard"
      style={style}
      value={named() || all[0]?.uid}
      onChange={({ target }) => window.location.assign(`/d/${encodeURIComponent(target.value)}${window.location.search}`)}
    >
      {all.map(({ uid, title }) => (
        <option key={uid} value={uid}>
          {title}
        </option>
      ))}
    </select>
  );
}

/** Keeps what fails while it is drawn from taking down the page. */
class Guard extends Component<{ children: ReactNode }, { error?: Error }> {
  state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  componentDidCatch(error: Error): void {
    window.failure = error.stack ?? String(error);
  }

  render(): ReactNode {
    return this.state.error ? <Wrong title="This dashboard can't be drawn" text={this.state.error.message} /> : this.props.children;
  }
}
