// Every page of the GUI, loaded when it is first needed.
import type { Route } from './router.svelte';

export const routes: readonly Route[] = [
  { pattern: '/dashboard', section: 'dashboard', load: () => import('./pages/dashboard/Dashboard.svelte') },
  { pattern: '/devices', section: 'devices', load: () => import('./pages/devices/Devices.svelte') },
  { pattern: '/devices/:id/:tab?', section: 'devices', load: () => import('./pages/device/Device.svelte') },
  { pattern: '/sites', section: 'sites', load: () => import('./pages/sites/Sites.svelte') },
  { pattern: '/sites/:id', section: 'sites', load: () => import('./pages/sites/Site.svelte') },
  { pattern: '/jobs', load: () => import('./pages/jobs/Jobs.svelte') },
  { pattern: '/jobs/:id', load: () => import('./pages/jobs/Job.svelte') },
  { pattern: '/logs', section: 'logs', load: () => import('./pages/logs/Logs.svelte') },
  { pattern: '/settings/ports/confirm', bare: true, load: () => import('./pages/settings/ports/ConfirmPorts.svelte') },
  { pattern: '/settings/:topic?/:part?', section: 'settings', load: () => import('./pages/settings/Settings.svelte') },
  { pattern: '/login', bare: true, load: () => import('./pages/login/Login.svelte') },
  { pattern: '/setup', bare: true, load: () => import('./pages/setup/Setup.svelte') },
  ...(import.meta.env.DEV
    ? [{ pattern: '/styleguide', load: () => import('./pages/styleguide/Styleguide.svelte') }]
    : []),
];

export const notFound: Route = { pattern: '', load: () => import('./pages/notfound/NotFound.svelte') };
