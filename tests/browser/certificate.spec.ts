// Settings > Ports & certificates: the owner's own certificate, as OpenSSL makes it.
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inspect, logIn, test, visit } from "./page.ts";

test.use({ story: "the certificate" });
test.describe.configure({ mode: "serial" });

let folder = "";
test.beforeAll(async ({ appliance }) => {
  await appliance.setUp();
  folder = await mkdtemp(join(tmpdir(), "aerie-pem-"));
  for (const name of ["own", "other"]) {
    execFileSync("openssl", [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
      "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
      "-keyout", join(folder, `${name}.key`), "-out", join(folder, `${name}.pem`),
    ], { stdio: "ignore" });
  }
});
test.afterAll(() => rm(folder, { recursive: true, force: true }));

const pem = (name: string) => readFile(join(folder, name), "utf8");

test("p3 a certificate of the owner's own is checked, used, and given up again", async ({ page, appliance }, info) => {
  await logIn(page, appliance);
  await visit(page, appliance, "/settings/ports");
  const section = page.getByRole("region", { name: "Certificate", exact: true });
  await section.getByRole("radio", { name: /^Your own/ }).check();

  // The key of another certificate: refused in words, and what was typed stays.
  await section.getByLabel("Certificate and chain").fill(await pem("own.pem"));
  await section.getByLabel("Private key").fill(await pem("other.key"));
  await section.getByRole("button", { name: "Check", exact: true }).click();
  await expect(section.getByText("It cannot be used.")).toBeVisible();
  await inspect(page, info, "certificate-refused");
  await expect(section.getByLabel("Certificate and chain")).toHaveValue(/BEGIN CERTIFICATE/);

  await section.getByLabel("Private key").fill(await pem("own.key"));
  await section.getByRole("button", { name: "Check", exact: true }).click();
  await expect(section.getByText("It fits. This is what browsers would get:")).toBeVisible();
  await inspect(page, info, "certificate-checked");
  await section.getByRole("button", { name: "Use this certificate" }).click();
  await expect(page.getByText("The appliance uses your certificate now.")).toBeVisible();
  const stands = page.getByRole("region", { name: "How it stands" });
  await expect(stands.getByText("Closed").first()).toBeVisible();
  await inspect(page, info, "certificate-own");

  await section.getByRole("radio", { name: /^Self-signed/ }).check();
  await section.getByRole("button", { name: "Use a self-signed certificate" }).click();
  await expect(page.getByText("The appliance uses a self-signed certificate now.")).toBeVisible();
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
