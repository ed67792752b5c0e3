import { PASSWORD_LEAST, passwordProblem } from '../../components/password';
import { words } from '../../words/setup';

export type Field = 'code' | 'username' | 'email' | 'password' | 'host' | 'zone';
export type Problems = Partial<Record<Field, string>>;
export type Typed = Record<Field, string>;

const CODE_LETTERS = 20;

export function codeProblems({ code }: Typed): Problems {
  const letters = code.replace(/[\s-]/g, '');
  if (letters === '') return { code: words.codeMissing };
  return letters.length === CODE_LETTERS ? {} : { code: words.codeLength(letters.length) };
}

export function accountProblems({ username, email, password }: Typed): Problems {
  const problems: Problems = {};
  if (username.trim() === '') problems.username = words.usernameMissing;
  if (!/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email.trim())) problems.email = words.emailWrong;
  const short = passwordProblem(password, PASSWORD_LEAST);
  if (short !== null) problems.password = short;
  return problems;
}

export function applianceProblems({ host }: Typed): Problems {
  const name = host.trim();
  const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i;
  const isName = name.length <= 253 && name.split('.').every((part) => label.test(part)) && !/(?:^|\.)\d+$/.test(name);
  const isV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(name);
  const isV6 = /^\[?[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*\]?$/i.test(name);
  return isName || isV4 || isV6 ? {} : { host: words.hostWrong };
}

/** A name that only this machine knows. */
export function isLocal(host: string): boolean {
  const name = host.trim().toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127\./.test(name);
}
