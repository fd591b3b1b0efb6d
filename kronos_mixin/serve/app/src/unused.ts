// Stands in for packages that @grafana/ui imports and these panels never use.
const nothing = (): null => null;

export default nothing;
export const editor = {};
export const languages = {};
export const KeyMod = {};
export const KeyCode = {};
export const loader = { config: (): void => undefined };
export {
  nothing as Range,
  nothing as Editor,
  nothing as DiffEditor,
  nothing as useMonaco,
};
