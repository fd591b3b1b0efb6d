// Prints the ids that Grafana itself knows: of units, reducers, colours, matchers and transformations. It needs the
// packages of the page (`npm ci` in kronos_mixin/serve/app). From the root of the repository:
//
//   node proof/grafana_vocabulary.cjs > kronos_mixin/check/grafana_vocabulary.json
const { createRequire } = require('node:module');

// The packages are made for a browser, and ask for its language as they load.
Object.defineProperty(globalThis, 'navigator', { value: { language: 'en-GB', languages: ['en-GB'] } });

const installed = createRequire(`${__dirname}/../kronos_mixin/serve/app/`);
const data = installed('@grafana/data');

const ids = (registry) => registry.list().map((item) => item.id);

const vocabulary = {
  source: `@grafana/data ${installed('@grafana/data/package.json').version}`,
  units: data.getValueFormats().flatMap((category) => category.submenu.map((unit) => unit.value)),
  reducers: ids(data.fieldReducers),
  colorModes: ids(data.fieldColorModeRegistry),
  colors: data.createTheme().visualization.hues.flatMap((hue) => hue.shades.map((shade) => shade.name)),
  matchers: ids(data.fieldMatchers),
  properties: Object.values(data.FieldConfigProperty),
  transformers: Object.values(data.standardTransformers).map((transformer) => transformer.id),
};

const sorted = Object.entries(vocabulary).map(([kind, value]) => [kind, Array.isArray(value) ? [...new Set(value)].sort() : value]);
console.log(JSON.stringify(Object.fromEntries(sorted), null, 1));
