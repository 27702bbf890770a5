// A list of 100,000 jobs: its first and its next pages, a job by its name, filters by label,
// project and state. The times are told, and not judged.
import { makeProject, api } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { rows } from "../lib/browser.mjs";
import { same } from "../lib/facts.mjs";

const JOBS = 100_000;
const CHUNK = 5_000;
const SHELVES = 1_000;

export async function story(test) {
  const project = await makeProject("Many");
  const begin = Date.now();
  for (let first = 0; first < JOBS; first += CHUNK) {
    const job = (_, n) => ({
      projectId: project,
      externalId: `many-${first + n}`,
      spec: "@yearly",
      timezone: "UTC",
      callbackUrl: at("/ok"),
      labels: { shelf: String((first + n) % SHELVES) },
    });
    await api("POST", "/jobs", Array.from({ length: CHUNK }, job));
  }
  const times = [`made in ${Date.now() - begin} ms`];
  const page = await test.page({ node: 2 });
  const open = async (name, path, number) => {
    const start = Date.now();
    await page.goto(path);
    await page.getByRole("heading", { name: "Jobs", exact: true }).waitFor();
    times.push(`${name} ${Date.now() - start} ms`);
    same(await rows(page, "jobs").count(), number, name);
  };
  await open("first page", `/ui/jobs?q=project:${project}`, 50);
  for (let n = 0; n < 3; n += 1) {
    const shown = await rows(page, "jobs").first().getAttribute("data-href");
    await page.getByRole("link", { name: "Older" }).click();
    await page.locator(`tr[data-href="${shown}"]`).waitFor({ state: "detached" });
    same(await rows(page, "jobs").count(), 50, "a further page");
  }
  await open("by name", `/ui/jobs?q=many-77777`, 1);
  await open("by label", `/ui/jobs?q=label:shelf=7`, 50);
  await open("by label and project", `/ui/jobs?q=label:shelf=7+project:${project}`, 50);
  await open("by state", `/ui/jobs?q=project:${project}&status=paused`, 0);
  await open("nothing", `/ui/jobs?q=many-none`, 0);
  await page.goto("/ui");
  await page.getByRole("heading", { name: "Overview" }).waitFor({ state: "attached" });
  return times.join(", ");
}
