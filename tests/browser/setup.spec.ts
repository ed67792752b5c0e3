// A new owner: from the bare appliance to the account, on a desktop and on a phone.
import { account } from "./appliance.ts";
import { expect, inspect, test, visit } from "./page.ts";

test.use({ story: "a new owner" });
test.describe.configure({ mode: "serial" });

test("d1 an owner sets the appliance up", async ({ page, appliance }, info) => {
  await visit(page, appliance, "/");
  await expect(page.getByRole("heading", { name: "Set-up code" })).toBeVisible();
  await inspect(page, info, "setup-code");

  // A wrong code is refused next to the field, and what was typed stays.
  await page.getByRole("textbox", { name: "Set-up code" }).fill("12345");
  await page.getByRole("button", { name: "Continue" }).click();
  await expect(page.getByText(/has 20 letters and digits/).last()).toBeVisible();
  await page.getByRole("textbox", { name: "Set-up code" }).fill(await appliance.setupCode());
  await page.getByRole("button", { name: "Continue" }).click();

  await page.getByLabel("User name").fill(account.name);
  await page.getByLabel("E-mail").fill("owner@example.net");
  await page.getByLabel("Password", { exact: true }).fill(account.password);
  await inspect(page, info, "setup-account");
  await page.getByRole("button", { name: "Continue" }).click();

  await page.getByLabel("Host name or IP address").fill("localhost");
  await inspect(page, info, "setup-appliance");
  await page.getByRole("button", { name: "Finish set-up" }).click();

  // The vault can be made now or later; who leaves it here finds it in the settings.
  await expect(page.getByRole("heading", { name: "Credentials vault" })).toBeVisible();
  await inspect(page, info, "setup-vault");
  await page.getByRole("button", { name: "Later" }).click();

  await expect(page.getByRole("heading", { name: "Ready" })).toBeVisible();
  await expect(page.getByText("Waiting for your first device")).toBeVisible();
  await inspect(page, info, "setup-ready");

  // The key on the page is the one that the API gives, and a device that gets it shows up there.
  const key = await page.locator("code").first().innerText();
  await appliance.startAgent(key);
  await expect(page.getByText(/ has called/)).toBeVisible();
});
