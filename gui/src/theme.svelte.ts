export type ThemeChoice = 'system' | 'light' | 'dark';

const KEY = 'aerie.theme';

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

class Theme {
  choice = $state<ThemeChoice>(stored());
  #system = $state(matchMedia('(prefers-color-scheme: dark)').matches);
  /** What is shown. Charts and terminals read their colours anew when it changes. */
  dark = $derived(this.choice === 'dark' || (this.choice === 'system' && this.#system));

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => {
      this.#system = event.matches;
      this.#apply();
    });
  }

  choose(choice: ThemeChoice): void {
    this.choice = choice;
    try {
      if (choice === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, choice);
    } catch {
      // It holds until the page is closed, then.
    }
    this.#apply();
  }

  #apply(): void {
    document.documentElement.dataset.theme = this.dark ? 'dark' : 'light';
  }
}

export const theme = new Theme();
