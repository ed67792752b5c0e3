// Accounts: second factors, the people of the appliance and what they may do, logins elsewhere, tokens, the audit log.
import type { Locator, Page } from "@playwright/test";
import { account, type Appliance } from "./appliance.ts";
import { pair } from "./certificate.ts";
import { fingerprintReader, Phone } from "./factors.ts";
import { enter, expect, fits, inspect, logIn, test, visit } from "./page.ts";

test.use({ story: "accounts" });
test.describe.configure({ mode: "serial" });

const helper = { name: "nora", password: "a kite above the old mill" };
let phone: Phone;
let recovery: string[] = [];

test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
});

const section = (page: Page, name: string): Locator => page.getByRole("region", { name, exact: true });

async function open(page: Page, appliance: Appliance, topic: string): Promise<void> {
  await visit(page, appliance, `/settings/${topic}`);
  await expect(page.getByRole("heading", { level: 1, name: "Settings" })).toBeVisible();
}

/** Logs the owner in with the next of the recovery codes: unlike the app, they need no waiting for a fresh one. */
async function enterWithRecovery(page: Page, appliance: Appliance): Promise<void> {
  await enter(page, appliance, account);
  await page.getByRole("button", { name: "Use a recovery code instead" }).click();
  await page.getByLabel("Recovery code").fill(recovery.pop() ?? "");
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await expect(page).not.toHaveURL(/login/);
}

/** What an account menu holds of one account. */
async function choose(page: Page, name: string, act: string): Promise<void> {
  await page.getByRole("button", { name: `Actions for ${name}` }).click();
  await page.getByRole("menuitem", { name: act }).click();
}

