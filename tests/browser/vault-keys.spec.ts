// The vault's keys and bounds: shares, another key pair, an app as proof, the limit, the export; who may not; devices that refuse.
import { readFile } from "node:fs/promises";
import type { Download, Locator, Page } from "@playwright/test";
import { type Appliance, until } from "./appliance.ts";
import { Phone } from "./factors.ts";
import { expect, fits, inspect, logIn, test, visit } from "./page.ts";

test.use({ story: "the vault's keys" });
test.describe.configure({ mode: "serial" });

const SECRET = "ten boats in the reeds";
const reader = { name: "ines", password: "a heron stood in Lake Orta" };
let keyFile = "";

test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
  const made = (await appliance.api("POST", "/vault/credentials", { isVaultEnabled: true })) as { keyFile: string };
  keyFile = made.keyFile;
  await appliance.api("POST", "/vault/key-file/prove", { keyFile });
  for (const label of ["Old lighthouse", "Harbour office"]) {
    await appliance.api("POST", "/vault/records", { label, username: "keeper", password: SECRET, sshPort: 2222 });
  }
});

const list = (page: Page): Locator => page.getByRole("grid", { name: "Credentials" }).or(page.getByRole("list", { name: "Credentials" }));
const panelOf = (page: Page): Locator => page.getByRole("complementary", { name: "Old lighthouse" });

async function open(page: Page, appliance: Appliance, part = ""): Promise<void> {
  await visit(page, appliance, `/settings/vault${part}`);
  await expect(page.getByRole("heading", { level: 1, name: "Settings" })).toBeVisible();
}

async function give(where: Locator, text: string): Promise<void> {
  await where.locator("input[type=file]").setInputFiles({ name: "vault.key.txt", mimeType: "text/plain", buffer: Buffer.from(text) });
}

const textOf = async (saved: Promise<Download>): Promise<string> => readFile(await (await saved).path(), "utf8");

/** A slip of the pen in the last group but one; the last is the check of the whole. */
const damaged = (share: string): string => share.trimEnd().replace(/(\S)(?=\s+\S+$)/, (letter) => (letter.toLowerCase() === "q" ? "p" : "q"));

test("v2 the key is split, two shares of three open the vault, and a damaged one is named", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance, "/keys");
  await page.getByRole("button", { name: "Split the key" }).click();
  const dialog = page.getByRole("dialog", { name: "Split the key into shares" });
  await dialog.getByLabel("How many of them open the vault").fill("4");
  await give(dialog, keyFile);
  await dialog.getByRole("button", { name: "Split it" }).click();
  await expect(dialog.getByText("Between 2 and 3.")).toBeVisible();
  await dialog.getByLabel("How many of them open the vault").fill("2");
  await inspect(page, info, "vault-split");
  await dialog.getByRole("button", { name: "Split it" }).click();
  const made = page.getByRole("dialog", { name: "3 shares, of which 2 open the vault" });
  await expect(made.getByRole("listitem")).toHaveCount(3);
  await inspect(page, info, "vault-shares");
  const done = made.getByRole("button", { name: "Done" });
  await page.keyboard.press("Escape");
  await expect(done).toHaveAttribute("aria-disabled", "true");
  await expect(done).toHaveAccessibleDescription(/the 3 shares that are left/);
  const shares: string[] = [];
  for (const number of [1, 2, 3]) {
    const saved = page.waitForEvent("download");
    await made.getByRole("button", { name: `Download: Share ${number}` }).click();
    shares.push(await textOf(saved));
  }
  await inspect(page, info, "vault-shares-taken");
  await done.click();
  await expect(page.getByText("2 of 3 shares open the vault.")).toBeVisible();

  await page.getByRole("button", { name: "Seal now" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Seal now" }).click();
  const unsealing = page.getByRole("region", { name: "Unseal the vault", exact: true });
  await unsealing.getByRole("button", { name: "Shares", exact: true }).click();
  const field = unsealing.getByRole("textbox");
  const hand = async (share: string): Promise<void> => {
    await field.fill(share);
    await unsealing.getByRole("button", { name: "Give this share" }).click();
  };
  await hand(damaged(shares[0] ?? ""));
  await expect(unsealing.locator(".error")).toContainText(/damaged in group 14/);
  await inspect(page, info, "vault-share-damaged");
  await hand(shares[0] ?? "");
  await expect(unsealing.getByRole("status").filter({ hasText: "1 of 2 shares given" })).toBeVisible();
  await hand(shares[0] ?? "");
  await expect(unsealing.locator(".error")).toContainText(/given already/);
  await inspect(page, info, "vault-unseal-shares");
  await fits(page);
  await hand(shares[2] ?? "");
  await expect(page.getByText("Open", { exact: true })).toBeVisible();
});

