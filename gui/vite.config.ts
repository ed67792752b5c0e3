import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { shipping } from './build/shipping.ts';

/** Where `make run` serves the daemon; `npm run dev` passes API and sockets on to it. */
const DAEMON = process.env.AERIE_URL ?? 'https://localhost:8443';
/** The daemon takes a socket from its own origin only. */
const pass = { target: DAEMON, secure: false, changeOrigin: true, headers: { origin: DAEMON } };

export default defineConfig({
  base: '/nms/',
  plugins: [svelte(), shipping()],
  build: {
    target: 'es2022',
    outDir: 'dist',
    assetsDir: 'assets',
    // A data: font or icon would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // What many pages share comes in one piece: on a slow phone twenty small requests cost more than their bytes.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: 'shared', minShareCount: 4 }] } } },
  },
  server: {
    proxy: {
      '/nms/api': pass,
      '/nms/ws': { ...pass, ws: true },
      '/nms/shell': { ...pass, ws: true },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
