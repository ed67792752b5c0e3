const KEY = 'aerie.rail';

/** What is open in the frame itself. */
class FrameState {
  #searching = $state(false);
  #helping = $state(false);
  /** Has been opened once: from then on it stays mounted. */
  searched = $state(false);
  helped = $state(false);
  railClosed = $state(stored());

  get searching(): boolean {
    return this.#searching;
  }
  set searching(open: boolean) {
    this.#searching = open;
    if (open) this.searched = true;
  }

  get helping(): boolean {
    return this.#helping;
  }
  set helping(open: boolean) {
    this.#helping = open;
    if (open) this.helped = true;
  }

  toggleRail(): void {
    this.railClosed = !this.railClosed;
    try {
      localStorage.setItem(KEY, this.railClosed ? 'closed' : 'open');
    } catch {
      // It is remembered as long as the page lives, then.
    }
  }
}

function stored(): boolean {
  try {
    return localStorage.getItem(KEY) === 'closed';
  } catch {
    return false;
  }
}

export const frame = new FrameState();