test("v2 after a new key pair the old key file is told as older, and the new one is given back", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance, "/keys");
  await page.getByRole("button", { name: "Make a new key pair" }).click();
  const dialog = page.getByRole("dialog", { name: "Make a new key pair" });
  await expect(dialog.getByText("2 credentials are sealed anew in the background.")).toBeVisible();
  await give(dialog, keyFile);
  await inspect(page, info, "vault-rekey");
  await dialog.getByRole("button", { name: "Make it" }).click();
  const sheet = page.getByRole("dialog", { name: "Your key to the vault" });
  const saved = page.waitForEvent("download");
  await sheet.getByRole("button", { name: "Download the key file", exact: true }).click();
  const renewed = await textOf(saved);
  await sheet.getByRole("button", { name: "I have kept both" }).click();
  const proving = page.getByRole("dialog", { name: "Prove that you have the key file" });
  await give(proving, keyFile);
  await expect(proving.locator(".problem")).toContainText("the key file of the former key pair; give the new one");
  await inspect(page, info, "vault-key-older");
  await give(proving, renewed);
  await expect(proving).toBeHidden();
  keyFile = renewed;
  await expect(page.getByText(/^Key file and shares of key pair 1 open only backups from before/)).toBeVisible();
  await expect(page.getByText("number 2", { exact: true })).toBeVisible();
  await expect(page.getByText("The key is not split.")).toBeVisible();
  await inspect(page, info, "vault-keys");
  await fits(page);
});

test("v1 an app proves a person to the vault, and beyond the limit it says what to do", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance, "/protection");
  await page.getByRole("button", { name: "Enrol an app" }).click();
  const dialog = page.getByRole("dialog", { name: "An app for the vault" });
  await give(dialog, keyFile);
  await dialog.getByRole("button", { name: "Continue" }).click();
  const phone = await Phone.scan(dialog.getByRole("img", { name: "QR code for the authenticator app" }));
  await inspect(page, info, "vault-app");
  await dialog.getByLabel("Code that the app shows").fill(await phone.code());
  await dialog.getByRole("button", { name: "Confirm" }).click();
  await expect(page.getByText("Enrolled", { exact: true })).toBeVisible();

  await page.getByRole("button", { name: "Change the limit" }).click();
  const limiting = page.getByRole("dialog", { name: "Change the limit" });
  await limiting.getByLabel("Openings an hour").fill("1");
  await give(limiting, keyFile);
  await limiting.getByRole("button", { name: "Change the limit" }).click();
  await expect(page.getByText("1 an hour; 1 left in this one.")).toBeVisible();

  await page.getByRole("link", { name: "Credentials", exact: true }).last().click();
  await list(page).getByRole("link", { name: "Old lighthouse" }).click();
  const reveal = panelOf(page).getByRole("button", { name: "Reveal", exact: true });
  await reveal.click();
  const question = page.getByRole("dialog", { name: "Prove it to the vault" });
  await question.getByLabel("Code from the vault’s app").fill(await phone.code());
  await inspect(page, info, "vault-proof-app");
  await question.getByRole("button", { name: "Confirm" }).click();
  await expect(panelOf(page).getByText(SECRET)).toBeVisible();
  await panelOf(page).getByRole("button", { name: "Hide", exact: true }).click();
  await reveal.click();
  await expect(panelOf(page).getByText(/export them with the key file/)).toBeVisible();
  await inspect(page, info, "vault-limit");
  await fits(page);
});

test("v3 what the limit does not give, an export with the key file does; a port and a credential are taken away", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance);
  await page.getByRole("button", { name: "Export" }).click();
  const dialog = page.getByRole("dialog", { name: "Export everything as CSV" });
  await give(dialog, keyFile);
  await inspect(page, info, "vault-export");
  const saved = page.waitForEvent("download");
  await dialog.getByRole("button", { name: "Export" }).click();
  const csv = await textOf(saved);
  expect(csv.split(SECRET)).toHaveLength(3);
  expect(csv).toContain("Harbour office");
  await expect(dialog).toBeHidden();

  await list(page).getByRole("link", { name: "Old lighthouse" }).click();
  const panel = panelOf(page);
  await expect(panel.getByText("2222")).toBeVisible();
  await panel.getByRole("button", { name: "Change", exact: true }).click();
  const changing = page.getByRole("dialog", { name: "Change the credential" });
  await changing.getByLabel("SSH port").fill("");
  await changing.getByRole("button", { name: "Save" }).click();
  await expect(changing).toBeHidden();
  await expect(panel.getByText("2222")).toHaveCount(0);
  // What stands above the list stays within reach beside the panel.
  if (info.project.name === "desktop") {
    await page.getByRole("button", { name: "Seal now" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Cancel" }).click();
  }
  await panel.getByRole("button", { name: "Delete", exact: true }).click();
  const asked = page.getByRole("alertdialog");
  await expect(asked.getByText(/The device keeps its password/)).toBeVisible();
  await asked.getByRole("textbox").fill("keeper");
  await inspect(page, info, "vault-delete");
  await asked.getByRole("button", { name: "Delete the credential" }).click();
  await expect(list(page).getByRole("link", { name: "Harbour office" })).toBeVisible();
  await expect(list(page).getByRole("link", { name: "Old lighthouse" })).toHaveCount(0);
});

