// xterm.js draws its rows with `<style>` elements and `style` attributes that it makes at run time. The appliance's
// content security policy forbids both (`style-src 'self'`), and rightly: it cannot tell them from smuggled ones.
// Sheets made by script and styles set through the object model are allowed, so what xterm.js writes is led there.

/** Runs what opens a terminal. The style elements that it makes become constructed style sheets. */
export function withConstructedSheets(open: () => void): void {
  const create = (name: string, options?: ElementCreationOptions): HTMLElement =>
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- through `call` the rule sees the wrong overload
    Document.prototype.createElement.call(document, name, options);
  const led = (name: string, options?: ElementCreationOptions): HTMLElement =>
    name.toLowerCase() === 'style' ? standIn(create('template')) : create(name, options);
  // xterm.js makes all of them while it opens; later it only writes into them.
  Object.defineProperty(document, 'createElement', { value: led, configurable: true });
  try {
    open();
  } finally {
    Reflect.deleteProperty(document, 'createElement');
  }
}

/** Looks enough like a style element: its text is a sheet of the document until it is removed. */
function standIn(element: HTMLElement): HTMLElement {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperty(element, 'textContent', { set: (text: string) => sheet.replaceSync(text), get: () => '' });
  Object.defineProperty(element, 'remove', {
    value: () => {
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
      Element.prototype.remove.call(element);
    },
  });
  return element;
}

/**
 * Cells in colours beyond the palette get theirs by `setAttribute('style', …)`. On spans, that now goes through the
 * object model, where the policy allows the same thing. A span's other attributes are not touched.
 */
export function styleSpansThroughObjectModel(): void {
  if (Object.hasOwn(HTMLSpanElement.prototype, 'setAttribute')) return;
  Object.defineProperty(HTMLSpanElement.prototype, 'setAttribute', {
    configurable: true,
    value(this: HTMLSpanElement, name: string, value: string): void {
      if (name === 'style') this.style.cssText = value;
      else Element.prototype.setAttribute.call(this, name, value);
    },
  });
}
