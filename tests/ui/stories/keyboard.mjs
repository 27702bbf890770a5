// The pages by keyboard alone: skipping to the content, searching, going to pages and rows, making
// a job, opening and closing a menu, pausing live updates.
import { makeJobs, makeProject } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { live } from "../lib/browser.mjs";
import { holds, same } from "../lib/facts.mjs";

export async function story(test) {
  const project = await makeProject("Keys");
  await makeJobs(
    ["one", "two"].map((name) => ({
      projectId: project,
      externalId: `keys-${name}`,
      spec: "@daily",
      timezone: "UTC",
      callbackUrl: at("/ok"),
    })),
  );
  const page = await test.page();
  const { keyboard } = page;
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  await page.goto("/ui");
  await keyboard.press("Tab");
  same(await focused(), "Skip to content", "the first stop");
  await keyboard.press("Enter");
  same(await page.evaluate(() => location.hash), "#main", "where it leads");

  await keyboard.press("g");
  await keyboard.press("j");
  await page.waitForURL("**/ui/jobs");
  await live(page);
  await keyboard.press(".");
  await page.locator("#live", { hasText: "Paused" }).waitFor();
  await keyboard.press(".");
  await live(page);

  await keyboard.press("/");
  await keyboard.type("keys-one");
  await keyboard.press("Enter");
  await page.waitForURL("**/ui/jobs?q=keys-one");
  await keyboard.press("j");
  same(await focused(), "keys-one", "the first row");
  await keyboard.press("Enter");
  await page.waitForURL(/\/ui\/jobs\/\d+$/);

  const pause = page.locator("summary", { hasText: "Pause" });
  await pause.focus();
  await keyboard.press("Enter");
  await page.getByRole("button", { name: "Pause the job" }).waitFor();
  await keyboard.press("Escape");
  await page.getByRole("button", { name: "Pause the job" }).waitFor({ state: "hidden" });
  holds(await pause.evaluate((one) => one === document.activeElement), "focus is on the menu again");

  await page.goto("/ui/jobs/new");
  await page.locator("#f-project").focus();
  // From field to field, as they are on the page.
  const fields = { "f-name": "keys-made", "f-spec": "@weekly", "f-url": at("/ok") };
  for (const [id, text] of Object.entries(fields)) {
    for (let steps = 0; (await page.evaluate(() => document.activeElement.id)) !== id; steps += 1) {
      holds(steps < 30, `${id} is not reached by Tab`);
      await keyboard.press("Tab");
    }
    await keyboard.type(text);
  }
  await keyboard.press("Enter");
  await page.waitForURL(/\/ui\/jobs\/\d+$/);
}
