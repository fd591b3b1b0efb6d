// Draws the dashboard that the address names, as Grafana would: /d/UID?var-route=...&from=...&to=...&theme=light
import '@fontsource/inter/latin-400.css';
import '@fontsource/inter/latin-500.css';
import '@fontsource/inter/latin-600.css';

import { ThemeContext } from '@grafana/data';
import { LocationServiceProvider, locationService } from '@grafana/runtime';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';

import { type Dashboard, type Settings, load } from './dashboard';
import { Prometheus } from './datasource';
import { plugins } from './panels';
import { start } from './platform';
import { scene } from './scene';
import { handle } from './verdicts';

async function draw(): Promise<void> {
  const chosen = new URLSearchParams(window.location.search);
  const uid = window.location.pathname.replace(/^\/d\/([^/]+).*$/, '$1');
  const [settings, dashboards] = await Promise.all([load<Settings>('/settings.json'), load<Dashboard[]>('/dashboards.json')]);
  const dashboard = dashboards.find((one) => one.uid === uid);
  if (!dashboard) {
    throw new Error(`No dashboard has the uid ${uid}; there are ${dashboards.map((one) => one.uid).join(', ')}`);
  }
  const theme = await start(chosen.get('theme') === 'light' ? 'light' : 'dark', new Prometheus(settings), plugins());
  const drawn = scene(dashboard, dashboards, chosen);
  document.title = dashboard.title;
  window.dashboard = handle(drawn, dashboard.panels.flatMap((one) => [one, ...(one.panels ?? [])]));
  createRoot(document.getElementById('root')!).render(
    <MemoryRouter>
      <LocationServiceProvider service={locationService}>
        <ThemeContext.Provider value={theme}>
          <GlobalStyles />
          <PortalContainer />
          <div id="page" style={{ background: theme.colors.background.canvas, minHeight: '100vh', padding: 16 }}>
            <drawn.Component model={drawn} />
          </div>
        </ThemeContext.Provider>
      </LocationServiceProvider>
    </MemoryRouter>,
  );
}

draw().catch((error: Error) => {
  window.failure = error.stack ?? String(error);
});
