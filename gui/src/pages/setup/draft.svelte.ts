import { browserZone } from '../../zones';

const KEY = 'aerie.setup';
/** What outlives a reload of the page. Never the password, never the code. */
type Kept = Pick<Draft, 'username' | 'email' | 'host' | 'zone'>;

/** What has been typed so far. */
export class Draft {
  code = $state('');
  username = $state('');
  email = $state('');
  password = $state('');
  host = $state(location.hostname.replace(/^\[|\]$/g, ''));
  zone = $state(browserZone());

  constructor() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY) ?? '{}') as Partial<Kept>;
      this.username = kept.username ?? '';
      this.email = kept.email ?? '';
      this.host = kept.host ?? this.host;
      this.zone = kept.zone ?? this.zone;
    } catch {
      // It starts empty, then.
    }
  }

  keep(): void {
    const { username, email, host, zone } = this;
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ username, email, host, zone } satisfies Kept));
    } catch {
      // A reload begins anew, then.
    }
  }

  forget(): void {
    this.code = '';
    this.password = '';
    try {
      sessionStorage.removeItem(KEY);
    } catch {
      // There was nothing to remove.
    }
  }
}
