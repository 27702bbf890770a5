// Takes the pictures of README.md and docs/ui.md: some pages of one node, light and dark.
// `tests/it/browser/pictures.rs` starts it at a node that has something to show.
import { join } from "node:path";
import { browser, live, Story } from "./lib/browser.mjs";

const SIZE = { width: 1200, height: 750 };
const FOLDER = join("..", "..", "docs", "images");

/** The name of a picture, and how one gets to what it shows. */
const PICTURES = {
  overview: async (page) => page.goto("/ui"),
  jobs: async (page) => page.goto("/ui/jobs"),
  job: async (page) => {
    await page.goto("/ui/jobs?q=sync-stock");
    await page.locator("tr[data-href] .lead a").click();
    await page.waitForURL(/\/ui\/jobs\/\d+$/);
  },
  why: async (page) => {
    await page.goto("/ui/jobs?q=supplier-orders");
    await page.locator("tr[data-href] .lead a").click();
    const failed = page.locator("[data-part=history] tr", { has: page.locator(".s-dead") });
    await page.goto(await failed.first().getByRole("link", { name: "Why" }).getAttribute("href"));
    await page.locator(".answer").waitFor();
  },
};

const story = new Story("pictures");
for (const theme of ["light", "dark"]) {
  for (const [name, open] of Object.entries(PICTURES)) {
    const page = await story.page({ size: SIZE, theme });
    await open(page);
    await live(page);
    await page.screenshot({ path: join(FOLDER, `${name}-${theme}.png`) });
  }
}
await story.close();
await browser.close();
for (const problem of story.problems) console.log(problem);
process.exit(story.problems.length > 0 ? 1 : 0);
