// What turns a Vite build into what the daemon embeds: integrity hashes on the entry's script and style tags, a preload
// of the font that every page is written in, and brotli and gzip beside each text asset, so that the daemon never compresses at run time.
import { createHash } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Plugin } from 'vite';

const COMPRESSED = /\.(?:js|css|html|svg|json|webmanifest)$/;
/** Below this a compressed copy saves less than its own header costs. */
const WORTH_COMPRESSING = 512;

const brotli = promisify(brotliCompress);
const deflate = promisify(gzip);

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Adds `integrity` to each script, style sheet and preload that the page names below `base`. */
async function withIntegrity(html: string, folder: string, base: string): Promise<string> {
  const tags = [...html.matchAll(/<(?:script|link)\b[^>]*?\b(?:src|href)="([^"]+\.(?:js|css))"[^>]*>/g)];
  let page = html;
  for (const [tag, address] of tags) {
    if (address === undefined || !address.startsWith(base)) continue;
    const body = await readFile(join(folder, address.slice(base.length)));
    const hash = createHash('sha384').update(body).digest('base64');
    page = page.replace(tag, tag.replace(/^<(\w+)/, `<$1 integrity="sha384-${hash}"`));
  }
  return page;
}

/** Lets the browser fetch the text font with the styles, not after it has read them. */
async function withFont(html: string, folder: string, base: string): Promise<string> {
  const font = (await filesBelow(folder)).find((file) => /\/inter-latin-[^/]*\.woff2$/.test(file));
  if (font === undefined) throw new Error('the text font is not in the build: see withFont');
  const address = base + relative(folder, font);
  return html.replace('</head>', `  <link rel="preload" as="font" type="font/woff2" crossorigin href="${address}" />\n  </head>`);
}

async function compress(file: string): Promise<void> {
  const body = await readFile(file);
  if (body.length < WORTH_COMPRESSING) return;
  const smallest = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length } };
  await writeFile(`${file}.br`, await brotli(body, smallest));
  await writeFile(`${file}.gz`, await deflate(body, { level: 9 }));
}

export function shipping(): Plugin {
  let folder = 'dist';
  let base = '/';
  return {
    name: 'aerie-shipping',
    apply: 'build',
    enforce: 'post',
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir);
      base = config.base;
    },
    async closeBundle() {
      const index = join(folder, 'index.html');
      const html = await withFont(await readFile(index, 'utf8'), folder, base);
      await writeFile(index, await withIntegrity(html, folder, base));
      const files = await filesBelow(folder);
      await Promise.all(files.filter((file) => COMPRESSED.test(file)).map(compress));
    },
  };
}
