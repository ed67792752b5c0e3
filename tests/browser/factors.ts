// A phone with an authenticator app, made of two programs of Debian's: zbarimg reads the QR code, oathtool makes the codes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { until } from "./appliance.ts";

const STEP = 30;

/** What the code in a picture of the page says. */
async function scan(code: Locator): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "aerie-qr-"));
  try {
    const picture = join(folder, "qr.png");
    await code.screenshot({ path: picture });
    return execFileSync("zbarimg", ["--raw", "--quiet", "--nodbus", "-Sdisable", "-Sqrcode.enable", picture], { encoding: "utf8" }).trim();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export class Phone {
  private last = 0;
  /** What the QR code said. */
  readonly url: URL;
  private readonly secret: string;

  private constructor(url: URL, secret: string) {
    this.url = url;
    this.secret = secret;
  }

  static async scan(code: Locator): Promise<Phone> {
    const url = new URL(await scan(code));
    const secret = url.searchParams.get("secret");
    if (secret === null) throw new Error(`no secret in ${url.protocol}`);
    return new Phone(url, secret);
  }

  /** A code that counts now and was not used before. The appliance takes those of the step before and after
   * too; one of the step before could be over on its way. */
  async code(): Promise<string> {
    const step = await until("a fresh code", async () => {
      const present = Math.floor(Date.now() / 1000 / STEP);
      const fresh = Math.max(this.last + 1, present);
      return fresh <= present + 1 ? fresh : undefined;
    });
    this.last = step;
    const at = new Date(step * STEP * 1000).toISOString().replace("T", " ").replace(/\..*/, " UTC");
    return execFileSync("oathtool", ["--totp", "--base32", "--now", at, this.secret], { encoding: "utf8" }).trim();
  }
}

/** A fingerprint reader in the browser that always says yes. */
export async function fingerprintReader(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
}
