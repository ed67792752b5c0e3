// What every browser test does besides its story: watch for faults, take pictures, ask axe.
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test as base, type Page, type TestInfo } from "@playwright/test";
import { join } from "node:path";
import { account, Appliance } from "./appliance.ts";

const pictures = join(import.meta.dirname, "pictures");
const standards = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

type Standing = { story: string; appliance: Appliance };

/** A page that may not break its content security policy nor throw, and an appliance for each story. */
export const test = base.extend<{ page: Page }, Standing>({
  // Playwright hands a worker on from file to file, and its appliance with it; another story makes it start afresh.
  story: ["", { option: true, scope: "worker" }],
  appliance: [
    async ({ story }, use) => {
      if (story === "") throw new Error("say test.use({ story: … }) at the top of the file");
      const appliance = await Appliance.start();
      await use(appliance);
      await appliance.stop();
    },
    { scope: "worker" },
  ],
  page: async ({ page }, use) => {
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(`thrown: ${error.message}`));
    page.on("console", (line) => {
      if (/Content.Security.Policy|Refused to/i.test(line.text())) faults.push(line.text());
    });
    await use(page);
    expect(faults, "faults in the page").toEqual([]);
  },
});
export { expect };

/** Takes a picture and asks axe, in light and in dark. */
export async function inspect(page: Page, info: TestInfo, name: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    // The page hears of it in an event of its own.
    await expect(page.locator("html")).toHaveAttribute("data-theme", colorScheme);
    // Colours pass over, even in no time, one frame after another.
    await page.evaluate(async () => {
      await new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)));
      await Promise.allSettled(document.getAnimations().filter((one) => one instanceof CSSTransition).map(async (one) => one.finished));
    });
    await page.screenshot({ path: join(pictures, `${info.project.name}-${name}-${colorScheme}.png`) });
    // The mode without a page of its own for each question: there are no frames of other origins to ask, and it takes half the time.
    const { violations } = await new AxeBuilder({ page }).withTags(standards).setLegacyMode().analyze();
    const found = violations.map(({ id, help, nodes }) => ({ id, help, where: nodes.slice(0, 5).map((node) => node.html) }));
    expect.soft(found, `axe on ${name}, ${colorScheme}`).toEqual([]);
  }
}

/** Opens a place of the GUI. */
export async function visit(page: Page, appliance: Appliance, place: string): Promise<void> {
  await page.goto(`${appliance.url}/nms${place}`);
}

/** Types name and password; what comes next is the test's business. */
export async function enter(page: Page, appliance: Appliance, who: { name: string; password: string }): Promise<void> {
  await visit(page, appliance, "/login");
  await page.getByLabel("User name or e-mail").fill(who.name);
  await page.getByLabel("Password", { exact: true }).fill(who.password);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
}

export async function logIn(page: Page, appliance: Appliance, who = account): Promise<void> {
  await enter(page, appliance, who);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page).not.toHaveURL(/login/);
}

/** Nothing is wider than the screen. */
export async function fits(page: Page): Promise<void> {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(overflow, "the page scrolls sideways").toBeLessThanOrEqual(0);
}
