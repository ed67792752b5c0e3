import { counted } from '../format';

const devices = (n: number) => counted(n, 'device', 'devices');

export const words = {
  title: 'Dashboard',
  network: 'Network',
  allWell: (n: number) => (n === 1 ? 'Your device is connected' : `All ${devices(n)} are connected`),
  someGone: (gone: number, all: number) => `${gone} of ${devices(all)} ${gone === 1 ? 'is' : 'are'} disconnected`,
  onlyWaiting: (n: number) => `${devices(n)} in quarantine, none in your network yet`,
  connected: 'Connected',
  disconnected: 'Disconnected',
  quarantine: 'Quarantine',
  sites: 'Sites',
  ofAll: (n: number) => `of ${devices(n)}`,
  none: 'none',
  toAuthorise: 'to authorise',
  sitesDown: (n: number) => `${n} with an outage`,
  sitesWell: 'no outages',
  noSites: 'none yet',

  knocking: (n: number) => `${devices(n)} ${n === 1 ? 'waits' : 'wait'} in quarantine`,
  knockingHint: 'They have the device key and called here. They reach nothing until you let them in.',
  review: 'Review and authorise',

  attention: 'Needs attention',
  attentionAll: 'All disconnected devices',
  lastSeen: 'last seen',
  attentionNone: 'Nothing needs you right now.',
  more: (n: number) => `and ${n} more`,

  events: 'Recent events',
  allEvents: 'All events',
  eventsNone: 'Nothing has happened yet. What devices and people do is written here.',

  allSites: 'All sites',
  sitesMore: (n: number) => `and ${n} more`,
  siteDevices: devices,
  siteDown: (down: number, all: number) => `${down} of ${all} disconnected`,

  appliance: 'Appliance',
  uptime: 'Running for',
  cpu: 'Processor',
  ofCore: 'of one core',
  memory: 'Memory',
  store: 'Stored data',
  sessions: 'Device connections',

  emptyTitle: 'Add your first device',
  emptyHint: 'Put your device key into a device. It calls here, waits in quarantine, and you let it in.',
  emptyAction: 'Add a device',
  emptyReadOnly: 'An admin adds devices. They show up here as soon as they call.',
};
