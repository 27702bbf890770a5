// Every page that links lead to, light and dark, wide and as on a phone: axe finds nothing (WCAG
// 2.2 AA), nothing can be moved sideways, and no link is dead. Menus and folded parts are looked
// at open, too. Pictures of all of it are kept to be looked at.
import axe from "axe-core";
import { join } from "node:path";
import { api, makeJobs, makeProject, settings } from "../lib/cluster.mjs";
import { at, turn } from "../lib/receiver.mjs";
import { NARROW, noSideScroll, rows, WIDE } from "../lib/browser.mjs";
import { holds, until } from "../lib/facts.mjs";
import { everyType } from "./templates.mjs";

/** Pages that no link leads to, or only in some states. */
const MORE = ["/ui/nowhere", "/ui/jobs?q=no-such-job", "/ui/jobs?q=label:team", "/ui/jobs/7000000"];

/** What must be among the pages: a page that is not linked any more is missed here. */
const LEAST = [
  "/ui",
  "/ui/jobs",
  "/ui/jobs/new",
  "/ui/jobs/{id}",
  "/ui/jobs/{id}/edit",
  "/ui/jobs/{id}/why",
  "/ui/activity",
  "/ui/activity/{id}",
  "/ui/dead-letters",
  "/ui/templates",
  "/ui/templates/{id}",
  "/ui/templates/{id}/run",
  "/ui/templates/{id}/edit",
  "/ui/templates/new",
  "/ui/templates/import",
  "/ui/workers",
  "/ui/audit",
  "/ui/cluster",
  "/ui/api",
  "/ui/api/{id}",
];

/** `isOpened`: menus cover what is below them, so that sizes of targets say nothing. */
const rules = (isOpened) => ({
  resultTypes: ["violations"],
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
  rules: { "target-size": { enabled: !isOpened } },
});

/** Jobs of all kinds and states, and a run that waits. */
async function fill() {
  const project = await makeProject("Every page");
  turn("closed", 503);
  const target = (path) => ({ http: { method: "POST", url: at(path) } });
  const job = (externalId, more) => ({
    projectId: project,
    externalId,
    spec: "@every 1s",
    timezone: "Europe/Berlin",
    data: '{"order": 7, "token": "not to be seen"}',
    labels: { team: "shop" },
    ...more,
  });
  const queue = { name: "pictures", type: "worker", createdBy: "a story" };
  const executor = await api("POST", "/executors", queue);
  const made = await makeJobs([
    job("fires", target("/ok")),
    job("skips", { ...target("/hang"), overlap: "skip", timeout: "1m" }),
    job("fails", { ...target("/switch/closed"), retryMax: 5, retryDelay: "1h", after: "1s", spec: undefined }),
    job("is-given-up", { ...target("/switch/closed"), retryMax: 0, after: "1s", spec: undefined }),
    job("runs-long", { ...target("/accept"), after: "1s", spec: undefined, runTimeout: "1h" }),
    job("waits-for-a-worker", { executorId: executor.id, after: "1s", spec: undefined }),
    job("in-summer", { ...target("/ok"), spec: "30 2 * * *", jitter: "30s", retryMax: 2 }),
    job("is-paused", { ...target("/ok"), spec: "0 9 * * MON-FRI" }),
  ]);
  await api("POST", `/jobs/${made.at(-1).id}/pause`, {});
  const template = await fillTemplates(project, executor.id);
  const letters = async () => (await api("GET", `/dead-letters?projectId=${project}`)).total > 0;
  await until("a letter is there", letters);
  const skips = `/executions?jobId=${made[1].id}&limit=1`;
  await until("an occurrence is skipped", async () => (await api("GET", skips)).total > 1);
  return { job: made[0], template };
}

/** A template of each kind: with every type of field and a job that runs, a system one, one without
 * a target; the first has another version. */
