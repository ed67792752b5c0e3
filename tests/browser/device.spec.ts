// A device's life in the GUI: it is added, called, authorised, watched, typed on, renamed and deleted.
import { hostname } from "node:os";
import { until } from "./appliance.ts";
import { expect, inspect, logIn, test, visit } from "./page.ts";

test.use({ story: "a device's life" });
test.describe.configure({ mode: "serial" });

test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
});

test("d1 the key from the dialog is pasted into a device, and the device is authorised", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await visit(page, appliance, "/devices");
  await expect(page.getByText("No devices yet")).toBeVisible();
  await inspect(page, info, "devices-empty");

  await page.getByRole("button", { name: "Add device" }).first().click();
  const dialog = page.getByRole("dialog", { name: "Add a device" });
  await dialog.getByRole("button", { name: "Reveal" }).first().click();
  const key = await dialog.locator("code").first().innerText();
  expect(key).toMatch(/^wss:\/\/localhost:\d+\+[\w-]{48}\+/);
  await dialog.getByRole("button", { name: "Hide", exact: true }).first().click();
  await inspect(page, info, "add-device");

  await appliance.startAgent(key);
  await expect(dialog.getByText(`${hostname()} has called`)).toBeVisible();
  await dialog.getByRole("button", { name: "Done" }).click();

  const waiting = page.getByRole("region", { name: "Quarantine" });
  await expect(waiting.getByText("1 new device waits for you")).toBeVisible();
  await inspect(page, info, "devices-quarantine");
  await waiting.getByRole("button", { name: /^Authorise/ }).click();
  await page.getByLabel("Name of the new site").fill("Hilltop");
  await inspect(page, info, "authorise");
  await page.getByRole("dialog").getByRole("button", { name: "Authorise" }).click();
  await expect(waiting).toBeHidden();
  const list = page.getByRole("grid", { name: "Devices" }).or(page.getByRole("list", { name: "Devices" }));
  await expect(list.getByText("Hilltop").first()).toBeVisible();
  await expect(list.getByText("Connected").first()).toBeVisible();
  await inspect(page, info, "devices");
});

test("the charts move", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  const id = await appliance.onlyDevice();
  await visit(page, appliance, `/devices/${id}/charts`);
  const chart = page.locator("figure.chart", { has: page.locator("canvas") }).first();
  await expect(chart).toBeVisible();
  const drawn = () => chart.locator("canvas").first().evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
  const before = await drawn();
  await until("the chart has moved", async () => ((await drawn()) === before ? undefined : true));
  await inspect(page, info, "device-charts");
});

test("d3 a terminal opens on the device, echoes, and survives a page switch", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  const id = await appliance.onlyDevice();
  await visit(page, appliance, `/devices/${id}/terminal`);
  // A fresh login opens it at once; an older one asks for a click and the password.
  const screen = page.locator(".xterm-rows");
  await expect(screen).toBeVisible();
  // Typing begins once the device has answered: its prompt is on the screen.
  await expect(page.getByText("Connected to")).toBeVisible();
  await expect(screen).toContainText(/[$#]/);
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("mark=kept; echo six times seven is $((6*7))\n");
  await expect(screen).toContainText("six times seven is 42");
  await inspect(page, info, "device-terminal");

  // Elsewhere inside the GUI and back: the same shell.
  await page.getByRole("link", { name: "Events", exact: true }).first().click();
  await expect(page).toHaveURL(/events/);
  await page.getByRole("link", { name: "Terminal", exact: true }).first().click();
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("echo the mark is $mark\n");
  await expect(screen).toContainText("the mark is kept");
  await page.keyboard.type("exit 3\n");
  await expect(page.getByText("exit status 3")).toBeVisible();
});

test("a device is renamed in place", async ({ page, appliance }) => {
  await logIn(page, appliance);
  const id = await appliance.onlyDevice();
  await visit(page, appliance, `/devices/${id}`);
  await page.getByRole("button", { name: "Rename" }).first().click();
  await page.getByLabel("Name of the device").fill("Mast 7");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1 })).toContainText("Mast 7");
});

test("a device is deleted after one more question", async ({ page, appliance }) => {
  await logIn(page, appliance);
  const id = await appliance.onlyDevice();
  await visit(page, appliance, `/devices/${id}`);
  await page.getByRole("button", { name: "More" }).first().click();
  await page.getByRole("menuitem", { name: /Delete/ }).click();
  const question = page.getByRole("alertdialog");
  await expect(question).toContainText("Mast 7");
  const typed = question.getByRole("textbox");
  if (await typed.isVisible()) await typed.fill("Mast 7");
  await question.getByRole("button", { name: "Delete device" }).click();
  await expect(page).toHaveURL(/\/devices(\?|$)/);
  // It was told to forget this appliance, and comes back as a stranger.
  await expect(page.getByText("1 new device waits for you")).toBeVisible({ timeout: 60_000 });
});
