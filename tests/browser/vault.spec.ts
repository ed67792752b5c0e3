// The vault: made, proven, sealed and unsealed; what it keeps is added, revealed and imported; devices get new passwords.
import { readFile } from "node:fs/promises";
import type { Locator, Page } from "@playwright/test";
import { type Appliance, until } from "./appliance.ts";
import { expect, fits, inspect, logIn, test, visit } from "./page.ts";

test.use({ story: "the vault" });
test.describe.configure({ mode: "serial" });

const PIN = "blue heron 41";
const SECRET = "nine lamps on the quay";
const CROWD = 5;
let keyFile = "";
let words: string[] = [];

test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
});

const section = (page: Page, name: string): Locator => page.getByRole("region", { name, exact: true });
const list = (page: Page): Locator => page.getByRole("grid", { name: "Credentials" }).or(page.getByRole("list", { name: "Credentials" }));

async function open(page: Page, appliance: Appliance, part = ""): Promise<void> {
  await visit(page, appliance, `/settings/vault${part}`);
  await expect(page.getByRole("heading", { level: 1, name: "Settings" })).toBeVisible();
}

/** Gives the key file, or what is said to be it, to the picker that is on the screen. */
async function give(where: Locator, text: string): Promise<void> {
  await where.locator("input[type=file]").setInputFiles({ name: "vault.key.txt", mimeType: "text/plain", buffer: Buffer.from(text) });
}

/** The pass is in the page's memory alone: a page that was loaded anew is asked again. */
async function givePin(page: Page): Promise<void> {
  const question = page.getByRole("dialog", { name: "Prove it to the vault" });
  await question.getByLabel("PIN of the vault").fill(PIN);
  await question.getByRole("button", { name: "Confirm" }).click();
}

async function sealNow(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Seal now" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Seal now" }).click();
  await expect(page.getByText("Sealed", { exact: true })).toBeVisible();
}

test("v2 the vault is made, its key is shown once, and the key file is given back", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance);
  await expect(page.getByText("No vault yet")).toBeVisible();
  await inspect(page, info, "vault-none");
  await page.getByRole("button", { name: "Make the vault" }).click();

  const sheet = page.getByRole("list", { name: "Master password" });
  await expect(sheet.locator("code")).toHaveCount(24);
  words = await sheet.locator("code").allInnerTexts();
  // Nobody goes on without the file.
  const next = page.getByRole("button", { name: "I have kept both" });
  await expect(next).toHaveAttribute("aria-disabled", "true");
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download the key file", exact: true }).click();
  keyFile = await readFile(await (await saved).path(), "utf8");
  expect(keyFile.length).toBeGreaterThan(200);
  await inspect(page, info, "vault-made");
  await fits(page);
  await next.click();
  await expect(page.getByText(words.slice(0, 3).join(" "))).toHaveCount(0);

  const main = page.getByRole("main");
  await give(main, keyFile.slice(0, keyFile.length / 2));
  await expect(main.locator(".problem")).not.toBeEmpty();
  await inspect(page, info, "vault-prove-wrong");
  await give(main, keyFile);
  await expect(page.getByText("Your key file opens this vault.")).toBeVisible();
  await expect(page.getByText("Open", { exact: true })).toBeVisible();
  await inspect(page, info, "vault-empty");
  await fits(page);
});

