// While jobs are made and fire all the time, typing into a search loses no character, and selection
// and place stay where they are.
import { api, makeJobs, makeProject } from "../lib/cluster.mjs";
import { at } from "../lib/receiver.mjs";
import { live } from "../lib/browser.mjs";
import { holds, same, until } from "../lib/facts.mjs";

const FIRING = 100;
const TEXT = "label:team=shop status:active a-name-that-takes-a-while-to-type";

export async function story(test) {
  const project = await makeProject("Busy");
  const job = (name, spec) => ({
    projectId: project,
    externalId: name,
    spec,
    timezone: "UTC",
    callbackUrl: at("/ok"),
  });
  await makeJobs(Array.from({ length: FIRING }, (_, n) => job(`busy-${n}`, "@every 1s")));
  const page = await test.page();
  let refreshed = 0;
  page.on("response", (response) => (refreshed += response.url().includes("part=jobs") ? 1 : 0));
  await page.goto("/ui/jobs");
  await live(page);
  let made = 0;
  let going = true;
  const maker = async (own) => {
    for (; going; made += 1) await makeJobs([job(`more-${own}-${made}`, "@daily")], { node: 2 });
  };
  const makers = [1, 2].map(maker);
  try {
    for (const field of ["form.filter input[name=q]", "[data-search]"]) {
      const input = page.locator(field);
      const before = refreshed;
      await input.click();
      await page.keyboard.type(TEXT, { delay: 30 });
      for (let n = 0; n < 5; n += 1) await page.keyboard.press("Shift+ArrowLeft");
      await until("the list was fetched again", () => refreshed > before + 2);
      same(await input.inputValue(), TEXT, "what was typed");
      const chosen = await input.evaluate((one) => [one.selectionStart, one.selectionEnd]);
      same(chosen, [TEXT.length - 5, TEXT.length], "what is selected");
      holds(await input.evaluate((one) => one === document.activeElement), "the field has the focus");
      await input.fill("");
    }
    await page.mouse.wheel(0, 600);
    await until("the page is moved", () => page.evaluate(() => scrollY > 300));
    const place = await page.evaluate(() => scrollY);
    const before = refreshed;
    await until("the list was fetched again", () => refreshed > before + 2);
    same(await page.evaluate(() => scrollY), place, "the place on the page");
  } finally {
    going = false;
    await Promise.all(makers);
    await api("DELETE", `/projects/${project}?cascade=true`);
  }
  return `${made} jobs were made meanwhile, the list was fetched ${refreshed} times`;
}
