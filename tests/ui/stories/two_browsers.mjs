// Two people at two nodes watch a job that a third node is told of: made, running, delivered, gone.
// None of the pages is loaded again.
import { api, makeJobs, makeProject } from "../lib/cluster.mjs";
import { at, requests } from "../lib/receiver.mjs";
import { live } from "../lib/browser.mjs";
import { same, until } from "../lib/facts.mjs";

export async function story(test) {
  const project = await makeProject("Watched");
  const pages = await Promise.all([1, 2].map((node) => test.page({ node })));
  const both = (step) => Promise.all(pages.map(step));
  const seen = [];
  // How long after an act both browsers show it: told, and not judged.
  const measured = async (name, act, look) => {
    await act();
    const begin = Date.now();
    await both(look);
    seen.push(`${name} ${Date.now() - begin} ms`);
  };
  await both((page) => page.goto(`/ui/jobs?q=project:${project}`));
  await both(live);
  await both((page) => page.evaluate(() => (window.loadedOnce = true)));

  let job;
  const make = async () => {
    const target = { method: "POST", url: at("/accept") };
    const run = { runTimeout: "10m", retryMax: 0 };
    const named = { projectId: project, externalId: "watched", timezone: "UTC" };
    [job] = await makeJobs([{ ...named, ...run, after: "4s", http: target }], { node: 3 });
  };
  const row = (page) => page.locator(`tr[data-href="/ui/jobs/${job.id}"]`);
  await measured("made", make, (page) => row(page).waitFor());
  const id = await until("the job is sent", () => requests.find((one) => one.path === "/accept")?.id);
  await measured("running", async () => {}, (page) => row(page).locator(".s-running").waitFor());
  const complete = () => api("POST", `/executions/${id}/complete`, undefined, { node: 3 });
  await measured("delivered", complete, (page) => row(page).locator(".s-delivered").waitFor());
  // Whichever node fired it, the overview of each knows how late that was.
  for (const node of [1, 2]) {
    const overview = await test.page({ node });
    await overview.goto("/ui");
    const delay = overview.locator("[data-part=delays] rect.hit title", { hasText: "99 of 100 within" });
    await delay.first().waitFor({ state: "attached" });
  }
  const drop = () => api("DELETE", `/jobs/${job.id}`, undefined, { node: 3 });
  await measured("deleted", drop, (page) => row(page).waitFor({ state: "detached" }));
  const loaded = await both((page) => page.evaluate(() => window.loadedOnce === true));
  same(loaded, [true, true], "the pages were not loaded again");
  return `seen by both: ${seen.join(", ")}`;
}
