import { fileURLToPath } from 'node:url';

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  plugins: [react()],
  // The icons that @grafana/ui asks for by address.
  publicDir: here('node_modules/@grafana/ui/dist/public'),
  resolve: {
    // Editors and maps: @grafana/ui imports them, no panel here uses them, and they are the half of the build.
    alias: [{ find: /^(monaco-editor|@monaco-editor\/react|ol)(\/.*)?$/, replacement: here('src/unused.ts') }],
  },
  define: { 'process.env.NODE_ENV': '"production"', 'process.env.NODE_DEBUG': '""' },
  // Minifying takes longer than loading what it would save.
  build: { minify: false, reportCompressedSize: false, chunkSizeWarningLimit: 100_000 },
});
