//! `next`: computes when a schedule fires, without a node. `next --ndjson` does the same for
//! thousands of schedules in one pass, and `next --crontab` for each line of a crontab. It uses the
//! code that fires jobs, so its answer is what will happen.

mod crontab;
mod flags;
mod lines;
mod wrong_lines;

use std::io::{self, Read};

use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use serde_json::json;

use self::flags::{Flags, MAX_COUNT, instant, weekday};
use super::Failure;
use super::output::{Format, Output, line, say, table};
use crate::model::time::rfc3339;
use crate::schedule::{
    DstRule, Fold, Gap, Preview, Schedule, asked_anchor, describe, fields, parse_zone, preview_in,
    warnings,
};

/// Flags of `next`.
#[derive(Debug, Args)]
pub struct Next {
    /// Cron with 5 fields, or 6 with seconds first; @every 5m, @daily ...
    #[arg(required_unless_present_any = ["ndjson", "crontab"])]
    spec: Option<String>,
    /// The IANA zone that it is read in [default: UTC]
    #[arg(long, visible_alias = "tz")]
    timezone: Option<String>,
    /// Occurrences strictly after this instant: RFC 3339, or local in the zone; @every counts from
    /// its whole second [default: now]
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// The number of occurrences, up to 1000 [default: 10; of each line of a crontab 1]
    #[arg(long)]
    count: Option<usize>,
    /// The treatment of a fixed hour that the clock jumps over
    #[arg(long, value_enum, default_value = "next")]
    dst_gap: GapRule,
    /// The treatment of a fixed hour that the clock shows twice
    #[arg(long, value_enum, default_value = "first")]
    dst_fold: FoldRule,
    /// The job's number, on which H in a field depends
    #[arg(long, default_value_t = 0)]
    job: u64,
    /// Reads a question a line from stdin, {"spec","timezone","from","dst","count"} (or "at",
    /// "after" for "spec"; also "tz", "gap", "fold", "job"), and answers each with a line:
    /// {"next":[...]} or {"error":"...","line":N}; exits with 1 when a line is wrong
    #[arg(long, conflicts_with_all = ["spec", "crontab", "timezone", "from", "count", "dst_gap", "dst_fold", "job"])]
    ndjson: bool,
    /// Reads a crontab file (- is stdin) and shows when each of its lines fires next. It knows
    /// comments, settings (TZ and `CRON_TZ` name the zone) and commands, but no user column; exits
    /// with 1 when a line is wrong
    #[arg(long, value_name = "FILE", conflicts_with = "spec")]
    crontab: Option<String>,
}

/// The treatment of a fixed hour in a local time that does not exist.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum GapRule {
    /// Fires at the first instant after the gap
    Next,
    /// Doesn't fire that day
    Skip,
}

/// The treatment of a fixed hour in a local time that comes twice.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FoldRule {
    /// Fires the first time
    First,
    /// Fires both times
    Both,
}

/// Carries it out.
pub(super) fn run(flags: &Next, output: Output) -> anyhow::Result<()> {
    if flags.ndjson {
        return lines::answer_all(io::stdin().lock(), &mut io::stdout().lock())?.into_result();
    }
    let asked = flags.read()?;
    if let Some(file) = &flags.crontab {
        return crontab::show_all(&text_of(file)?, &asked, output)?.into_result();
    }
    // Clap demands a spec unless one of the two flags above is set.
    let spec = flags.spec.as_deref().unwrap_or_default();
    one(spec, flags.timezone.is_some(), &asked, output)
}

