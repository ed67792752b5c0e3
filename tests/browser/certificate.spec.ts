// Settings > Ports & certificates: a certificate from a CA, as pebble gives and refuses it.
import { expect, inspect, logIn, test, visit } from "./page.ts";
import { Pebble } from "./pebble.ts";

test.use({ story: "the certificate" });

test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
});

test("names that a CA could not take are told before it is asked", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await visit(page, appliance, "/settings/ports");
  const section = page.getByRole("region", { name: "Certificate", exact: true });
  await section.getByRole("radio", { name: /^Let’s Encrypt/ }).check();
  await section.getByLabel("Names", { exact: true }).fill("https://net.example.org");
  await section.getByRole("button", { name: /get the certificate$/i }).click();
  await expect(section.getByText(/is no host name/)).toBeVisible();
  await expect(section.getByText("The CA gives certificates only to those who agree to its terms.")).toBeVisible();
  await inspect(page, info, "certificate-acme");
});

test("p2 a CA is asked, its certificate comes, and a CA that is gone is told with what to do", async ({ page, appliance }, info) => {
  await appliance.logIn();
  await appliance.api("PUT", "/nms/outbound", { allowed: ["127.0.0.1/32"] });
  const pebble = await Pebble.start(await appliance.port("http"), await appliance.port("https"));
  try {
    await logIn(page, appliance);
    await visit(page, appliance, "/settings/ports");
    const section = page.getByRole("region", { name: "Certificate", exact: true });
    await section.getByRole("radio", { name: /^Let’s Encrypt/ }).check();
    await section.getByLabel("Names", { exact: true }).fill("net.example.org");
    await section.getByLabel("CA", { exact: true }).selectOption({ label: "Another CA" });
    await section.getByLabel("Directory address of the CA").fill(pebble.directory);
    await section.getByRole("textbox", { name: "Root certificate of the CA" }).fill(pebble.root);
    await section.getByRole("checkbox", { name: "I agree to the terms of this CA" }).check();
    await section.getByRole("button", { name: /get the certificate$/i }).click();
    await expect(page.getByText("The CA is being asked.", { exact: false }).first()).toBeVisible();
    await inspect(page, info, "certificate-working");
    const now = page.getByRole("region", { name: "How it stands" });
    await expect(now.getByText(/Pebble/).first()).toBeVisible({ timeout: 60_000 });
    await inspect(page, info, "certificate-issued");
  } finally {
    await pebble.stop();
  }
  // A renewal that is due while nobody looks.
  await appliance.api("POST", "/nms/certificate/acme/retry");
  await visit(page, appliance, "/settings/ports");
  await expect(page.getByText("The last try did not bring a certificate.").first()).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText(/does not take connections/).first()).toBeVisible();
  await inspect(page, info, "certificate-failed");
});
