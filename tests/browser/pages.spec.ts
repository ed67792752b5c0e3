// Every page with something on it: axe in both themes, a picture, and nothing wider than the screen.
import { expect, fits, inspect, logIn, test, visit } from "./page.ts";

test.use({ story: "every page" });
let device = "";
test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
  device = await appliance.enrolDevice();
});

const places = [
  ["dashboard", "/dashboard"],
  ["devices-list", "/devices"],
  ["device", "/devices/{device}"],
  ["device-interfaces", "/devices/{device}/interfaces"],
  ["device-events", "/devices/{device}/events"],
  ["device-credentials", "/devices/{device}/credentials"],
  ["device-terminal-closed", "/devices/{device}/terminal"],
  ["device-missing", "/devices/00000000-0000-4000-8000-000000000000"],
  ["sites", "/sites"],
  ["logs", "/logs"],
  ["settings", "/settings"],
  ["settings-vault-none", "/settings/vault"],
  ["jobs-none", "/jobs"],
  ["job-missing", "/jobs/00000000-0000-4000-8000-000000000000"],
  ["settings-users", "/settings/users"],
  ["settings-audit", "/settings/audit"],
  ["settings-account", "/settings/account"],
  ["not-found", "/no-such-page"],
] as const;

test("the login page", async ({ page, appliance }, info) => {
  await visit(page, appliance, "/login");
  await expect(page.getByRole("button", { name: "Log in", exact: true })).toBeVisible();
  await inspect(page, info, "login");
});

for (const [name, place] of places) {
  test(`the page ${place}`, async ({ page, appliance }, info) => {
    await logIn(page, appliance);
    await visit(page, appliance, place.replace("{device}", device));
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
    await inspect(page, info, name);
    await fits(page);
  });
}
