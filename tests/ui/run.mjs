// Runs the stories of the web UI in a real browser, one after the other, and says of each whether
// it held. `tests/it/browser.rs` starts it and owns the nodes; see `lib/cluster.mjs` for how they
// talk. `SCHEDULER0_UI_STORY=name` runs one story.
import { settings } from "./lib/cluster.mjs";
import { browser, Story } from "./lib/browser.mjs";

/** The stories in their order: the first wants a cluster in which nothing is, the last fills it. */
const STORIES = [
  "first_run",
  "two_browsers",
  "dead_letters",
  "two_editors",
  "why",
  "dst_preview",
  "without_script",
  "keyboard",
  "many_jobs",
  "templates",
  "seven_tabs",
  "typing",
  "every_page",
  "killed_node",
  "long_list",
  "mishaps",
];

/** The longest that a story may take, in milliseconds: it is stuck then. */
const LONGEST = 300_000;

const chosen = STORIES.filter((name) => !settings.only || name === settings.only);
let failed = chosen.length === 0 ? 1 : 0;
for (const name of chosen) {
  const { story } = await import(`./stories/${name}.mjs`);
  const own = new Story(name);
  const begin = Date.now();
  let timer;
  const stuck = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not over in ${LONGEST / 1000} s`)), LONGEST);
  });
  try {
    const told = await Promise.race([story(own), stuck]);
    if (own.problems.length > 0) throw new Error([...new Set(own.problems)].join("\n  "));
    console.log(`held    ${name} (${Date.now() - begin} ms)${told ? `: ${told}` : ""}`);
  } catch (error) {
    failed += 1;
    await own.keep();
    const seen = [...new Set(own.problems)].map((one) => `\n  also: ${one}`).join("");
    console.log(`FAILED  ${name} (${Date.now() - begin} ms): ${error.stack}${seen}`);
  } finally {
    clearTimeout(timer);
    await own.close();
  }
}
await browser.close();
process.exit(failed === 0 ? 0 : 1);
