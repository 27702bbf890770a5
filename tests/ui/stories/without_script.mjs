// Without a script everything works but live updates: signing in, a wrong form, making a job,
// running it, deleting it, signing out.
import { at } from "../lib/receiver.mjs";
import { signIn } from "../lib/browser.mjs";
import { makeProject } from "../lib/cluster.mjs";
import { until } from "../lib/facts.mjs";

export async function story(test) {
  const project = await makeProject("Plain");
  const page = await test.page({ signedIn: false, script: false });
  await signIn(page);
  await page.goto("/ui/jobs/new");
  await page.locator("#f-project").selectOption(String(project));
  await page.getByLabel("Name", { exact: true }).fill("plain");
  await page.getByLabel("Schedule", { exact: true }).fill("61 * * * *");
  await page.getByLabel("Callback URL", { exact: true }).fill(at("/ok"));
  test.allow(/status of 400/);
  await page.getByRole("button", { name: "Create the job" }).click();
  await page.locator("#e-spec .error").waitFor();
  await page.getByLabel("Schedule", { exact: true }).fill("@every 1h");
  await page.getByRole("button", { name: "Create the job" }).click();
  await page.getByText("The job is created.").waitFor();
  const job = page.url();
  await page.getByRole("button", { name: "Run now" }).click();
  await page.waitForURL("**/ui/activity/*");
  await until("it is delivered", async () => {
    await page.reload();
    return page.locator(".page-head .s-delivered").count();
  });
  await page.goto(job);
  await page.locator(".actions details", { hasText: "Delete" }).locator("summary").click();
  await page.getByRole("button", { name: "Delete the job" }).click();
  await page.getByText(/Job \d+ is deleted/).waitFor();
  await page.locator("header.top details.menu").last().locator("summary").click();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.waitForURL("**/ui/sign-in");
}