test("an account is added with a password that is made for it, and is asked for its own", async ({ page, appliance, browser }, info) => {
  await logIn(page, appliance);
  await open(page, appliance, "users");
  await inspect(page, info, "users-alone");
  await page.getByRole("button", { name: "Add an account" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Add the account" }).click();
  await expect(dialog.getByText("Choose a user name.")).toBeVisible();
  await dialog.getByLabel("User name").fill(helper.name);
  await dialog.getByLabel("E-mail").fill("nora@example.net");
  await inspect(page, info, "users-add");
  await dialog.getByRole("button", { name: "Add the account" }).click();
  await expect(dialog.getByText("It is shown this one time.")).toBeVisible();
  const given = await dialog.locator("code").innerText();
  await inspect(page, info, "users-added");
  await dialog.getByRole("button", { name: "Done" }).click();
  await expect(page.getByRole("list", { name: "Accounts" }).getByRole("button", { name: helper.name, exact: true })).toBeVisible();
  await inspect(page, info, "users");
  await fits(page);

  const theirs = await browser.newContext({ ignoreHTTPSErrors: true });
  const there = await theirs.newPage();
  await enter(there, appliance, { ...helper, password: given });
  await expect(there.getByRole("heading", { name: "Choose a new password" })).toBeVisible();
  await there.getByLabel("Password that you were given").fill(given);
  await there.getByLabel("New password", { exact: true }).fill("short");
  await there.getByRole("button", { name: "Change the password" }).click();
  await expect(there.getByText("Too short: add 10 characters.")).toBeVisible();
  await inspect(there, info, "due-password");
  await there.getByLabel("New password", { exact: true }).fill(helper.password);
  await there.getByRole("button", { name: "Change the password" }).click();
  await expect(there.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  await theirs.close();
});

test("the login begins in the name, and stays where one types", async ({ page, appliance }) => {
  await visit(page, appliance, "/login");
  const name = page.getByLabel("User name or e-mail");
  await expect(name).toBeFocused();
  await page.keyboard.type(helper.name);
  await expect(name).toHaveValue(helper.name);
  await page.keyboard.press("Tab");
  await page.keyboard.type("not the right one");
  await page.keyboard.press("Enter");
  await expect(page.getByText("The user name or the password is wrong.")).toBeVisible();
  await expect(page.getByLabel("Password", { exact: true })).toBeFocused();
});

test("l4 a Read-Only account sees what it may not do, and why", async ({ page, appliance }, info) => {
  await logIn(page, appliance, helper);
  await open(page, appliance, "users");
  const add = page.getByRole("button", { name: "Add an account" });
  await expect(add).toHaveAttribute("aria-disabled", "true");
  await expect(add).toHaveAccessibleDescription(/Your account is Read-Only/);
  await inspect(page, info, "users-read-only");
  await open(page, appliance, "audit");
  await expect(page.getByRole("button", { name: "Read it" })).toHaveAttribute("aria-disabled", "true");
  await inspect(page, info, "audit-read-only");
  await open(page, appliance, "account");
  await expect(page.getByRole("button", { name: "Make an app key" })).toHaveAttribute("aria-disabled", "true");
  await page.getByRole("button", { name: "Make a token" }).click();
  await expect(page.getByRole("dialog").getByRole("radio")).toHaveCount(1);
});

test("l2 a login elsewhere is shown, and ends from here", async ({ page, appliance, browser }, info) => {
  const theirs = await browser.newContext({ ignoreHTTPSErrors: true });
  const there = await theirs.newPage();
  await logIn(there, appliance, helper);
  await logIn(page, appliance, helper);
  await open(page, appliance, "account");
  const logins = section(page, "Where you are logged in");
  await expect(logins.getByText("This login")).toHaveCount(1);
  await inspect(page, info, "account-logins");
  await logins.getByRole("button", { name: "End all others" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "End all others" }).click();
  await expect(page.getByText("All your other logins are ended.")).toBeVisible();
  await expect(logins.getByRole("listitem")).toHaveCount(1);
  await expect(there).toHaveURL(/login/);
  await expect(there.getByText("Your login has ended.")).toBeVisible();

  await logIn(there, appliance, helper);
  await page.reload();
  await logins.getByRole("button", { name: /^End the login of / }).click();
  await expect(logins.getByRole("listitem")).toHaveCount(1);
  await expect(there).toHaveURL(/login/);
  await theirs.close();
});

test("a changed password ends every other login, and this one goes on", async ({ page, appliance, browser }) => {
  const theirs = await browser.newContext({ ignoreHTTPSErrors: true });
  const there = await theirs.newPage();
  await logIn(there, appliance, helper);
  await logIn(page, appliance, helper);
  await open(page, appliance, "account");
  const password = section(page, "Password");
  await password.getByLabel("Present password").fill("not this one at all");
  await password.getByLabel("New password", { exact: true }).fill("two kites above the old mill");
  await password.getByRole("button", { name: "Change password" }).click();
  await expect(password.getByLabel("Present password")).toHaveAttribute("aria-invalid", "true");
  // A name of its own is among what is easily guessed: the appliance says so.
  await password.getByLabel("Present password").fill(helper.password);
  await password.getByLabel("New password", { exact: true }).fill("passwordpassword");
  await password.getByRole("button", { name: "Change password" }).click();
  await expect(password.getByLabel("New password", { exact: true })).toHaveAttribute("aria-invalid", "true");
  helper.password = "two kites above the old mill";
  await password.getByLabel("New password", { exact: true }).fill(helper.password);
  await password.getByRole("button", { name: "Change password" }).click();
  await expect(page.getByText("Your password is changed.")).toBeVisible();
  await expect(there).toHaveURL(/login/);
  await page.reload();
  await expect(section(page, "Where you are logged in").getByRole("listitem")).toHaveCount(1);
  await theirs.close();
});

test("l4 a token is shown once, works, and is revoked", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance, "account");
  const tokens = section(page, "API tokens");
  await tokens.getByRole("button", { name: "Make a token" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Make it" }).click();
  await expect(dialog.getByText("Give it a name.")).toBeVisible();
  await dialog.getByLabel("Name").fill("Billing script");
  await dialog.getByRole("radio", { name: "Admin" }).check();
  await dialog.getByLabel("May do risky actions too").check();
  await dialog.getByRole("button", { name: "Make it" }).click();
  await expect(dialog.getByText("Name at least one address")).toBeVisible();
  await inspect(page, info, "token-make");
  await dialog.getByLabel("May do risky actions too").uncheck();
  await dialog.getByRole("button", { name: "Make it" }).click();
  await expect(dialog.getByText("It is shown this one time.")).toBeVisible();
  const token = await dialog.locator("code").innerText();
  await inspect(page, info, "token-made");
  await dialog.getByRole("button", { name: "Done" }).click();
  await expect(tokens.getByText("Billing script")).toBeVisible();
  expect((await appliance.get("/nms/version", token)).status).toBe(200);
  await tokens.getByRole("button", { name: "Revoke Billing script" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke" }).click();
  await expect(tokens.getByText("You have no API tokens.")).toBeVisible();
  expect((await appliance.get("/nms/version", token)).status).toBe(401);
});

test("the audit log says who did what, from where", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance, "audit");
  await expect(page.getByText("from 127.0.0.1").first()).toBeVisible();
  await inspect(page, info, "audit");
  await fits(page);
  await page.getByLabel("Account", { exact: true }).selectOption(helper.name);
  await expect(page.getByRole("listitem").filter({ hasText: account.name })).toHaveCount(0);
  await expect(page).toHaveURL(/who=/);
  await page.getByLabel("What", { exact: true }).selectOption("logged in");
  await expect(page.getByRole("listitem").filter({ hasText: `${helper.name} logged in` }).first()).toBeVisible();
});

test("l5 an app is set up with its QR code, and logins ask for its codes", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await open(page, appliance, "account");
  const factors = section(page, "Second factor");
  await expect(factors.getByText("Your account has no second factor.")).toBeVisible();
  await inspect(page, info, "account");
  await fits(page);
  await factors.getByRole("button", { name: "Set up" }).click();
  const dialog = page.getByRole("dialog", { name: "Set up an authenticator app" });
  phone = await Phone.scan(dialog.getByRole("img", { name: "QR code for the authenticator app" }));
  expect(phone.url.protocol).toBe("otpauth:");
  const typed = (await dialog.locator("code").innerText()).replaceAll(" ", "");
  expect(typed).toBe(phone.url.searchParams.get("secret"));
  await dialog.getByLabel("2. Code that the app shows now").fill("000000");
  await dialog.getByLabel("3. Your password").fill(account.password);
  await dialog.getByRole("button", { name: "Turn on" }).click();
  await expect(dialog.getByRole("textbox", { name: /^2\./ })).toHaveAttribute("aria-invalid", "true");
  await inspect(page, info, "factor-enrol");
  await dialog.getByLabel("2. Code that the app shows now").fill(await phone.code());
  await dialog.getByRole("button", { name: "Turn on" }).click();

  const keep = page.getByRole("dialog", { name: "Keep your recovery codes" });
  await expect(keep.getByRole("listitem")).toHaveCount(10);
  recovery = await keep.getByRole("listitem").allInnerTexts();
  expect(new Set(recovery).size).toBe(10);
  await inspect(page, info, "factor-codes");
  // They are shown once: nothing takes them away unread.
  await page.keyboard.press("Escape");
  await expect(keep).toBeVisible();
  const saved = page.waitForEvent("download");
  await keep.getByRole("button", { name: "Download" }).click();
  expect((await saved).suggestedFilename()).toBe(`recovery-codes-${account.name}.txt`);
  await keep.getByLabel("I have kept them").check();
  await keep.getByRole("button", { name: "Done" }).click();
  await expect(keep).toBeHidden();
  await expect(factors.getByText("On. A code from the app is asked for at login.")).toBeVisible();
  await expect(factors.getByText("10 of 10 left")).toBeVisible();
  await inspect(page, info, "factor-on");

  await factors.page().getByRole("button", { name: "Log out" }).last().click();
  await enter(page, appliance, account);
  const code = page.getByLabel("Code from your app");
  await expect(code).toBeFocused();
  await expect(code).toHaveAttribute("autocomplete", "one-time-code");
  await inspect(page, info, "login-code");
  await code.fill("000000");
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await expect(code).toHaveAttribute("aria-invalid", "true");
  await inspect(page, info, "login-code-wrong");
  await code.fill(await phone.code());
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await expect(page).not.toHaveURL(/login/);
});

test("l5 a recovery code gets one in once, and the account is told", async ({ page, appliance }, info) => {
  await enter(page, appliance, account);
  await page.getByRole("button", { name: "Use a recovery code instead" }).click();
  await page.getByLabel("Recovery code").fill(recovery[0]?.toUpperCase() ?? "");
  await inspect(page, info, "login-recovery");
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await expect(page).not.toHaveURL(/login/);
  const told = section(page, "What happened to your account");
  await expect(told.getByText(/recovery code/i).first()).toBeVisible();
  await inspect(page, info, "account-notices");
  await fits(page);
  await told.getByRole("button", { name: "Dismiss" }).click();
  await expect(told).toBeHidden();
  await page.reload();
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(told).toBeHidden();
  await open(page, appliance, "account");
  await expect(section(page, "Second factor").getByText("9 of 10 left")).toBeVisible();

  await page.getByRole("button", { name: "Log out" }).last().click();
  await enter(page, appliance, account);
  await page.getByRole("button", { name: "Use a recovery code instead" }).click();
  await page.getByLabel("Recovery code").fill(recovery[0] ?? "");
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await expect(page.getByLabel("Recovery code")).toHaveAttribute("aria-invalid", "true");
});

test("l5 a passkey is added once the certificate allows it, and logs in alone", async ({ page, appliance }, info) => {
  await fingerprintReader(page);
  await enterWithRecovery(page, appliance);
  await open(page, appliance, "account");
  const factors = section(page, "Second factor");
  // With a certificate of the appliance's own making there are none, and the page says why.
  await expect(factors.getByText("Passkeys cannot be used now")).toBeVisible();
  await expect(factors.getByRole("button", { name: "Add a passkey" })).toHaveAttribute("aria-disabled", "true");
  await inspect(page, info, "passkey-unavailable");

  await appliance.follow(page);
  await appliance.api("PUT", "/nms/certificate/own", pair("localhost"));
  await page.reload();
  await factors.getByRole("button", { name: "Add a passkey" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a passkey" });
  await dialog.getByRole("button", { name: "Add" }).click();
  await expect(dialog.getByText("Give it a name.")).toBeVisible();
  await dialog.getByLabel("Name").fill("Work laptop");
  await inspect(page, info, "passkey-add");
  await dialog.getByRole("button", { name: "Add" }).click();
  await expect(dialog).toBeHidden();
  const list = factors.getByRole("list", { name: "Passkeys" });
  await expect(list.getByText("Work laptop")).toBeVisible();
  await list.getByRole("button", { name: "Rename Work laptop" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("Laptop");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect(list.getByText("Laptop", { exact: true })).toBeVisible();
  await inspect(page, info, "passkeys");

  // Alone, without name and password.
  await page.getByRole("button", { name: "Log out" }).last().click();
  await page.getByRole("button", { name: "Log in with a passkey" }).click();
  await expect(page).not.toHaveURL(/login/);

  // And as the second step.
  await open(page, appliance, "account");
  await page.getByRole("button", { name: "Log out" }).last().click();
  await enter(page, appliance, account);
  await inspect(page, info, "login-passkey");
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await expect(page).not.toHaveURL(/login/);
  await open(page, appliance, "account");
  await list.getByRole("button", { name: "Remove Laptop" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Remove passkey" }).click();
  await expect(list).toBeHidden();
});

test("l5 a second factor for everybody is asked for before anything else", async ({ page, appliance, browser }, info) => {
  await enterWithRecovery(page, appliance);
  await open(page, appliance, "users");
  const everybody = section(page, "Second factor for everybody");
  await everybody.getByLabel("Everybody needs a second factor").check();
  await everybody.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The setting is saved.")).toBeVisible();

  const theirs = await browser.newContext({ ignoreHTTPSErrors: true });
  const there = await theirs.newPage();
  await enter(there, appliance, helper);
  await expect(there.getByRole("heading", { name: "Add a second factor" })).toBeVisible();
  const next = there.getByRole("button", { name: "Continue" });
  const form = there.getByRole("img", { name: "QR code for the authenticator app" });
  await expect(next.or(form)).toBeVisible();
  if (await next.isVisible()) await next.click();
  const other = await Phone.scan(form);
  await there.getByLabel("2. Code that the app shows now").fill(await other.code());
  await there.getByLabel("3. Your password").fill(helper.password);
  await inspect(there, info, "due-factor");
  await there.getByRole("button", { name: "Turn on" }).click();
  await expect(there.getByRole("heading", { name: "Keep your recovery codes" })).toBeVisible();
  await there.getByLabel("I have kept them").check();
  await there.getByRole("button", { name: "Continue" }).click();
  await expect(there.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  await theirs.close();

  await everybody.getByLabel("Everybody needs a second factor").uncheck();
  await everybody.getByRole("button", { name: "Save" }).click();
  await expect(everybody.getByRole("button", { name: "Save" })).toHaveAttribute("aria-disabled", "true");
});

test("a password is reset, a second factor turned off, and somebody leaves", async ({ page, appliance }, info) => {
  await enterWithRecovery(page, appliance);
  await open(page, appliance, "users");
  const row = page.getByRole("list", { name: "Accounts" }).getByRole("listitem").filter({ hasText: "nora@example.net" });
  await expect(row.getByText("Second factor")).toBeVisible();
  await choose(page, helper.name, "Turn the second factor off");
  await page.getByRole("alertdialog").getByRole("button", { name: "Turn it off" }).click();
  await expect(row.getByText("Password only")).toBeVisible();
  await choose(page, helper.name, "Reset the password");
  const reset = page.getByRole("dialog");
  await inspect(page, info, "users-reset");
  await reset.getByRole("button", { name: "Reset the password" }).click();
  await expect(reset.getByText("It is shown this one time.")).toBeVisible();
  await reset.getByRole("button", { name: "Done" }).click();
  await expect(row.getByText("New password due")).toBeVisible();
  // Nobody sends themselves away.
  await page.getByRole("button", { name: `Actions for ${account.name}` }).click();
  await expect(page.getByRole("menuitem", { name: /^Delete/ })).toHaveAttribute("aria-disabled", "true");
  await page.keyboard.press("Escape");

  await choose(page, helper.name, "Offboard");
  const dialog = page.getByRole("dialog", { name: `Offboard ${helper.name}` });
  await expect(dialog.getByText("The account is disabled.")).toBeVisible();
  await inspect(page, info, "users-offboard");
  await dialog.getByLabel(`Type ${helper.name} to confirm`).fill(helper.name);
  await dialog.getByRole("button", { name: "Offboard" }).click();
  const done = page.getByRole("dialog", { name: `${helper.name} is offboarded` });
  await expect(done.getByText("Made anew")).toBeVisible();
  await inspect(page, info, "users-offboarded");
  await done.getByRole("button", { name: "Done" }).click();
  await expect(row.getByText("Disabled")).toBeVisible();
});

test("who guesses is told how long to wait, and the page counts it down", async ({ page, appliance }, info) => {
  await visit(page, appliance, "/login");
  await page.getByLabel("User name or e-mail").fill("nobody");
  const submit = page.getByRole("button", { name: "Log in", exact: true });
  const waiting = page.getByRole("button", { name: /^Wait \d+ s$/ });
  // The waits double: the first are over before anybody could read them.
  const seconds = async (): Promise<number> => ((await waiting.isVisible()) ? parseInt((await waiting.innerText()).slice(5)) : 0);
  for (let guess = 0; guess < 30 && (await seconds()) < 4; guess += 1) {
    await expect(submit).toBeEnabled();
    await page.getByLabel("Password", { exact: true }).fill(`guess number ${guess}`);
    const answered = page.waitForResponse(/\/user\/login$/);
    await submit.click();
    await answered;
    await expect(submit.or(waiting)).not.toHaveAttribute("aria-busy", "true");
  }
  await expect(waiting).toBeDisabled();
  await expect(page.getByText("You can try again when the time on the button is over.")).toBeVisible();
  // Passkeys cannot be guessed: they wait for nobody's guesses.
  await expect(page.getByRole("button", { name: "Log in with a passkey" })).toBeEnabled();
  await inspect(page, info, "login-wait");
  // It opens again by itself.
  await expect(submit).toBeEnabled({ timeout: 90_000 });
});