impl Next {
    fn read(&self) -> Result<Flags, Failure> {
        let usage = |message: String| Failure::Usage(message);
        let zone = match &self.timezone {
            Some(name) => parse_zone(name).map_err(|e| usage(format!("--timezone: {e}")))?,
            None => Tz::UTC,
        };
        let dst = DstRule {
            gap: match self.dst_gap {
                GapRule::Next => Gap::Next,
                GapRule::Skip => Gap::Skip,
            },
            fold: match self.dst_fold {
                FoldRule::First => Fold::First,
                FoldRule::Both => Fold::Both,
            },
        };
        let from =
            instant(self.from.as_deref(), zone, dst).map_err(|e| usage(format!("--from: {e}")))?;
        if self.count.is_some_and(|count| count > MAX_COUNT) {
            return Err(usage(format!("--count: expected at most {MAX_COUNT}")));
        }
        Ok(Flags { zone, dst, from, count: self.count, job: self.job })
    }
}

fn text_of(file: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file == "-" {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(file).map_err(|e| anyhow::anyhow!("{file}: {e}"))?;
    }
    // Bytes that are not UTF-8 are shown as such; no valid schedule has them.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn one(spec: &str, zoned: bool, flags: &Flags, output: Output) -> anyhow::Result<()> {
    let usage = |message: String| Failure::Usage(message);
    let schedule = Schedule::parse(spec, flags.zone, flags.dst, flags.job)
        .map_err(|e| usage(e.to_string()))?;
    let (from, count) = (flags.from, flags.count.unwrap_or(10));
    let list = preview_in(flags.zone, &schedule, asked_anchor(from), from, count);
    if !zoned && schedule.zone() == Some(Tz::UTC) && !spec.contains('=') {
        say("timezone UTC, by default: --timezone names another");
    }
    if Schedule::is_seed_dependent(spec) && flags.job == 0 {
        say("H depends on the job: these are the instants of job 0; --job shows another's");
    }
    let warned = warnings(spec);
    for warning in &warned {
        say(&format!("warning: {warning}"));
    }
    match output.format {
        Format::Json => {
            let mut said = json!({
                "description": describe(spec),
                "fields": fields(spec)?,
                "occurrences": list,
            });
            if !warned.is_empty() {
                said["warnings"] = warned.into();
            }
            output.json(&said)
        }
        Format::Table | Format::Wide => {
            say(&describe(spec));
            if list.is_empty() {
                say("it never fires again");
                return Ok(());
            }
            line(&shown(&list))
        }
    }
}

/// The table of occurrences; a column for changes of the clock only where there is one.
fn shown(list: &[Preview]) -> String {
    let changes = list.iter().any(|one| one.dst.is_some());
    let titles = ["utc", "local", "weekday", "clock change"];
    let rows = list.iter().map(|one| {
        let mut row = vec![rfc3339(one.utc), one.local.clone(), weekday(one)];
        if changes {
            let mark = serde_json::to_value(one.dst).unwrap_or_default();
            row.push(mark.as_str().unwrap_or("").to_owned());
        }
        row
    });
    table(titles.into_iter().take(if changes { 4 } else { 3 }), rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_the_weekday_and_changes_of_the_clock_only_where_they_are() {
        let berlin = Tz::Europe__Berlin;
        let schedule = Schedule::parse("30 2 * * *", berlin, DstRule::default(), 0).unwrap();
        let rows = |from: &str| {
            let from = instant(Some(from), berlin, DstRule::default()).unwrap();
            shown(&preview_in(berlin, &schedule, from, from, 2))
        };
        assert_eq!(
            rows("2026-03-28T00:00"),
            "UTC                   LOCAL                      WEEKDAY  CLOCK CHANGE\n\
             2026-03-28T01:30:00Z  2026-03-28T02:30:00+01:00  Sat\n\
             2026-03-29T01:00:00Z  2026-03-29T03:00:00+02:00  Sun      moved"
        );
        assert_eq!(
            rows("2026-04-01T00:00"),
            "UTC                   LOCAL                      WEEKDAY\n\
             2026-04-01T00:30:00Z  2026-04-01T02:30:00+02:00  Wed\n\
             2026-04-02T00:30:00Z  2026-04-02T02:30:00+02:00  Thu"
        );
    }
}
