// What gets in with the name of an account: logins, API tokens, app keys.
import { endOtherLogins, endToken, readTokens, type Token, type TokenKind } from '../../../api/tokens';

export class Holdings {
  list = $state.raw<readonly Token[] | null>(null);
  error = $state.raw<unknown>(null);
  readonly #all: boolean;

  /** `all`: everybody's, for admins. */
  constructor({ all = false }: { all?: boolean } = {}) {
    this.#all = all;
  }

  read = async (): Promise<void> => {
    try {
      this.list = await readTokens(this.#all);
      this.error = null;
    } catch (error) {
      this.error = error;
    }
  };

  /** The present login first, then by last use. */
  of(kind: TokenKind): readonly Token[] {
    const found = (this.list ?? []).filter((one) => one.aerie.kind === kind);
    return found.sort((a, b) => Number(b.currentSession) - Number(a.currentSession) || latest(b).localeCompare(latest(a)));
  }

  async end(id: string): Promise<void> {
    await endToken(id);
    this.list = (this.list ?? []).filter((one) => one.id !== id);
  }

  async endOthers(): Promise<void> {
    await endOtherLogins();
    await this.read();
  }
}

const latest = (one: Token): string => one.lastUsed ?? one.createdAt;
