// What the palette finds: plain functions over what the live store holds, so that an answer takes no round trip.

export interface Target {
  id: string;
  /** What is shown. */
  title: string;
  /** What is shown beside it, quieter. */
  note?: string | undefined;
  /** More that it is found by: addresses, serial numbers, synonyms. */
  also?: readonly (string | null | undefined)[];
}

/** Lower case without accents; a MAC address matches with and without its colons. */
export function folded(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase();
}

const bareMac = (text: string): string => text.replace(/[:.-]/g, '');

/** 0: no match; higher is better. Every word of the query must be found somewhere. */
export function score(target: Target, query: string): number {
  const wanted = folded(query).split(/\s+/).filter((word) => word !== '');
  if (wanted.length === 0) return 1;
  const title = folded(target.title);
  const rest = [target.note, ...(target.also ?? [])].flatMap((text) => (text ? [folded(text)] : []));
  let total = 0;
  for (const word of wanted) {
    const best = Math.max(inTitle(title, word), inRest(rest, word));
    if (best === 0) return 0;
    total += best;
  }
  return total / wanted.length;
}

function inTitle(title: string, word: string): number {
  if (title === word) return 100;
  if (title.startsWith(word)) return 80;
  const at = title.indexOf(word);
  if (at === -1) return 0;
  return /[\s._/-]/.test(title[at - 1] ?? '') ? 60 : 40;
}

function inRest(rest: readonly string[], word: string): number {
  let best = 0;
  for (const text of rest) {
    if (text === word) best = Math.max(best, 70);
    else if (text.startsWith(word)) best = Math.max(best, 50);
    else if (text.includes(word)) best = Math.max(best, 30);
    else if (word.length >= 4 && /^[0-9a-f:.-]+$/.test(word) && bareMac(text).includes(bareMac(word))) best = Math.max(best, 30);
  }
  return best;
}

export interface Found<T extends Target> {
  items: T[];
  /** How many more there are. */
  more: number;
}

/** The best `most` of them; equally good ones keep their order. */
export function best<T extends Target>(targets: Iterable<T>, query: string, most: number): Found<T> {
  const hits: { target: T; points: number }[] = [];
  for (const target of targets) {
    const points = score(target, query);
    if (points > 0) hits.push({ target, points });
  }
  hits.sort((one, other) => other.points - one.points);
  return { items: hits.slice(0, most).map((hit) => hit.target), more: Math.max(0, hits.length - most) };
}
