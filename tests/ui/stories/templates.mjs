// Job templates: the form of every type of field by keyboard alone, with wrong values that are told
// at their fields; a job that a person at another node sees begin, come further and end; and a file
// that is imported. axe looks at the form with its errors.
import axe from "axe-core";
import { api, makeProject } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { live, NARROW, noSideScroll } from "../lib/browser.mjs";
import { holds, same, until } from "../lib/facts.mjs";

/** A template with a field of every type. */
export const everyType = (projectId) => ({
  projectId,
  type: "every_type",
  label: "Every type",
  description: "Has a field of every type, so that each input is looked at.",
  payloadSchema: {
    user_id: { type: "uint", minValue: 1, label: "User", help: "the number of the user" },
    shift: { type: "int", range: [-5, 5], required: false, label: "Shift" },
    share: { type: "number", minValue: 0, maxValue: 1, label: "Share" },
    code: { type: "string", minLength: 2, maxLength: 8, label: "Code" },
    note: { type: "string", required: false, label: "Note" },
    mail: { type: "string", format: "email", label: "Mail" },
    urgent: { type: "bool", default: false, label: "Urgent" },
    kind: { type: "options", options: ["welcome", "invoice"], default: "welcome", label: "Kind" },
    size: { type: "options", options: ["a", "b", "c", "d", "e"], label: "Size" },
    parts: { type: "options", options: ["orders", "likes"], multiple: true, label: "Parts" },
    from: { type: "datetime", label: "From" },
    extra: { type: "json", required: false, label: "Extra" },
    job_type: null,
  },
  payload: { user_id: 7 },
  target: { http: { method: "POST", url: at("/accept") } },
  job: { runTimeout: "10m", retryMax: 0 },
});

/** Goes on by Tab until an input has the focus. */
async function reach(page, id) {
  for (let steps = 0; (await page.evaluate(() => document.activeElement.id)) !== id; steps += 1) {
    holds(steps < 60, `${id} is not reached by Tab`);
    await page.keyboard.press("Tab");
  }
}

/** Fills the form by keyboard alone, from its first field on. */
async function fill(page, texts) {
  for (const [name, text] of Object.entries(texts)) {
    await reach(page, `f-p.${name}`);
    await page.keyboard.press("ControlOrMeta+a");
    if (text === "") await page.keyboard.press("Delete");
    else await page.keyboard.type(text);
  }
}

async function byKeyboard(test, template) {
  const page = await test.page();
  const { keyboard } = page;
  await page.goto("/ui");
  await keyboard.press("g");
  await keyboard.press("t");
  await page.waitForURL("**/ui/templates");
  await page.getByRole("link", { name: "Every type" }).focus();
  await keyboard.press("Enter");
  await page.waitForURL(`**/ui/templates/${template}`);
  await page.getByRole("link", { name: "Run…" }).focus();
  await keyboard.press("Enter");
  await page.waitForURL("**/run");
  await fill(page, { user_id: "-5", shift: "9", share: "2", code: "x", mail: "nobody", extra: "{" });
  test.allow(/status of 422/);
  await reach(page, "f-start");
  await keyboard.press("Enter");
  await page.getByText("9 fields are not valid").waitFor();
  same(await page.evaluate(() => document.activeElement.id), "f-p.user_id", "the focus");
  const told = (name) => page.locator(`[id="e-p.${name}"] .error`).textContent();
  same(await told("user_id"), "User must be 1 or more, got -5.", "the error at its field");
  same(await told("size"), "Size is required.", "the error of what was left out");
  same(await page.locator('[id="f-p.code"]').inputValue(), "x", "what was entered");
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate((runOnly) => axe.run({ runOnly }), ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]);
  same(violations.map((one) => one.id), [], "what axe finds in the form with its errors");
  await page.setViewportSize(NARROW);
  await noSideScroll(page);
  await page.setViewportSize({ width: 1280, height: 900 });

  await fill(page, { user_id: "8", shift: "-2", share: "0.5", code: "ab", mail: "a@b.example" });
  await reach(page, "f-p.urgent");
  await keyboard.press("Space");
  await reach(page, "f-p.size");
  await keyboard.press("e");
  // The options of a list have no ids: the first is one Tab behind the field before it.
  await keyboard.press("Tab");
  await keyboard.press("Space");
  await reach(page, "f-p.from");
  // The parts of a date are the browser's own control, in the order of its language.
  await page.locator('[id="f-p.from"]').fill("2026-07-01T12:00");
  await fill(page, { extra: '{"a": 1}' });
  await reach(page, "f-name");
  await keyboard.type("by-keyboard");
  await keyboard.press("Enter");
  await page.waitForURL(/\/ui\/jobs\/\d+$/);
  const job = await api("GET", `/jobs/${page.url().match(/\d+$/)[0]}`);
  const data = JSON.parse(job.data);
  same(data.user_id, 8, "the number that was entered");
  same([data.urgent, data.kind, data.size, data.parts], [true, "welcome", "e", ["orders"]], "what was chosen");
  same(data.from, "2026-07-01T10:00:00Z", "the instant, entered on the clock of Berlin");
  return job;
}

