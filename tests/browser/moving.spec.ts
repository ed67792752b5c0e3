// Settings > Ports & certificates: devices are told of their new address, and are waited for.
import { expect, inspect, logIn, test, visit } from "./page.ts";
import { freePort } from "./pebble.ts";

test.use({ story: "the move" });

test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
});

test("p5 devices that are told of a new address are counted until all know", async ({ page, appliance }, info) => {
  const device = await appliance.enrolDevice();
  await logIn(page, appliance);
  await visit(page, appliance, "/settings/ports");
  const port = await freePort();
  // The device sleeps while the address changes.
  appliance.freezeAgents();
  const section = page.getByRole("region", { name: "Addresses and ports" });
  await section.getByRole("button", { name: "Own port" }).click();
  await page.getByLabel("Addresses for devices, address 1", { exact: true }).fill(`127.0.0.1:${port}`);
  await section.getByRole("button", { name: "Save" }).click();
  const moving = page.getByRole("region", { name: "Devices move" });
  await expect(moving.getByText("0 of 1 device knows the new address")).toBeVisible();
  await expect(moving.getByRole("progressbar", { name: "Devices move" })).toHaveAttribute("aria-valuenow", "0");
  await expect(moving.getByRole("link")).toHaveAttribute("href", new RegExp(device));
  await inspect(page, info, "ports-moving");
  appliance.wakeAgents();
  // Once the last one knows, there is nothing to tell any more.
  await expect(moving).toBeHidden({ timeout: 60_000 });
  const now = page.getByRole("region", { name: "How it stands" });
  await expect(now.getByText(`Port ${port}`)).toBeVisible();
});
