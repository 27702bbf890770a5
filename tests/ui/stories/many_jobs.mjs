// Many jobs at once: 5,000 are paused and resumed after they were counted, and all that fire at
// nine o'clock are spread from the peak of the forecast, with what it would do in sight.
import axe from "axe-core";
import { api, makeProject } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { NARROW, noSideScroll, WIDE } from "../lib/browser.mjs";
import { holds, same, until } from "../lib/facts.mjs";

const JOBS = 5_000;
const NINE = 300;

export async function story(test) {
  const project = await makeProject("Crowd");
  const job = (spec, labels) => (_, n) => ({
    projectId: project,
    externalId: `${labels.team}-${n}`,
    spec,
    timezone: "UTC",
    callbackUrl: at("/ok"),
    labels,
  });
  const many = job("@yearly", { team: "crowd" });
  const nine = job("0 9 * * *", { team: "nine" });
  await api("POST", "/jobs", Array.from({ length: JOBS }, many));
  await api("POST", "/jobs", Array.from({ length: NINE }, nine));
  const total = async (query) => (await api("GET", `/jobs?limit=1&projectId=${project}&${query}`)).total;
  const page = await test.page();
  const toasted = (text) => page.getByText(text).waitFor();

  // Counted first, then changed.
  const times = [];
  for (const [action, state, left] of [["Pause", "inactive", 0], ["Resume", "active", NINE]]) {
    await page.goto("/ui/jobs?q=label:team%3Dcrowd");
    await page.getByRole("link", { name: "Change 5,000 jobs" }).click();
    await page.getByRole("link", { name: action, exact: true }).click();
    await page.getByRole("heading", { name: `${action} 5,000 jobs` }).waitFor();
    same(await total(`status=${state}`), left, "nothing is changed before the button");
    const begin = Date.now();
    await page.getByRole("button", { name: `${action} 5,000 jobs` }).click();
    await toasted(`5,000 jobs matched, 5,000 ${action.toLowerCase()}d.`);
    times.push(`${action.toLowerCase()}d in ${Date.now() - begin} ms`);
    same(await total(`status=${state}`), left + JOBS, "all of them");
  }

  // The peak leads to the jobs that make it, with another schedule filled in.
  await page.goto(`/ui/forecast?project=${project}`);
  await page.getByRole("link", { name: "Spread the jobs of 0 9 * * *" }).first().click();
  await page.getByRole("heading", { name: `Edit ${NINE} jobs` }).waitFor();
  const row = page.locator("tbody tr").first();
  holds((await row.textContent()).includes("nine-"), "some of the jobs are shown");
  await page.evaluate(axe.source);
  for (const size of [WIDE, NARROW]) {
    await page.setViewportSize(size);
    if (size === NARROW) await noSideScroll(page);
    const runOnly = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
    const run = async (only) => (await axe.run({ runOnly: only })).violations.map((one) => one.help);
    same(await page.evaluate(run, runOnly), [], `axe at ${size.width}`);
  }
  await page.setViewportSize(WIDE);
  const edit = page.getByRole("button", { name: `Edit ${NINE} jobs as shown` });
  test.allow(/status of 400/);
  await edit.click();
  await page.getByText(`type ${NINE} to edit so many jobs`, { exact: false }).waitFor();
  await page.getByLabel(`Type ${NINE} to edit them`).fill(String(NINE));
  await edit.click();
  await toasted(`${NINE} jobs matched, ${NINE} edited.`);
  const spread = async () => {
    const { jobs } = await api("GET", `/jobs?limit=50&projectId=${project}&label=team=nine`);
    const minutes = new Set(jobs.map((one) => one.nextExecutionDate));
    return jobs.every((one) => one.spec === "H 9 * * *") && minutes.size > 5;
  };
  await until("the jobs have minutes of their own", spread);

  // What is wrong is said at its input, and nothing is changed.
  await page.goto("/ui/jobs/bulk?action=edit&q=label:team%3Dnine");
  await page.getByLabel("Jitter", { exact: true }).fill("long");
  test.allow(/status of 4\d\d/);
  await page.getByRole("button", { name: "Show what it would do" }).click();
  await page.locator("#e-jitter .error").waitFor();
  await api("POST", "/jobs/delete", { filter: { projectId: project } });
  return times.join(", ");
}