/** Somebody at another node sees the job begin, come further, and end by a click of the first. */
async function watched(test, projectId) {
  const queue = "of-templates";
  const { id: executorId } = await api("POST", "/executors", { name: queue, type: "worker" });
  const long = { projectId, type: "long_work", payloadSchema: {}, target: { executorId } };
  const { id: template } = await api("POST", "/templates", long);
  const job = await api("POST", `/templates/${template}/instances`, {}, { node: 3 });
  const pages = await Promise.all([1, 2].map((node) => test.page({ node })));
  const [one, other] = pages;
  await Promise.all(pages.map((page) => page.goto(`/ui/templates/${template}`).then(() => live(page))));
  await other.evaluate(() => (window.loadedOnce = true));
  const row = other.locator(`tr[data-href="/ui/jobs/${job.id}"]`);
  await row.waitFor();
  const claim = { workerId: "a-story", queues: [queue], wait: "5s" };
  const [run] = await until("a worker gets it", async () => {
    const claimed = await api("POST", "/workers/claim", claim, { node: 3 });
    return claimed?.runs?.length ? claimed.runs : undefined;
  });
  await row.locator(".s-running").waitFor();
  const said = { id: run.id, attempt: run.attempt, progress: 40, message: "half way" };
  await api("POST", "/workers/a-story/heartbeat", { runs: [said] }, { node: 3 });
  await row.getByText("40 %").first().waitFor();
  const menu = one.locator(`tr[data-href="/ui/jobs/${job.id}"] details.menu`);
  await menu.locator("summary").click();
  await menu.getByLabel("Reason (optional)").fill("enough");
  await menu.getByRole("button", { name: "Terminate the job" }).click();
  // A worker is asked to stop first: the job is over when it has.
  await one.getByText(new RegExp(`Job ${job.id} is over`)).waitFor();
  const stopped = { id: run.id, attempt: run.attempt, state: "cancelled" };
  await api("POST", "/workers/a-story/report", { reports: [stopped] }, { node: 3 });
  await row.locator(".s-skipped").waitFor();
  same(await row.locator("details.menu").count(), 0, "what is over cannot be ended");
  same(await other.evaluate(() => window.loadedOnce === true), true, "the page was not loaded again");
}

/** A file is read into the page, looked at, and imported. */
async function imported(test, project) {
  const page = await test.page();
  await page.goto("/ui/templates/import");
  const file = { export_job: { type: "export_job", payload_schema: { account_id: { type: "uint" } } } };
  const buffer = Buffer.from(JSON.stringify(file));
  await page.getByLabel("Choose a file").setInputFiles({ name: "job_templates.json", mimeType: "application/json", buffer });
  const area = page.getByLabel("Templates", { exact: true });
  await until("the file is in the text area", async () => (await area.inputValue()).includes("export_job"));
  await page.getByLabel("Project", { exact: true }).selectOption(String(project));
  await page.getByRole("button", { name: "See what would change" }).click();
  await page.getByText("Nothing is imported yet.").waitFor();
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.locator(".b-good").waitFor();
  await page.getByRole("link", { name: "export_job" }).click();
  await page.getByRole("heading", { name: "export_job" }).waitFor();
  await page.getByText("It has no target yet").waitFor();
}

export async function story(test) {
  const project = await makeProject("Templates");
  const { id } = await api("POST", "/templates", everyType(project));
  await byKeyboard(test, id);
  await watched(test, project);
  await imported(test, project);
}
