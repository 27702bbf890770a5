// From the address of a fresh node to the first job that was delivered, in four clicks.
import { at, requests } from "../lib/receiver.mjs";
import { settings } from "../lib/cluster.mjs";
import { live } from "../lib/browser.mjs";
import { holds, same } from "../lib/facts.mjs";

export async function story(test) {
  const page = await test.page({ signedIn: false });
  let clicks = 0;
  const click = async (role, name) => {
    clicks += 1;
    await page.getByRole(role, { name, exact: true }).first().click();
  };
  await page.goto("/");
  await page.waitForURL("**/ui/sign-in");
  await page.getByLabel("API key, or name").fill(settings.name);
  await page.getByLabel("Secret key, or password").fill(settings.password);
  await click("button", "Sign in");
  await page.getByRole("heading", { name: "Nothing is scheduled yet" }).waitFor();
  await click("link", "New job");
  await page.getByLabel("Project", { exact: true }).fill("First steps");
  await page.getByLabel("Name", { exact: true }).fill("hello");
  await page.getByLabel("Data", { exact: true }).fill('{"greeting": "hello"}');
  await page.getByLabel("Schedule", { exact: true }).fill("@every 1h");
  await page.locator("#preview").getByText("1 hour").first().waitFor();
  await page.getByLabel("Callback URL", { exact: true }).fill(at("/ok"));
  await click("button", "Create the job");
  await page.waitForURL(/\/ui\/jobs\/\d+$/);
  await page.getByText("The job is created.").waitFor();
  await click("button", "Run now");
  await page.waitForURL("**/ui/activity/*");
  await live(page);
  await page.locator("[data-part=occurrence] .page-head .s-delivered").waitFor();
  same(clicks, 4, "clicks up to the first delivered job");
  const sent = JSON.parse(requests.at(-1).body);
  holds(JSON.stringify(sent).includes("greeting"), "the receiver was sent the data of the form");
  await page.goto("/ui");
  await page.getByRole("heading", { name: "Overview" }).waitFor({ state: "attached" });
}
