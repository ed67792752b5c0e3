/** One clock for every relative time on the page; it rests while nobody looks. */
class Now {
  ms = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.ms = Date.now();
    }, 5000);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.ms = Date.now();
    });
  }
}

export const now = new Now();
