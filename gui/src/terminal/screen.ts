// The drawn terminal: xterm.js with its own element, which moves from page to page with what it shows.
// Loaded only when a terminal is opened.
import { FitAddon } from '@xterm/addon-fit';
import { Terminal, type ITheme } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { copyText } from '../components/copy';
import { styleSpansThroughObjectModel, withConstructedSheets } from './stylesheets';
import type { Screen } from './link.svelte';

/** Dark in both themes: what programs on devices paint is made for it. */
const THEME: ITheme = {
  background: '#0b0e12',
  foreground: '#e8ebf0',
  cursor: '#8fb0ff',
  cursorAccent: '#0b0e12',
  selectionBackground: '#2c4a8f',
  black: '#1c222b',
  red: '#ff7b72',
  green: '#5fd39a',
  yellow: '#f0b557',
  blue: '#7aa2ff',
  magenta: '#d2a8ff',
  cyan: '#5ad1de',
  white: '#b1bac6',
  brightBlack: '#77818f',
  brightRed: '#ffa198',
  brightGreen: '#8ff0bd',
  brightYellow: '#ffd184',
  brightBlue: '#a9c3ff',
  brightMagenta: '#e2c5ff',
  brightCyan: '#8ee9f2',
  brightWhite: '#ffffff',
};

export interface ScreenEvents {
  typed(text: string): void;
  typedBytes(binary: string): void;
  resized(): void;
  selected(something: boolean): void;
  /** The keyboard wants out: Ctrl-F6, since Tab belongs to the shell. */
  left(): void;
}

export class DrawnScreen implements Screen {
  /** Put it where the terminal is to be seen. */
  readonly element = document.createElement('div');
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #events: ScreenEvents;
  readonly #watcher: ResizeObserver;
  #opened = false;
  #frame = 0;

  constructor(events: ScreenEvents, label: string) {
    this.#events = events;
    this.element.className = 'terminal-screen';
    const mono = getComputedStyle(document.documentElement).getPropertyValue('--mono').trim();
    this.#terminal = new Terminal({
      theme: THEME,
      fontFamily: mono === '' ? 'monospace' : mono,
      fontSize: 13,
      lineHeight: 1.2,
      cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
      scrollback: 5000,
      minimumContrastRatio: 4.5,
      macOptionIsMeta: true,
      rightClickSelectsWord: false,
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.onData((text) => events.typed(text));
    this.#terminal.onBinary((binary) => events.typedBytes(binary));
    this.#terminal.onResize(() => events.resized());
    this.#terminal.onSelectionChange(() => events.selected(this.#terminal.hasSelection()));
    this.#terminal.attachCustomKeyEventHandler((event) => this.#key(event));
    this.#watcher = new ResizeObserver(() => this.fit());
    this.element.setAttribute('aria-label', label);
  }

  /** Shows it in `place`. It goes on where it was if it was shown before. */
  async showIn(place: HTMLElement): Promise<void> {
    place.append(this.element);
    if (!this.#opened) {
      this.#opened = true;
      // Cells are measured in the font: it has to be there before.
      await document.fonts.load(`13px ${this.#terminal.options.fontFamily ?? ''}`).catch(() => []);
      styleSpansThroughObjectModel();
      withConstructedSheets(() => this.#terminal.open(this.element));
    }
    this.#watcher.observe(this.element);
    this.fit();
    // Hidden, it may have missed its own redraw.
    this.#terminal.refresh(0, this.#terminal.rows - 1);
  }

  /** Takes it off the page and keeps it. */
  hide(): void {
    this.#watcher.disconnect();
    this.element.remove();
  }

  fit(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      if (this.element.isConnected && this.element.clientHeight > 0) this.#fit.fit();
    });
  }

  size(): { rows: number; columns: number } {
    return { rows: this.#terminal.rows, columns: this.#terminal.cols };
  }

  write(output: Uint8Array, taken: () => void): void {
    this.#terminal.write(output, taken);
  }

  /** A line of our own among the output, told apart by its look. */
  note(text: string): void {
    this.#terminal.write(`\r\n\x1b[0;7m ${text} \x1b[0m\r\n`);
  }

  clear(): void {
    this.#terminal.reset();
  }

  focus(): void {
    this.#terminal.focus();
  }

  async copy(): Promise<boolean> {
    const done = await copyText(this.#terminal.getSelection());
    this.#terminal.focus();
    return done;
  }

  paste(text: string): void {
    this.#terminal.paste(text);
    this.#terminal.focus();
  }

  dispose(): void {
    this.hide();
    this.#terminal.dispose();
  }

  /** True lets the terminal have the key. */
  #key(event: KeyboardEvent): boolean {
    if (event.type !== 'keydown') return true;
    if (event.key === 'F6' && event.ctrlKey) {
      event.preventDefault();
      this.#events.left();
      return false;
    }
    const control = event.ctrlKey && !event.altKey && !event.metaKey;
    const letter = event.key.toLowerCase();
    // Ctrl-C copies where something is selected, and interrupts where nothing is.
    if (control && letter === 'c' && (event.shiftKey || this.#terminal.hasSelection())) {
      event.preventDefault();
      if (this.#terminal.hasSelection()) void this.copy().then(() => this.#terminal.clearSelection());
      return false;
    }
    // Left to the browser, which pastes into the terminal's own field.
    return !(control && event.shiftKey && letter === 'v');
  }
}
