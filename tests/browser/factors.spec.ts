// What changes second factors asks for one of them first, and another name of the appliance for a word before passkeys are lost.
import type { Browser, Locator, Page } from "@playwright/test";
import { account, type Appliance } from "./appliance.ts";
import { pair } from "./certificate.ts";
import { fingerprintReader, Phone } from "./factors.ts";
import { expect, fits, inspect, logIn, test, visit } from "./page.ts";

test.use({ story: "factors" });
test.describe.configure({ mode: "serial" });

/** A browser with the passkey, and one that was logged in before there was any factor. */
let here: Page;
let there: Page;
let phone: Phone;

async function window(browser: Browser): Promise<Page> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  return context.newPage();
}

const factorsOf = (page: Page): Locator => page.getByRole("region", { name: "Second factor", exact: true });
const passkeysOf = (page: Page): Locator => factorsOf(page).getByRole("list", { name: "Passkeys" });
const proofOf = (page: Page): Locator => page.getByRole("dialog", { name: "Confirm that it is you" });

async function open(page: Page, appliance: Appliance, topic: string): Promise<void> {
  await visit(page, appliance, `/settings/${topic}`);
  await expect(page.getByRole("heading", { level: 1, name: "Settings" })).toBeVisible();
}

async function addPasskey(page: Page, name: string): Promise<void> {
  await factorsOf(page).getByRole("button", { name: "Add a passkey" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a passkey" });
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByRole("button", { name: "Add" }).click();
}

test.beforeAll(async ({ browser, appliance }) => {
  await appliance.setUp();
  await appliance.logIn();
  await appliance.api("PUT", "/nms/certificate/own", pair("localhost"));
  [here, there] = [await window(browser), await window(browser)];
  await fingerprintReader(here);
  await logIn(there, appliance);
  await logIn(here, appliance);
});

test.beforeEach(async () => {
  // As the pictures of the test before left them, they would begin in dark.
  for (const page of [here, there]) await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
});

test.afterAll(async () => {
  await here.context().close();
  await there.context().close();
});

test("l5 the first passkey comes with recovery codes, which stay until they are kept", async ({ appliance }, info) => {
  await open(here, appliance, "account");
  await addPasskey(here, "Work laptop");
  const keep = here.getByRole("dialog", { name: "Keep your recovery codes" });
  await expect(keep.getByRole("listitem")).toHaveCount(10);
  await keep.getByRole("button", { name: "Close" }).click();
  await expect(here.getByText("Keep the codes and tick the box first.").first()).toBeVisible();
  await inspect(here, info, "passkey-codes");
  // What is said of it does not stand before the box.
  await keep.getByLabel("I have kept them").click();
  await keep.getByRole("button", { name: "Done" }).click();
  await expect(keep).toBeHidden();
  await expect(passkeysOf(here).getByText("Work laptop")).toBeVisible();
});

test("l5 another name of the appliance is asked for twice while an account has passkeys alone", async ({ appliance }, info) => {
  await open(here, appliance, "ports");
  const names = here.getByRole("region", { name: "Public names" });
  const host = names.getByLabel("Public host");
  const save = names.getByRole("button", { name: "Save" });
  const question = here.getByRole("alertdialog", { name: "Passkeys would be lost" });
  await host.fill("net.example.org");
  await save.click();
  await expect(question.getByText(`worth nothing: ${account.name}.`)).toBeVisible();
  await inspect(here, info, "passkeys-depend");
  await question.getByRole("button", { name: "Cancel" }).click();
  await expect(question).toBeHidden();
  // What was typed stays, and nothing was changed.
  await expect(host).toHaveValue("net.example.org");
  await here.reload();
  await expect(host).toHaveValue("localhost");

  await host.fill("net.example.org");
  await save.click();
  await question.getByRole("button", { name: "Change the name anyway" }).click();
  await expect(here.getByText("The public names are saved.")).toBeVisible();
  await open(here, appliance, "account");
  await expect(passkeysOf(here).getByText("Works at localhost only")).toBeVisible();
  await passkeysOf(here).scrollIntoViewIfNeeded();
  await inspect(here, info, "passkeys-elsewhere");
  await fits(here);
  // Back to its own name: nobody loses anything, and nobody is asked.
  await open(here, appliance, "ports");
  await host.fill("localhost");
  await save.click();
  await expect(names.getByRole("button", { name: "Save" })).toHaveAttribute("aria-disabled", "true");
  await expect(question).toBeHidden();
});

test("l5 an app is added once a passkey has proven who sits there", async ({ appliance }, info) => {
  await open(here, appliance, "account");
  await factorsOf(here).getByRole("button", { name: "Set up" }).click();
  const dialog = here.getByRole("dialog", { name: "Set up an authenticator app" });
  phone = await Phone.scan(dialog.getByRole("img", { name: "QR code for the authenticator app" }));
  const code = dialog.getByLabel("2. Code that the app shows now");
  await code.fill("000000");
  await dialog.getByLabel("3. Your password").fill(account.password);
  await dialog.getByRole("button", { name: "Turn on" }).click();
  const proof = proofOf(here);
  await expect(proof.getByText(/a stolen password is not enough/)).toBeVisible();
  await expect(proof.getByRole("button", { name: "Use a code" })).toBeVisible();
  await expect(proof.getByRole("button", { name: "Use the password" })).toBeHidden();
  await inspect(here, info, "step-up-passkey");
  await proof.getByRole("button", { name: "Use a passkey" }).click();
  await expect(proof).toBeHidden();
  // The proof holds for five minutes: what was wrong is sent again without it.
  await expect(code).toHaveAttribute("aria-invalid", "true");
  await code.fill(await phone.code());
  await dialog.getByRole("button", { name: "Turn on" }).click();
  await expect(factorsOf(here).getByText("On. A code from the app is asked for at login.")).toBeVisible();
  // The codes of the first factor are those of the account.
  await expect(factorsOf(here).getByText("10 of 10 left")).toBeVisible();
});

test("l5 a passkey is renamed wherever one is logged in", async ({ appliance }) => {
  await open(there, appliance, "account");
  await passkeysOf(there).getByRole("button", { name: "Rename Work laptop" }).click();
  const dialog = there.getByRole("dialog", { name: "Rename the passkey" });
  await dialog.getByLabel("Name").fill(" ");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByText("Give it a name.")).toBeVisible();
  await dialog.getByLabel("Name").fill("Laptop");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toBeHidden();
  await expect(passkeysOf(there).getByText("Laptop", { exact: true })).toBeVisible();
});

test("l5 the app is turned off once a code has proven who sits there, and the last passkey goes", async ({ appliance }, info) => {
  await open(there, appliance, "account");
  const factors = factorsOf(there);
  await factors.getByRole("button", { name: "Turn off" }).click();
  const off = there.getByRole("dialog", { name: "Turn the authenticator app off?" });
  await off.getByLabel("Your password").fill(account.password);
  await off.getByRole("button", { name: "Turn off" }).click();
  const proof = proofOf(there);
  const code = proof.getByLabel("Code from your app, or a recovery code");
  await code.fill("000000");
  await proof.getByRole("button", { name: "Confirm" }).click();
  await expect(code).toHaveAttribute("aria-invalid", "true");
  await inspect(there, info, "step-up-code");
  // Who thinks better of it has changed nothing.
  await proof.getByRole("button", { name: "Cancel" }).click();
  await expect(proof).toBeHidden();
  await inspect(there, info, "factor-off");
  await expect(factors.getByText("On. A code from the app is asked for at login.")).toBeVisible();
  await off.getByRole("button", { name: "Turn off" }).click();
  await code.fill(await phone.code());
  await proof.getByRole("button", { name: "Confirm" }).click();
  await expect(there.getByText("The authenticator app is off.")).toBeVisible();
  await expect(factors.getByRole("button", { name: "Set up" })).toBeVisible();
  await expect(factors.getByText("10 of 10 left")).toBeVisible();

  await passkeysOf(there).getByRole("button", { name: "Remove Laptop" }).click();
  const question = there.getByRole("alertdialog", { name: "Remove the passkey Laptop?" });
  await inspect(there, info, "passkey-remove");
  await question.getByRole("button", { name: "Remove passkey" }).click();
  await expect(factors.getByText("Your account has no second factor.")).toBeVisible();
  // Recovery codes go with the last factor, and a login asks for the password alone.
  await expect(factors.getByText("10 of 10 left")).toBeHidden();
  await there.getByRole("button", { name: "Log out" }).last().click();
  await logIn(there, appliance);
  await open(there, appliance, "audit");
  await expect(there.getByText("renamed a passkey: Work laptop, called Laptop now")).toBeVisible();
  await expect(there.getByText("removed a passkey: Laptop")).toBeVisible();
  await inspect(there, info, "audit-factors");
});
