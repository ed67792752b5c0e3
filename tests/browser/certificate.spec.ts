// Settings > Ports & certificates: a certificate from a CA. What the CA makes of it, the system tests ask pebble.
import { expect, inspect, logIn, test, visit } from "./page.ts";

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