test("v1 a PIN is enrolled with the key file, and the vault asks for it before it opens anything", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance, "/protection");
  await inspect(page, info, "vault-protection");
  await page.getByRole("button", { name: "Set a PIN" }).click();
  const dialog = page.getByRole("dialog", { name: "A PIN for the vault" });
  await dialog.getByLabel("New PIN").fill("123");
  await dialog.getByRole("button", { name: "Set a PIN" }).click();
  await expect(dialog.getByText("A PIN has at least 6 characters.")).toBeVisible();
  await dialog.getByLabel("New PIN").fill(PIN);
  await dialog.getByLabel("The same again").fill(PIN);
  await give(dialog, keyFile);
  await inspect(page, info, "vault-pin");
  await dialog.getByRole("button", { name: "Set a PIN" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText("Enrolled", { exact: true })).toBeVisible();

  await open(page, appliance);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const adding = page.getByRole("dialog", { name: "Add a credential" });
  await adding.getByRole("button", { name: "Something else" }).click();
  await adding.getByRole("button", { name: "Save" }).click();
  await expect(adding.getByText("Say what it is for.")).toBeVisible();
  await adding.getByLabel("Label").fill("Backhaul portal");
  await expect(adding.getByText("Say what it is for.")).toHaveCount(0);
  await adding.getByLabel("Account", { exact: true }).fill("noc");
  await adding.getByLabel("Password", { exact: true }).fill(SECRET);
  await inspect(page, info, "vault-add");
  await adding.getByRole("button", { name: "Save" }).click();
  await expect(list(page).getByRole("link", { name: "Backhaul portal" })).toBeVisible();

  await list(page).getByRole("link", { name: "Backhaul portal" }).click();
  const panel = page.getByRole("complementary", { name: "Backhaul portal" });
  await expect(panel.getByText("Version 1")).toBeVisible();
  await inspect(page, info, "vault-credential");
  await panel.getByRole("button", { name: "Reveal", exact: true }).click();
  const question = page.getByRole("dialog", { name: "Prove it to the vault" });
  await question.getByLabel("PIN of the vault").fill("not the PIN");
  await question.getByRole("button", { name: "Confirm" }).click();
  await expect(question.locator('[aria-invalid="true"]')).toBeVisible();
  await inspect(page, info, "vault-proof");
  await givePin(page);
  await expect(panel.getByText(SECRET)).toBeVisible();
  await expect(panel.getByText(/^Hidden again in \d+ s$/).first()).toBeVisible();
  await inspect(page, info, "vault-revealed");
  await panel.getByRole("button", { name: "Hide", exact: true }).click();
  await expect(page.getByText(SECRET)).toHaveCount(0);

  await open(page, appliance, "/log");
  await expect(page.getByRole("list", { name: "Log" }).getByRole("listitem").first()).toBeVisible();
  await inspect(page, info, "vault-log");
});

test("v3 a sealed vault says so everywhere, stores, reveals nothing, and opens by words or file", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance);
  await sealNow(page);
  await inspect(page, info, "vault-sealed");
  await fits(page);
  await visit(page, appliance, "/dashboard");
  const banner = section(page, "Vault sealed");
  await expect(banner.getByText("The vault is sealed.")).toBeVisible();
  await inspect(page, info, "vault-sealed-banner");
  await fits(page);
  await banner.getByRole("link", { name: "Unseal" }).click();

  await list(page).getByRole("link", { name: "Backhaul portal" }).click();
  const reveal = page.getByRole("button", { name: /^Reveal/ }).first();
  await expect(reveal).toHaveAttribute("aria-disabled", "true");
  await expect(reveal).toHaveAccessibleDescription(/Unseal it first/);
  await page.getByRole("complementary").getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const adding = page.getByRole("dialog", { name: "Add a credential" });
  await adding.getByRole("button", { name: "Something else" }).click();
  await adding.getByLabel("Label").fill("Stored while sealed");
  await adding.getByLabel("Account", { exact: true }).fill("noc");
  await adding.getByLabel("Password", { exact: true }).fill("a second lamp");
  await adding.getByRole("button", { name: "Save" }).click();
  await expect(list(page).getByRole("link", { name: "Stored while sealed" })).toBeVisible();

  // A misspelt word is named with its place: at once, and by the vault itself.
  const unsealing = section(page, "Unseal the vault");
  await unsealing.getByRole("button", { name: "Words" }).click();
  const misspelt = words.map((word, index) => (index === 6 ? `${word}x` : word));
  await unsealing.getByLabel("Master password").fill(misspelt.join(" "));
  await expect(unsealing.getByText(`Word 7, “${words[6]}x”`)).toBeVisible();
  await unsealing.getByRole("button", { name: "Unseal" }).click();
  await expect(unsealing.locator(".error")).toContainText(/word 7/i);
  await inspect(page, info, "vault-misspelt");
  await unsealing.getByLabel("Master password").fill(words.join("\n").toUpperCase());
  await unsealing.getByRole("button", { name: "Unseal" }).click();
  await expect(page.getByText("Open", { exact: true })).toBeVisible();
  await expect(unsealing).toBeHidden();

  await sealNow(page);
  await unsealing.getByRole("button", { name: "Key file", exact: true }).click();
  await give(unsealing, keyFile);
  await expect(page.getByText("Open", { exact: true })).toBeVisible();
});

