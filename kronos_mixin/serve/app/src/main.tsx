// Draws the dashboard that the address names, as Grafana would: /d/UID?var-route=...&from=...&to=...&theme=light
import '@fontsource/inter/latin-400.css';
import '@fontsource/inter/latin-500.css';
import '@fontsource/inter/latin-600.css';

import { ThemeContext } from '@grafana/data';
import { LocationServiceProvider, locationService } from '@grafana/runtime';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';

import { type Loaded, type Settings, load } from './dashboard';
import { Prometheus } from './datasource';
import { plugins } from './panels';
import { start } from './platform';
import { Shell } from './shell';

async function main(): Promise<void> {
  const chosen = new URLSearchParams(window.location.search);
  const [settings, first] = await Promise.all([load<Settings>('/settings.json'), load<Loaded>('/dashboards.json')]);
  const theme = await start(chosen.get('theme') === 'light' ? 'light' : 'dark', new Prometheus(settings), plugins(settings.follow));
  createRoot(document.getElementById('root')!).render(
    <MemoryRouter>
      <LocationServiceProvider service={locationService}>
        <ThemeContext.Provider value={theme}>
          <GlobalStyles />
          <PortalContainer />
          <Shell settings={settings} first={first} chosen={chosen} theme={theme} />
        </ThemeContext.Provider>
      </LocationServiceProvider>
    </MemoryRouter>,
  );
}

main().catch((error: Error) => {
  window.failure = error.stack ?? String(error);
  document.body.append(Object.assign(document.createElement('pre'), { textContent: window.failure }));
});
