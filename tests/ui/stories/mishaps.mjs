// What goes wrong between a page and its node loses nothing: a second click on a secret, a part that
// is refused once, a form whose sending is stopped.
import { api, makeJobs, makeProject } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { live, rows } from "../lib/browser.mjs";
import { holds, same, until } from "../lib/facts.mjs";

export async function story(test) {
  const project = await makeProject("Mishaps");
  const page = await test.page();
  test.allow(/status of 503|ERR_FAILED/);

  // A secret that is shown once stays on the page, however often it is clicked.
  await page.goto(`/ui/projects/${project}`);
  // Found and sent in one step: the part may be fetched anew in between.
  const rotate = `form[action="/ui/projects/${project}/rotate"]`;
  await page.evaluate((form) => document.querySelector(form).requestSubmit(), rotate);
  const secret = page.locator("code[data-copy]").last();
  await secret.waitFor();
  const text = await secret.textContent();
  holds(text.startsWith("whsec_"), `the secret is shown: ${text}`);
  await page.evaluate(() => {
    window.copied = [];
    navigator.clipboard.writeText = async (words) => window.copied.push(words);
  });
  await secret.click();
  await until("it is said", async () => (await secret.textContent()) === "Copied");
  await secret.click();
  await until("it is shown again", async () => (await secret.textContent()) === text);
  same(await page.evaluate(() => window.copied), [text], "what was copied");

  // A part that is refused is asked for again without another event.
  await page.goto(`/ui/jobs?q=project:${project}`);
  await live(page);
  let refused = 0;
  let isOn = true;
  await page.route(/part=jobs/, async (route) => {
    if (!isOn) return route.continue();
    refused += 1;
    return route.fulfill({ status: 503, body: "busy" });
  });
  const job = { projectId: project, spec: "@daily", timezone: "UTC", callbackUrl: at("/ok") };
  await makeJobs([job]);
  await until("the part was refused", () => refused > 0);
  isOn = false;
  await until("the job is shown", async () => (await rows(page, "jobs").count()) === 1);

  // A form whose sending was stopped can be sent again.
  await page.goto(`/ui/projects/${project}/edit`);
  let stopped = 0;
  await page.route(/\/edit$/, (route) => {
    if (route.request().method() !== "POST" || stopped > 0) return route.continue();
    stopped += 1;
    return route.abort();
  });
  await page.getByLabel("Description").fill("told twice");
  await page.getByRole("button", { name: "Save the project" }).click();
  await until("the sending was stopped", () => stopped > 0);
  const shown = page.getByLabel("Description");
  if (await shown.isVisible().catch(() => false)) {
    same(await shown.inputValue(), "told twice", "what was entered");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Save the project" }).click();
    await page.waitForURL(`**/ui/projects/${project}`);
    const saved = await api("GET", `/projects/${project}`);
    same(saved.description, "told twice", "what was saved");
  }
}
