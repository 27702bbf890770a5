// The preview marks changes of the clock while a schedule is entered, in zones of three kinds: by an
// hour, by half an hour, and at midnight.

const ZONES = ["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"];

const MARKS = { gap: "the clock skips this time", fold: "the clock shows this time twice" };

/** The offset of a zone at an instant, in minutes. */
function offset(zone, at) {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  }).formatToParts(at);
  const get = (type) => Number(parts.find((part) => part.type === type).value);
  const local = Date.UTC(get("year"), get("month") - 1, get("day"), get("hour"), get("minute"));
  return Math.round((local - Math.floor(at / 60_000) * 60_000) / 60_000);
}

/** A local time in the middle of the next gap or fold, as minute, hour, day and month. */
function next(zone, kind) {
  const minute = 60_000;
  let at = Math.ceil(Date.now() / minute) * minute + 24 * 60 * minute;
  for (let step = 60 * minute; step >= minute; step = step / 60) {
    // First the hour in which it lies, then the minute.
    for (;;) {
      const change = offset(zone, at + step) - offset(zone, at);
      if (kind === "gap" ? change > 0 : change < 0) break;
      at += step;
    }
  }
  const before = offset(zone, at);
  const length = Math.abs(offset(zone, at + minute) - before);
  const middle = kind === "gap" ? at + minute + (length / 2) * minute : at + minute - (length / 2) * minute;
  const local = new Date(middle + before * minute);
  return [local.getUTCMinutes(), local.getUTCHours(), local.getUTCDate(), local.getUTCMonth() + 1];
}

export async function story(test) {
  const page = await test.page();
  await page.goto("/ui/jobs/new");
  const seen = [];
  for (const zone of ZONES) {
    for (const [kind, mark] of Object.entries(MARKS)) {
      const spec = `${next(zone, kind).join(" ")} *`;
      await page.getByLabel("Time zone", { exact: true }).fill(zone);
      // Emptied first, so that no mark of the schedule before is taken for this one.
      await page.getByLabel("Schedule", { exact: true }).fill("");
      await page.locator("#preview .dst").first().waitFor({ state: "detached" });
      await page.getByLabel("Schedule", { exact: true }).fill(spec);
      await page.locator("#preview .dst", { hasText: mark }).first().waitFor();
      seen.push(`${zone} ${spec}`);
    }
  }
  return seen.join(", ");
}