test("a CSV file with a wrong line is refused by its line, mended and imported", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance);
  await page.getByRole("button", { name: "Import" }).first().click();
  const dialog = page.getByRole("dialog", { name: "Import from CSV" });
  const file = (second: string): string => `label;username;password;ssh_port\nTower switch;admin;kept in a jar;22\nPump house;${second};also kept;22\n`;
  await dialog.getByLabel("Or paste its text").fill(file(""));
  await dialog.getByRole("button", { name: "Check it" }).click();
  await expect(dialog.getByRole("table", { name: "Lines to mend" }).getByRole("cell", { name: "3", exact: true })).toBeVisible();
  await inspect(page, info, "vault-import-errors");
  await dialog.getByLabel("Or paste its text").fill(file("admin"));
  await dialog.getByRole("button", { name: "Check it" }).click();
  await dialog.getByRole("button", { name: "Import 2 lines" }).click();
  await expect(dialog).toBeHidden();
  await expect(list(page).getByRole("link", { name: "Pump house" })).toBeVisible();
  await page.getByLabel("Search credentials").fill("tower");
  await expect(list(page).getByRole("link", { name: "Pump house" })).toBeHidden();
  await expect(page).toHaveURL(/q=tower/);
  await inspect(page, info, "vault-list");
});

test("v4 the passwords of devices are rotated with live progress, and a planned rotation is cancelled", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await appliance.follow(page);
  await appliance.startCrowd((await appliance.api("GET", "/nms/connection")) as string, CROWD);
  type Device = { identification: { id: string; authorized: boolean }; overview: { status: string } };
  const devices = async () => (await appliance.api("GET", "/devices")) as Device[];
  const all = await until("the crowd knocks", async () => {
    const found = await devices();
    return found.length === CROWD ? found : undefined;
  });
  const site = (await appliance.api("POST", "/sites", { name: "Valley" })) as { id: string };
  await appliance.api("POST", "/devices/authorize", { siteId: site.id, deviceIds: all.map((one) => one.identification.id) });
  await until("all are active", async () => ((await devices()).every((one) => one.overview.status === "active") ? true : undefined));

  await open(page, appliance);
  await page.getByRole("button", { name: "Rotate", exact: true }).first().click();
  const dialog = page.getByRole("dialog", { name: "Rotate passwords" });
  await dialog.getByRole("button", { name: "All devices" }).click();
  await expect(dialog.getByText(`${CROWD} passwords will be set.`)).toBeVisible();
  await inspect(page, info, "rotate");
  await fits(page);
  await dialog.getByRole("button", { name: `Rotate ${CROWD} passwords` }).click();
  await givePin(page);
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(page.getByText(`${CROWD} of ${CROWD} done`).first()).toBeVisible();
  await expect(page.getByRole("table").getByText("Done")).toHaveCount(CROWD);
  await inspect(page, info, "job-done");
  await fits(page);

  await open(page, appliance);
  await expect(list(page).getByText("Proven").first()).toBeVisible();
  await page.getByRole("button", { name: "Rotate", exact: true }).first().click();
  await dialog.getByRole("button", { name: "All devices" }).click();
  await dialog.getByLabel("In a maintenance window").check();
  await dialog.getByRole("button", { name: `Rotate ${CROWD} passwords` }).click();
  await expect(dialog.getByText("Say when the window begins.")).toBeVisible();
  await dialog.getByLabel("Begins").fill("2099-01-01T02:00");
  await dialog.getByRole("button", { name: `Rotate ${CROWD} passwords` }).click();
  await givePin(page);
  await expect(page.getByText("Waits for its maintenance window")).toBeVisible();
  await inspect(page, info, "job-waiting");
  await page.getByRole("button", { name: /job is running/ }).click();
  await expect(page.getByRole("region", { name: "Recent jobs" }).getByRole("link").first()).toBeVisible();
  await inspect(page, info, "job-tray");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Cancel the job" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Cancel the job" }).click();
  await expect(page.getByText("Cancelled", { exact: true }).first()).toBeVisible();
  await visit(page, appliance, "/jobs");
  await expect(page.getByRole("list", { name: "Jobs" }).getByRole("listitem")).toHaveCount(2);
  await inspect(page, info, "jobs");
});
