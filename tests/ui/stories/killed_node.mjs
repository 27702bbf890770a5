// The node of a browser is killed: the page says so and leads to the same page of another node,
// where the browser is signed in. When the node is back, the page that stayed is live again by
// itself.
import { ask, makeJobs, makeProject, url } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { live } from "../lib/browser.mjs";
import { holds, same, until } from "../lib/facts.mjs";

const VICTIM = 2;

export async function story(test) {
  const project = await makeProject("Moved");
  const job = (name) => ({
    projectId: project,
    externalId: name,
    spec: "@daily",
    timezone: "UTC",
    callbackUrl: at("/ok"),
  });
  await makeJobs([job("moved-first")]);
  const context = await test.context({ node: VICTIM });
  const path = `/ui/jobs?q=project:${project}`;
  const [leaves, stays] = [await context.newPage(), await context.newPage()];
  for (const page of [leaves, stays]) {
    await page.goto(path);
    await live(page);
  }
  await stays.evaluate(() => (window.loadedOnce = true));

  test.allow(/ERR_(CONNECTION_(REFUSED|RESET|CLOSED)|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)/);
  const begin = Date.now();
  await ask(`kill ${VICTIM}`);
  const banner = leaves.locator("#away");
  await banner.waitFor();
  const after = Date.now() - begin;
  holds((await banner.textContent()).includes(`Node ${VICTIM} does not answer`), "the banner");
  same(await banner.getByRole("link").count(), 2, "links to the other nodes");
  const link = banner.getByRole("link").first();
  const other = new URL(await link.getAttribute("href"));
  await link.click();
  await leaves.getByText("moved-first").first().waitFor();
  same(new URL(leaves.url()).origin, other.origin, "the node");
  same(new URL(leaves.url()).search, new URL(path, url(VICTIM)).search, "the same view");
  holds(other.origin !== new URL(url(VICTIM)).origin, "it is another node");
  await live(leaves);

  await ask(`start ${VICTIM}`);
  await live(stays);
  await stays.locator("#away").waitFor({ state: "detached" });
  // A leader may still have to be found.
  await until("a job is made", () => makeJobs([job("moved-second")]).catch(() => undefined));
  await stays.getByText("moved-second", { exact: true }).first().waitFor();
  holds(await stays.evaluate(() => window.loadedOnce === true), "the page was not loaded again");
  return `the banner came after ${after} ms`;
}
