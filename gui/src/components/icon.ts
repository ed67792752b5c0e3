import type { LucideIcon } from '@lucide/svelte';

/** An icon of the Lucide set, imported one by one: `import Search from '@lucide/svelte/icons/search'`. */
export type IconType = LucideIcon;

/** What a state looks like: every tone has a shape of its own beside its colour. */
export type Tone = 'ok' | 'warn' | 'bad' | 'info' | 'idle';
