import { defineConfig } from 'vite';

/** The console as static files beside what `tsc` makes, where the gateway looks for them. */
export default defineConfig({
  root: import.meta.dirname,
  build: {
    outDir: '../dist/console',
    emptyOutDir: true,
    target: 'es2023',
    // Everything comes from the gateway itself; nothing is put into the page as data: or inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
});
