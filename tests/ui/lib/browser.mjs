// The browser, and what is watched in every page of every story: a violation of the content
// security policy, an error on the console, an exception or a rejection that nobody handles, and a
// request to another origin. Each makes the story fail, unless it has said with `allow` why it
// provokes it.
import { chromium } from "playwright-core";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { origins, settings, url } from "./cluster.mjs";

/** How long a fact may take to become true, in milliseconds. No story asserts how fast it is. */
export const PATIENCE = 30_000;

/** The two widths in which everything is looked at. */
export const WIDE = { width: 1280, height: 900 };
export const NARROW = { width: 360, height: 740 };

mkdirSync(settings.artefacts, { recursive: true });

export const browser = await chromium.launch({
  executablePath: settings.chromium,
  args: ["--disable-dev-shm-usage"],
});

/** One story while it runs. */
export class Story {
  constructor(name) {
    this.name = name;
    this.problems = [];
    this.allowed = [];
    this.contexts = [];
  }

  /** From here on messages that match are expected. */
  allow(pattern) {
    this.allowed.push(pattern);
  }

  /** Notes something that must not happen. */
  problem(text) {
    if (!this.allowed.some((pattern) => pattern.test(text))) this.problems.push(text);
  }

  /** A browser of somebody at a node: signed in, unless told otherwise. */
  async context(options = {}) {
    const { node = 1, signedIn = true, script = true, size = WIDE, theme = "light" } = options;
    const context = await browser.newContext({
      baseURL: url(node),
      viewport: size,
      timezoneId: options.zone ?? "Europe/Berlin",
      locale: "en-GB",
      colorScheme: theme,
      javaScriptEnabled: script,
      storageState: signedIn ? await signedInState() : undefined,
    });
    context.setDefaultTimeout(PATIENCE);
    context.setDefaultNavigationTimeout(PATIENCE);
    this.contexts.push(context);
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI}`);
      });
    });
    context.on("weberror", (error) => this.problem(`exception: ${error.error().stack}`));
    context.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      this.problem(`console: ${message.text()} (${message.location().url})`);
    });
    context.on("request", (request) => this.watch(request));
    return context;
  }

  /** A page of somebody at a node. */
  async page(options) {
    return (await this.context(options)).newPage();
  }

  watch(request) {
    const target = new URL(request.url());
    if (target.protocol === "data:" || target.protocol === "blob:") return;
    let from = target.origin;
    try {
      // A navigation may lead to another node; what a page loads may not.
      if (!request.isNavigationRequest()) from = new URL(request.frame().url()).origin;
    } catch {
      // The page has gone meanwhile.
    }
    if (!origins.includes(target.origin) || target.origin !== from) {
      this.problem(`request to another origin: ${request.url()}`);
    }
  }

  /** Keeps what all pages show, for whoever looks into why a story failed. */
  async keep() {
    let number = 0;
    for (const page of this.contexts.flatMap((context) => context.pages())) {
      const path = join(settings.artefacts, `failed-${this.name}-${(number += 1)}.png`);
      await page.screenshot({ path, timeout: 5_000 }).catch(() => {});
    }
  }

  async close() {
    await Promise.all(this.contexts.map((context) => context.close().catch(() => {})));
  }
}

/** Signs in by the form of the page. */
export async function signIn(page) {
  await page.goto("/ui/sign-in");
  await page.getByLabel("API key, or name").fill(settings.name);
  await page.getByLabel("Secret key, or password").fill(settings.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((address) => address.pathname === "/ui");
}

let state;

/** The cookies of somebody who has signed in: they are good for every node. */
function signedInState() {
  state ??= (async () => {
    const context = await browser.newContext({ baseURL: url(1), timezoneId: "Europe/Berlin" });
    const page = await context.newPage();
    await signIn(page);
    const kept = await context.storageState();
    await context.close();
    return kept;
  })();
  return state;
}

/** Waits until the header of a page says `Live`. */
export async function live(page) {
  await page.locator("#live[data-state=on]").waitFor();
}

/** Throws where a page can be moved sideways: on a phone nothing may be wider than it. */
export async function noSideScroll(page) {
  const { wide, seen, widest } = await page.evaluate(() => {
    const root = document.documentElement;
    const beyond = [...document.querySelectorAll("body *")].filter(
      (one) => one.getBoundingClientRect().right > root.clientWidth + 1,
    );
    const name = (one) => `${one.tagName.toLowerCase()}.${one.getAttribute("class") ?? ""}`;
    return { wide: root.scrollWidth, seen: root.clientWidth, widest: beyond.slice(0, 5).map(name) };
  });
  if (wide > seen) {
    const path = new URL(page.url()).pathname;
    throw new Error(`${path} is ${wide} px wide on a screen of ${seen}: ${widest.join(", ")}`);
  }
}

/** The number of rows that a table of the page shows. */
export const rows = (page, part) => page.locator(`[data-part=${part}] tbody tr`);
