// Waiting for facts that no page announces, and saying what does not hold.
import { PATIENCE } from "./browser.mjs";

/** Throws unless it holds. */
export function holds(fact, what) {
  if (!fact) throw new Error(what);
}

/** Throws unless both are the same. */
export function same(found, wanted, what) {
  const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (one !== other) throw new Error(`${what}: ${one} instead of ${other}`);
}

/** Waits until a look gives something; gives that. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${PATIENCE / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
