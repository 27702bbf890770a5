// The page Why says for a delivered occurrence, one in a pause, and one that overlapped, what
// happened. It is reached from the job by a click.
import { api, makeJobs, makeProject } from "../lib/cluster.mjs";
import { at, release } from "../lib/receiver.mjs";
import { live } from "../lib/browser.mjs";
import { until } from "../lib/facts.mjs";

export async function story(test) {
  const project = await makeProject("Asked");
  const job = (name, path, more) => ({
    projectId: project,
    externalId: name,
    spec: "@every 1s",
    timezone: "UTC",
    http: { method: "POST", url: at(path) },
    ...more,
  });
  const [plain, slow] = await makeJobs([
    job("asked", "/ok", {}),
    job("slow", "/hang", { overlap: "skip", timeout: "1m" }),
  ]);
  const page = await test.page({ node: 3 });
  const answer = page.locator(".answer");
  const ask = async (id, chip) => {
    await page.goto(`/ui/jobs/${id}`);
    await live(page);
    const row = page.locator("[data-part=history] tbody tr", { has: page.locator(chip) }).first();
    await row.waitFor();
    // The part is replaced each second: the address of the link is what a click leads to.
    await page.goto(await row.getByRole("link", { name: "Why" }).getAttribute("href"));
    await answer.waitFor();
  };
  await ask(plain.id, ".s-delivered");
  await answer.locator(".s-delivered").waitFor();

  await ask(slow.id, ".s-skipped");
  await answer.locator(".s-skipped").waitFor();
  await answer.getByText(/under way|overlap/i).waitFor();
  release();
  await api("DELETE", `/jobs/${slow.id}`);

  await page.goto(`/ui/jobs/${plain.id}`);
  await page.locator("summary", { hasText: "Pause" }).click();
  await page.getByRole("button", { name: "Pause the job" }).click();
  await page.getByText("The job is paused.").waitFor();
  const paused = new Date(Date.now() + 1_000).toISOString().replace(/\.\d+/, "");
  await until("the instant has passed", () => Date.now() > Date.parse(paused) + 1_000);
  await page.goto(`/ui/jobs/${plain.id}/why?at=${paused}`);
  await answer.getByText(/paused/).waitFor();
  await api("DELETE", `/jobs/${plain.id}`);
}
