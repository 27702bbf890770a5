// An endpoint for the jobs of stories. A path says how it answers: `/ok`, `/accept` (a run that is
// reported on later), `/hang` (until `release`), and `/switch/NAME`, which a story turns.
import { createServer } from "node:http";

const held = new Set();
const turned = new Map();
/** Everything that came: `{path, id, headers, body}`. */
export const requests = [];

const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    const path = request.url;
    requests.push({ path, id: request.headers["webhook-id"], headers: request.headers, body });
    const answer = (status, headers = {}, text = "") => {
      response.writeHead(status, headers);
      response.end(text);
    };
    if (path.startsWith("/accept")) answer(202, { "scheduler-async": "true" });
    else if (path.startsWith("/hang")) held.add(() => answer(200));
    else if (path.startsWith("/switch/")) {
      const status = turned.get(path.slice("/switch/".length)) ?? 200;
      answer(status, { "content-type": "text/plain" }, status < 400 ? "done" : "out of stock");
    } else answer(200);
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
server.unref();

/** The URL of a path here. */
export const at = (path) => `http://127.0.0.1:${server.address().port}${path}`;

/** From now on `/switch/NAME` answers with this status. */
export const turn = (name, status) => turned.set(name, status);

/** Lets every request go that `/hang` holds. */
export function release() {
  for (const answer of held) answer();
  held.clear();
}
