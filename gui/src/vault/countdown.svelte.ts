/** A secret that is shown for a while. It is forgotten when the time is over, or with whoever shows it. */
export class Shown<T> {
  value = $state.raw<T | null>(null);
  /** Whole seconds until it is hidden. */
  left = $state(0);
  #timer: ReturnType<typeof setInterval> | undefined;

  show(value: T, seconds: number): void {
    this.hide();
    this.value = value;
    const end = Date.now() + seconds * 1000;
    const count = (): void => {
      this.left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
      if (this.left === 0) this.hide();
    };
    count();
    this.#timer = setInterval(count, 250);
  }

  hide = (): void => {
    clearInterval(this.#timer);
    this.value = null;
    this.left = 0;
  };
}
