// Settings > Ports & certificates: how it stands, and changing the address that one stands on without being locked out.
import type { Page } from "@playwright/test";
import type { Appliance } from "./appliance.ts";
import { pair } from "./certificate.ts";
import { expect, fits, inspect, logIn, test, visit } from "./page.ts";
import { freePort } from "./pebble.ts";

test.use({ story: "the ports" });
test.describe.configure({ mode: "serial" });

test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
});

async function open(page: Page, appliance: Appliance): Promise<void> {
  await logIn(page, appliance);
  await visit(page, appliance, "/settings/ports");
  await expect(page.getByRole("heading", { name: "Addresses and ports" })).toBeVisible();
  await expect(page.getByRole("heading", { name: "Security contact and HSTS" })).toBeVisible();
}

/** Types another HTTPS address and saves; returns the dialog that asks to come by it. */
async function move(page: Page, port: number) {
  await page.getByLabel("HTTPS: GUI and API, address 1", { exact: true }).fill(`127.0.0.1:${port}`);
  await expect(page.getByText(/come by a new one within a minute/)).toBeVisible();
  const section = page.getByRole("region", { name: "Addresses and ports" });
  await section.getByRole("button", { name: "Save" }).click();
  const dialog = page.getByRole("dialog", { name: "Confirm the new address" });
  await expect(dialog.getByText(/\d+ s left/)).toBeVisible();
  return dialog;
}

test("the page tells how it stands", async ({ page, appliance }, info) => {
  await open(page, appliance);
  const now = page.getByRole("region", { name: "How it stands" });
  const port = new URL(appliance.url).port;
  await expect(now.getByText(`Port ${port} for this machine alone (127.0.0.1)`)).toBeVisible();
  await expect(now.getByText("As the boot file says")).toBeVisible();
  await expect(page.getByText(`wss://localhost:${port}`)).toBeVisible();
  await inspect(page, info, "ports");
  await fits(page);
});

test("what cannot be is told next to the field, before anything is sent", async ({ page, appliance }, info) => {
  await open(page, appliance);
  const section = page.getByRole("region", { name: "Addresses and ports" });
  await page.getByLabel("HTTPS: GUI and API, address 1", { exact: true }).fill("localhost:443");
  await section.getByRole("button", { name: "Save" }).click();
  await expect(section.getByText("Type an address and a port, such as 0.0.0.0:443 or [::]:443.")).toBeVisible();
  await section.getByRole("button", { name: "Own port" }).click();
  await expect(section.getByText("Type an address and port, or remove the line.")).toBeVisible();
  await inspect(page, info, "ports-wrong");
  await fits(page);
  await section.getByRole("button", { name: "Discard changes" }).click();
  await expect(section.getByText("Type an address and a port")).toBeHidden();
});

test("the public names go into the device key", async ({ page, appliance }) => {
  await open(page, appliance);
  const section = page.getByRole("region", { name: "Public names" });
  await section.getByLabel("Host for devices").fill("devices.example.net");
  await section.getByLabel("Port for devices").fill("444");
  await expect(section.getByText("wss://devices.example.net:444", { exact: true })).toBeVisible();
  await section.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The public names are saved.")).toBeVisible();
  expect(await appliance.api("GET", "/nms/connection")).toMatch(/^wss:\/\/devices\.example\.net:444\+/);
  await section.getByLabel("Host for devices").fill("");
  await section.getByLabel("Port for devices").fill("");
  await section.getByRole("button", { name: "Save" }).click();
  await expect(section.getByRole("button", { name: "Save" })).toHaveAttribute("aria-disabled", "true");
});

test("a trusted proxy that is everybody is refused", async ({ page, appliance }) => {
  await open(page, appliance);
  const section = page.getByRole("region", { name: "Reverse proxy" });
  await section.getByLabel("Trusted proxies").fill("0.0.0.0/0");
  await section.getByRole("button", { name: "Save" }).click();
  await expect(section.getByText(/would believe everybody/)).toBeVisible();
  await section.getByLabel("Trusted proxies").fill("192.0.2.7\n198.51.100.0/28");
  await section.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The trusted proxies are saved.")).toBeVisible();
});

test("p5 a change of the ports is undone", async ({ page, appliance }, info) => {
  await open(page, appliance);
  const port = await freePort();
  const dialog = await move(page, port);
  await inspect(page, info, "ports-confirm");
  await dialog.getByRole("button", { name: "Undo now" }).click();
  await expect(page.getByText("The change is undone. The ports are what they were.")).toBeVisible();
  const now = page.getByRole("region", { name: "How it stands" });
  await expect(now.getByText(`Port ${port}`)).toBeHidden();
  // What was typed stays, for another try.
  await expect(page.getByLabel("HTTPS: GUI and API, address 1", { exact: true })).toHaveValue(`127.0.0.1:${port}`);
});

