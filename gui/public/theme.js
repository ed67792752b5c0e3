// Runs before the first paint, so that a dark page never flashes white. The switch itself is src/theme.svelte.ts.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem('aerie.theme');
  } catch {
    // Without storage the system's theme is right.
  }
  var dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