test("v4 a device that refuses is tried again, and one whose policy forbids it says what to write there", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await appliance.follow(page);
  await appliance.api("DELETE", "/vault/proofs/totp", { keyFile });
  const key = (await appliance.api("GET", "/nms/connection")) as string;
  await appliance.startCrowd(key, 2, ["acknowledge", "refuse"]);
  await appliance.startAgent(key);
  type Device = { identification: { id: string }; overview: { status: string } };
  const devices = async () => (await appliance.api("GET", "/devices")) as Device[];
  const all = await until("three knock", async () => {
    const found = await devices();
    return found.length === 3 ? found : undefined;
  });
  const site = (await appliance.api("POST", "/sites", { name: "Reeds" })) as { id: string };
  await appliance.api("POST", "/devices/authorize", { siteId: site.id, deviceIds: all.map((one) => one.identification.id) });
  await until("all are active", async () => ((await devices()).every((one) => one.overview.status === "active") ? true : undefined));

  await open(page, appliance);
  await page.getByRole("button", { name: "Rotate", exact: true }).first().click();
  const dialog = page.getByRole("dialog", { name: "Rotate passwords" });
  await expect(dialog.getByText("1 device does not allow it and will be listed as failed.")).toBeVisible();
  await dialog.getByText("What will happen").scrollIntoViewIfNeeded();
  await inspect(page, info, "rotate-preview");
  await dialog.getByRole("button", { name: "Rotate 2 passwords" }).click();
  await expect(page.getByText("Done, with failures").first()).toBeVisible();
  await expect(page.getByText("1 of 3 done")).toBeVisible();
  const table = page.getByRole("table");
  await page.getByRole("button", { name: /^Failed/ }).click();
  await expect(table.getByText(/write the section \[passwords\]/)).toBeVisible();
  await expect(table.getByRole("row")).toHaveCount(3);
  await inspect(page, info, "job-failed");
  await fits(page);
  await page.getByRole("button", { name: "Jobs", exact: true }).click();
  await inspect(page, info, "job-tray-failed");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Retry 2 failed" }).click();
  await expect(page.getByText("2 of 3 done")).toBeVisible();
  await expect(page.getByRole("button", { name: "Retry 1 failed" })).toBeVisible();
  await expect(table.getByRole("row")).toHaveCount(2);

  const done = all[0]?.identification.id ?? "";
  await visit(page, appliance, `/devices/${done}/credentials`);
  await expect(page.getByText(/device (lets|does not let) the appliance set/i)).toBeVisible();
  await inspect(page, info, "device-credentials");
  await fits(page);
  await open(page, appliance, "/log");
  await expect(page.getByRole("list", { name: "Log" }).getByText("New passwords were made").first()).toBeVisible();
});

test("a Read-Only account sees that there is a vault, and why it may do nothing with it", async ({ page, appliance }, info) => {
  await appliance.logIn();
  await appliance.api("POST", "/users", {
    username: reader.name, email: "ines@example.net", role: "guest", password: reader.password, aerie: { forceChangePassword: false },
  });
  await logIn(page, appliance, reader);
  await open(page, appliance);
  // The reason stands within the button, after its name.
  for (const name of ["Seal now", "Add", "Import", "Export", "Rotate"]) {
    const button = page.getByRole("button", { name: new RegExp(`^${name}`) }).first();
    await expect(button).toHaveAttribute("aria-disabled", "true");
    await expect(button).toHaveAccessibleDescription(/Your account is Read-Only/);
  }
  await expect(page.getByText("Only admins see and change passwords.")).toBeVisible();
  await inspect(page, info, "vault-read-only");
  await fits(page);
  for (const [part, name] of [["/keys", "Split the key"], ["/protection", "Set a PIN"], ["/log", "Log"]] as const) {
    await open(page, appliance, part);
    await expect(page.getByRole("button", { name: new RegExp(`^${name}`) }).first()).toHaveAccessibleDescription(/Your account is Read-Only/);
  }
});
