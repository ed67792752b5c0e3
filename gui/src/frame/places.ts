import LayoutDashboard from '@lucide/svelte/icons/layout-dashboard';
import MapPin from '@lucide/svelte/icons/map-pin';
import Router from '@lucide/svelte/icons/router';
import ScrollText from '@lucide/svelte/icons/scroll-text';
import Settings from '@lucide/svelte/icons/settings';
import type { IconType } from '../components/icon';
import { words } from '../words/frame';

export interface Place {
  section: string;
  label: string;
  path: string;
  icon: IconType;
  /** Pressed after `g`. */
  key: string;
}

/** The rail, and the tabs on a phone. */
export const places: readonly Place[] = [
  { section: 'dashboard', label: words.dashboard, path: '/dashboard', icon: LayoutDashboard, key: 'd' },
  { section: 'devices', label: words.devices, path: '/devices', icon: Router, key: 'e' },
  { section: 'sites', label: words.sites, path: '/sites', icon: MapPin, key: 's' },
  { section: 'logs', label: words.logs, path: '/logs', icon: ScrollText, key: 'l' },
  { section: 'settings', label: words.settings, path: '/settings', icon: Settings, key: ',' },
];
