// Seven tabs of one browser at one node. It has six connections for all of them, and each page
// holds one while it is looked at: hidden pages give theirs back, so that all seven load and all
// follow.
import { makeJobs, makeProject } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { live } from "../lib/browser.mjs";

const TABS = 7;

/** Shows or hides a page as its browser would. Playwright itself shows all of them. */
const turn = (page, hidden) =>
  page.evaluate((value) => {
    window.isHidden = value;
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

export async function story(test) {
  const project = await makeProject("Tabs");
  const job = (name) => ({
    projectId: project,
    externalId: name,
    spec: "@daily",
    timezone: "UTC",
    callbackUrl: at("/ok"),
  });
  await makeJobs([job("tabs-first")]);
  const context = await test.context();
  await context.addInitScript(() => {
    Object.defineProperty(document, "hidden", { get: () => window.isHidden ?? false });
  });
  const tabs = [];
  for (let number = 0; number < TABS; number += 1) {
    if (number > 0) await turn(tabs[number - 1], true);
    const page = await context.newPage();
    await page.goto(`/ui/jobs?q=project:${project}`);
    await page.getByText("tabs-first").first().waitFor();
    tabs.push(page);
  }
  for (const [number, page] of tabs.entries()) {
    await turn(tabs.at(number - 1), true);
    await turn(page, false);
    await live(page);
    await makeJobs([job(`tabs-${number}`)]);
    await page.getByText(`tabs-${number}`, { exact: true }).first().waitFor();
  }
}
