import CircleHelp from '@lucide/svelte/icons/circle-question-mark';
import Inbox from '@lucide/svelte/icons/inbox';
import KeyRound from '@lucide/svelte/icons/key-round';
import ListChecks from '@lucide/svelte/icons/list-checks';
import LogOut from '@lucide/svelte/icons/log-out';
import MapPinPlus from '@lucide/svelte/icons/map-pin-plus';
import Moon from '@lucide/svelte/icons/moon';
import Plus from '@lucide/svelte/icons/plus';
import ScrollText from '@lucide/svelte/icons/scroll-text';
import ShieldCheck from '@lucide/svelte/icons/shield-check';
import Sun from '@lucide/svelte/icons/sun';
import UserPlus from '@lucide/svelte/icons/user-plus';
import UserRound from '@lucide/svelte/icons/user-round';
import UsersRound from '@lucide/svelte/icons/users-round';
import Vault from '@lucide/svelte/icons/vault';
import { logOut } from '../api/account';
import type { IconType } from '../components/icon';
import type { Device, Site } from '../live/shapes';
import { href, router } from '../router.svelte';
import { theme } from '../theme.svelte';
import { words } from '../words/frame';
import { frame } from './frame.svelte';
import { places } from './places';
import type { Target } from './search';

export interface Choice extends Target {
  icon?: IconType;
  /** A device's status, in place of an icon. */
  status?: string;
  run: () => void;
}

const go = (path: string, query?: Record<string, string>) => () => router.go(href(path, query));

export function pages(): Choice[] {
  return [
    ...places.map((place) => ({ id: `page-${place.section}`, title: place.label, icon: place.icon, run: go(place.path) })),
    {
      id: 'page-ports',
      title: words.portsAndCertificates,
      icon: ShieldCheck,
      also: ['https', 'tls', 'let’s encrypt', 'acme', 'proxy', 'hsts', 'inform'],
      run: go('/settings/ports'),
    },
    {
      id: 'page-vault',
      title: words.vault,
      icon: Vault,
      also: ['password', 'seal', 'unseal', 'key file', 'shares', 'pin', 'export', 'import'],
      run: go('/settings/vault'),
    },
    { id: 'page-jobs', title: words.jobs, icon: ListChecks, also: ['work', 'progress', 'rotation', 'tasks'], run: go('/jobs') },
    { id: 'page-users', title: words.users, icon: UsersRound, also: ['accounts', 'roles', 'offboard', 'people'], run: go('/settings/users') },
    { id: 'page-audit', title: words.audit, icon: ScrollText, also: ['who', 'history', 'logins'], run: go('/settings/audit') },
    {
      id: 'page-account',
      title: words.myAccount,
      icon: UserRound,
      also: ['password', 'e-mail', 'profile', '2fa', 'totp', 'passkey', 'recovery codes', 'logins', 'api token', 'app key'],
      run: go('/settings/account'),
    },
  ];
}

/** What can be done from anywhere. A Read-Only account is not offered what it may not do. */
export function actions(admin: boolean): Choice[] {
  const forAdmins: Choice[] = [
    { id: 'do-add-device', title: words.addDevice, icon: Plus, also: ['device key', 'new', 'qr'], run: go('/devices', { add: '1' }) },
    { id: 'do-add-site', title: words.addSite, icon: MapPinPlus, also: ['new'], run: go('/sites', { add: '1' }) },
    { id: 'do-rotate', title: words.rotate, icon: KeyRound, also: ['credentials', 'change'], run: go('/settings/vault', { rotate: '1' }) },
    { id: 'do-add-account', title: words.addAccount, icon: UserPlus, also: ['new', 'user'], run: go('/settings/users', { add: '1' }) },
  ];
  return [
    ...(admin ? forAdmins : []),
    { id: 'do-quarantine', title: words.seeQuarantine, icon: Inbox, also: ['authorise', 'unauthorized', 'new'], run: go('/devices', { status: 'unauthorized' }) },
    { id: 'do-dark', title: `${words.theme}: ${words.themeDark}`, icon: Moon, also: ['night'], run: () => theme.choose('dark') },
    { id: 'do-light', title: `${words.theme}: ${words.themeLight}`, icon: Sun, also: ['day'], run: () => theme.choose('light') },
    { id: 'do-help', title: words.help, icon: CircleHelp, also: ['keys'], run: () => (frame.helping = true) },
    { id: 'do-log-out', title: words.logOut, icon: LogOut, also: ['sign out'], run: () => void logOut().catch(() => undefined) },
  ];
}

export function deviceChoice(device: Device): Choice {
  const { identification: id } = device;
  return {
    id: `device-${id.id}`,
    title: id.displayName,
    note: [id.site?.name, device.ipAddress?.split('/')[0]].filter(Boolean).join(' · '),
    also: [id.mac, id.model, id.hostname, id.serialNumber, id.site?.name, ...device.ipAddressList],
    status: device.overview.status,
    run: go(`/devices/${id.id}`),
  };
}

export function siteChoice(site: Site): Choice {
  return {
    id: `site-${site.id}`,
    title: site.identification.name,
    note: site.description.address ?? undefined,
    also: [site.description.note],
    run: go(`/sites/${site.id}`),
  };
}
