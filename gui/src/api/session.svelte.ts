// The login of this browser: its token, and the account behind it.
import { setZone } from '../format';
import { words } from '../words/errors';
import type { components } from './schema';

export type User = components['schemas']['User'];

const PLACE = 'aerie.login';

/** Storage may be forbidden (a private window, a policy): then the login lives as long as the page. */
function stored(): string | null {
  try {
    return globalThis.localStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

function store(token: string | null): void {
  try {
    if (token === null) globalThis.localStorage.removeItem(PLACE);
    else globalThis.localStorage.setItem(PLACE, token);
  } catch {
    // It stays in this page's memory.
  }
}

class Session {
  token = $state<string | null>(stored());
  user = $state.raw<User | null>(null);
  /** The appliance ended the login, not the person: the login page says so. */
  endedByAppliance = $state(false);
  /** The token is being exchanged for another one: that the old one ends is no news. */
  renewing = false;

  constructor() {
    if (typeof window !== 'undefined') window.addEventListener('storage', this.#follow);
  }

  get admin(): boolean {
    return this.user?.aerie.admin ?? false;
  }

  /** What has to be done before the appliance lets this account do anything else. */
  get due(): User['aerie']['due'] {
    return this.user?.aerie.due ?? null;
  }

  /** Why this account cannot change things, for a button's `reason`; null for an admin. */
  get readOnly(): string | null {
    return this.admin ? null : words.readOnly;
  }

  /** The account as the appliance knows it now. */
  know(user: User): void {
    this.user = user;
    setZone(user.aerie.timezone);
  }

  /** A new login; without the account where the answer did not carry it. */
  begin(token: string, user: User | null): void {
    this.token = token;
    if (user) this.know(user);
    else this.user = null;
    this.endedByAppliance = false;
    store(token);
  }

  /** The token is worth nothing (any more). Everything that hangs on it reacts to its being gone. */
  end({ byAppliance = true }: { byAppliance?: boolean } = {}): void {
    if (this.token === null || this.renewing) return;
    this.token = null;
    this.user = null;
    this.endedByAppliance = byAppliance;
    store(null);
  }

  /** What other tabs did: a logout in one is a logout in all. */
  readonly #follow = (event: StorageEvent): void => {
    if (event.key !== PLACE && event.key !== null) return;
    const token = stored();
    if (token === this.token) return;
    this.user = null;
    this.token = token;
    this.endedByAppliance = false;
  };
}

export const session = new Session();