test("a change that nobody confirmed says that it undid itself", async ({ page, appliance }, info) => {
  await open(page, appliance);
  await move(page, await freePort());
  // The appliance does the same when a minute is over.
  await appliance.api("POST", "/nms/ports/revert");
  await expect(page.getByText("The change undid itself")).toBeVisible();
  await inspect(page, info, "ports-undone");
});

test("an address beside the present one is confirmed from here by itself", async ({ page, appliance }) => {
  await open(page, appliance);
  const port = await freePort();
  const section = page.getByRole("region", { name: "Addresses and ports" });
  const add = section.getByRole("group", { name: "HTTPS: GUI and API" }).getByRole("button", { name: "Add an address" });
  await add.click();
  await expect(page.getByLabel("HTTPS: GUI and API, address 2", { exact: true })).toBeFocused();
  await page.getByLabel("HTTPS: GUI and API, address 2", { exact: true }).fill(`127.0.0.1:${port}`);
  await section.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The new ports hold.")).toBeVisible();
  // Away again: an HTTPS address goes, yet the one of this page stays.
  await section.getByRole("button", { name: "Remove HTTPS: GUI and API, address 2" }).click();
  await section.getByRole("button", { name: "Save" }).click();
  const now = page.getByRole("region", { name: "How it stands" });
  await expect(now.getByText(`Port ${port}`)).toBeHidden();
  await expect(page.getByRole("dialog")).toBeHidden();
});

test("p3 an own certificate is refused with the reason, and used when it fits", async ({ page, appliance }, info) => {
  await open(page, appliance);
  const section = page.getByRole("region", { name: "Certificate", exact: true });
  await section.getByRole("radio", { name: "Your own" }).check();
  const chain = section.getByLabel("Certificate and chain", { exact: true });
  const key = section.getByLabel("Private key", { exact: true });
  const mine = pair("localhost");

  // What the page sees by itself it says by itself.
  await chain.fill(mine.key);
  await key.fill(mine.chain);
  await section.getByRole("button", { name: "Use this certificate" }).click();
  await expect(section.getByText("There is a private key in it. Put the key in the other field.")).toBeVisible();
  await expect(section.getByText("There is no private key in it.")).toBeVisible();
  await inspect(page, info, "certificate-wrong");

  // What only the appliance knows comes with its reason, and the certificate before stays.
  await chain.fill(mine.chain);
  await key.fill(pair("localhost").key);
  await section.getByRole("button", { name: "Use this certificate" }).click();
  await expect(section.getByRole("alert").getByText("The certificate was not changed. The one before stays.")).toBeVisible();
  await expect(section.getByRole("alert")).toContainText(/key/i);
  await expect(chain).toHaveValue(mine.chain);
  await inspect(page, info, "certificate-refused");
  expect(((await appliance.api("GET", "/nms/certificate")) as { mode: string }).mode).toBe("selfSigned");

  await key.fill(mine.key);
  await section.getByRole("button", { name: "Check", exact: true }).click();
  await expect(section.getByText("It fits. This is what browsers would get:")).toBeVisible();
  await inspect(page, info, "certificate-checked");
  await fits(page);
  await section.getByRole("button", { name: "Use this certificate" }).click();
  await expect(page.getByText("The appliance uses your certificate now.")).toBeVisible();
  await expect(key).toHaveValue("");
  await inspect(page, info, "certificate-own");
  const now = page.getByRole("region", { name: "How it stands" });
  await expect(now.getByText("It does not renew by itself.")).toBeVisible();

  await section.getByRole("radio", { name: "Self-signed" }).check();
  await section.getByRole("button", { name: "Use a self-signed certificate" }).click();
  await expect(page.getByText("The appliance uses a self-signed certificate now.")).toBeVisible();
});

test("p5 a change of the ports is confirmed through the new address", async ({ page, context, appliance }, info) => {
  await open(page, appliance);
  const port = await freePort();
  const dialog = await move(page, port);
  const opened = context.waitForEvent("page");
  await dialog.getByRole("link", { name: `Open https://localhost:${port}` }).click();
  const there = await opened;
  await expect(there.getByText("The new ports hold")).toBeVisible();
  expect(there.url()).toBe(`https://localhost:${port}/nms/settings/ports/confirm`);
  await inspect(there, info, "ports-confirmed");
  await expect(page.getByRole("link", { name: `Go on at https://localhost:${port}` })).toBeVisible();
  await inspect(page, info, "ports-moved");

  // Somebody who comes a second time, or too late, is told so.
  await there.reload();
  await expect(there.getByText("Nothing to confirm here")).toBeVisible();
  await there.goto(`https://localhost:${port}/nms/settings/ports/confirm#confirm=${"A".repeat(43)}`);
  await there.reload();
  await expect(there.getByText("Too late to confirm")).toBeVisible();
});
