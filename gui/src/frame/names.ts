interface Named {
  username: string;
  firstName?: string | null | undefined;
  lastName?: string | null | undefined;
}

export function fullName(user: Named): string {
  const name = [user.firstName, user.lastName].filter(Boolean).join(' ').trim();
  return name === '' ? user.username : name;
}

/** At most two letters: "Olga Novák" is ON, "admin" is AD. */
export function initials(name: string): string {
  const parts = name.split(/[\s._-]+/).filter((part) => part !== '');
  const [first, second] = parts;
  if (first === undefined) return '·';
  const letters = second === undefined ? [...first].slice(0, 2) : [[...first][0], [...second][0]];
  return letters.join('').toLocaleUpperCase();
}
