// The cluster as stories see it: its nodes, its API as the operator, and the process that owns the
// nodes (`tests/it/browser.rs`), which is asked over stdout and answers on stdin. It knows nothing
// of browsers.
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function line() {
  const { value, done } = await lines.next();
  if (done) throw new Error("the process that owns the nodes has gone");
  return value;
}

/** The first line of stdin: `{nodes: [{id, url}], name, password, artefacts, only}`. */
export const settings = JSON.parse(await line());

/** The address of a node. */
export const url = (node) => settings.nodes.find((one) => one.id === node).url;

/** The origins of all nodes: a page may load nothing from anywhere else. */
export const origins = settings.nodes.map((one) => new URL(one.url).origin);

let asked = Promise.resolve();

/** Asks the owner of the nodes, and waits until it is done: `kill 2`, `start 2`. */
export function ask(words) {
  asked = asked.then(async () => {
    process.stdout.write(`? ${words}\n`);
    const answer = await line();
    if (answer !== "done") throw new Error(`${words}: ${answer}`);
  });
  return asked;
}

const authorization =
  "Basic " + Buffer.from(`${settings.name}:${settings.password}`).toString("base64");

/** A request to the API as the operator. Gives the `data` of the answer; throws on a refusal. */
export async function api(method, path, body, { node = 1, headers = {} } = {}) {
  const response = await fetch(url(node) + "/api/v1" + path, {
    method,
    headers: { "content-type": "application/json", "x-peer": "cmd", authorization, ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 500)}`);
  return text ? JSON.parse(text).data : undefined;
}

/** Makes jobs, and gives them as the API shows them. */
export async function makeJobs(jobs, options = {}) {
  const headers = { prefer: "return=representation" };
  const made = await api("POST", "/jobs", jobs, { ...options, headers });
  return Array.isArray(made) ? made : [made];
}

let projects = 0;

/** Makes a project of its own for a story; gives its id. */
export async function makeProject(name) {
  const made = await api("POST", "/projects", {
    name: `${name} ${(projects += 1)}`,
    description: "Jobs of a story.",
  });
  return made.id;
}
