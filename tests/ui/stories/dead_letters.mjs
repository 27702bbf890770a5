// A target fails, its letters show up by themselves, and are replayed at a rate once it is well.
import { makeJobs, makeProject } from "../lib/cluster.mjs";
import { at, turn } from "../lib/receiver.mjs";
import { live, rows } from "../lib/browser.mjs";
import { until } from "../lib/facts.mjs";

const LETTERS = 3;

export async function story(test) {
  const project = await makeProject("Stock");
  const page = await test.page({ node: 2 });
  await page.goto(`/ui/dead-letters?project=${project}`);
  await page.getByText("Nothing was given up").waitFor();
  await live(page);
  turn("stock", 500);
  const job = (n) => ({
    projectId: project,
    externalId: `stock-${n}`,
    timezone: "UTC",
    after: "1s",
    retryMax: 0,
    http: { method: "POST", url: at("/switch/stock") },
  });
  await makeJobs(Array.from({ length: LETTERS }, (_, n) => job(n)));
  await until("the letters are shown", async () => (await rows(page, "rows").count()) === LETTERS);

  turn("stock", 200);
  await page.reload();
  await page.getByText(`Replay all ${LETTERS}`).click();
  await page.getByLabel("Occurrences a second").fill("100");
  await page.getByRole("button", { name: `Replay ${LETTERS} letters` }).click();
  await page.getByText(`${LETTERS} letters with ${LETTERS} occurrences`).waitFor();
  await page.getByText("Nothing was given up").waitFor();
  await page.goto(`/ui/activity?project=${project}&state=delivered`);
  await until("all are delivered", async () => (await rows(page, "rows").count()) === LETTERS);
}