async function fillTemplates(project, executorId) {
  const { id } = await api("POST", "/templates", everyType(project));
  const payload = { user_id: 1, share: 0, code: "ab", mail: "a@b", size: "a", parts: ["likes"], from: "2026-07-01T10:00:00Z" };
  await api("POST", `/templates/${id}/instances`, { payload, externalId: "of-a-template" });
  await api("PATCH", `/templates/${id}`, { keepCompleted: 50, description: "Has a field of every type." });
  const system = { userTriggered: false, rescheduleAfterTermination: true, startInSeconds: 3600 };
  const named = { projectId: project, description: "Keeps itself going." };
  await api("POST", "/templates", { ...named, ...system, type: "clean_up", target: { executorId } });
  await api("POST", "/templates", { projectId: project, type: "without_a_target" });
  return id;
}

/** The page that an address is one of, without its numbers. */
function pattern(path) {
  const [plain] = path.split(/[?#]/);
  return plain
    .replace(/^\/ui\/api\/.+/, "/ui/api/{id}")
    .split("/")
    .map((part) => (/^\d+$/.test(part) || /^[0-9a-f]{8}-/.test(part) || part.length > 24 ? "{id}" : part))
    .join("/");
}

const links = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('a[href^="/ui"]')].map((one) => one.getAttribute("href")),
  );

export async function story(test) {
  const { job, template } = await fill();
  const page = await test.page({ node: 1 });
  await page.emulateMedia({ reducedMotion: "reduce" });
  test.allow(/status of 404/);
  const todo = ["/ui", `/ui/templates/${template}`, `/ui/jobs/${job.id}`, `/ui/jobs/${job.id}/why`, "/ui/api/createJobs", ...MORE];
  const known = new Set(todo.map(pattern));
  /** Each fault, with the places where it is. */
  const found = new Map();
  const find = (what, place) => found.set(what, [...(found.get(what) ?? []), place]);
  const shoot = (name) =>
    page.screenshot({ path: join(settings.artefacts, `${name}.png`), fullPage: true });
  const check = async (name, isOpened = false) => {
    const run = async (given) => (await axe.run(given)).violations;
    const violations = await page.evaluate(run, rules(isOpened));
    for (const { id, help, nodes } of violations) {
      for (const node of nodes.slice(0, 5)) {
        const why = node.any.concat(node.all, node.none).map((one) => one.message)[0];
        find(`${id}, ${help}: ${node.html.slice(0, 200)}\n    ${why}`, name);
      }
    }
  };
  for (let path = todo.shift(); path; path = todo.shift()) {
    const answer = await page.goto(path);
    const isMissing = MORE.includes(path) && answer.status() === 404;
    holds(answer.ok() || isMissing, `${path} answers ${answer.status()}`);
    await page.locator("h1").waitFor({ state: "attached" });
    await page.evaluate(axe.source);
    for (const link of await links(page)) {
      const kind = pattern(link);
      if (!known.has(kind)) {
        known.add(kind);
        todo.push(link);
      }
    }
    const query = path.split("?")[1] ?? "";
    const name = `${pattern(path)} ${query}`.replaceAll(/[^a-z0-9]+/gi, " ").trim().replaceAll(" ", "-");
    for (const theme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: theme });
      for (const [width, size] of Object.entries({ 1280: WIDE, 360: NARROW })) {
        await page.setViewportSize(size);
        await shoot(`${name}-${theme}-${width}`);
        if (size === NARROW) await noSideScroll(page).catch((error) => find(error.message, theme));
        await check(`${path}, ${theme}, ${width}`);
      }
    }
    await page.setViewportSize(NARROW);
    const opened = await page.evaluate(() => {
      const all = [...document.querySelectorAll("details:not([open])")];
      for (const one of all) one.open = true;
      return all.length;
    });
    if (opened > 0) {
      await shoot(`${name}-open-360`);
      await noSideScroll(page).catch((error) => find(error.message, "opened"));
      await check(`${path}, with all that can be opened`, true);
    }
  }
  const missed = LEAST.filter((one) => !known.has(one));
  holds(missed.length === 0, `no link leads to ${missed.join(", ")}`);
  const body = await (await test.page()).context().request.get(`/ui/jobs/${job.id}`);
  holds(!(await body.text()).includes("not to be seen"), "values of secret names are masked");
  if (found.size > 0) {
    const told = ([what, places]) => `${what}\n    at ${places.slice(0, 4).join("; ")} (${places.length})`;
    throw new Error(`${found.size} findings\n  ${[...found].map(told).join("\n  ")}`);
  }
  return `${known.size} pages`;
}
