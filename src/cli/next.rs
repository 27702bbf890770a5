//! `next`: when a schedule fires, computed here without a node; `next --ndjson`, the same for
//! thousands of schedules in one pass; and `next --crontab`, for each line of a crontab. It answers
//! with the code that fires jobs, so what it says is what will happen.

mod crontab;
mod lines;

use std::io::{self, Read};

use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::Failure;
use super::output::{Format, Output, line, say, table};
use crate::clock::{Clock, SystemClock};
use crate::model::Millis;
use crate::model::time::rfc3339;
use crate::schedule::{
    DstRule, Fold, Gap, Preview, Schedule, asked_anchor, describe, fields, parse_at, parse_zone,
    preview_in, warnings,
};

/// The most occurrences that one question may ask for.
const MOST: usize = 1_000;

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
    /// How many, up to 1000 [default: 10; of each line of a crontab 1]
    #[arg(long)]
    count: Option<usize>,
    /// What a fixed hour does when the clock jumps over it
    #[arg(long, value_enum, default_value = "next")]
    dst_gap: GapRule,
    /// What a fixed hour does when the clock shows it twice
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

/// What a fixed hour does in a local time that doesn't exist.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum GapRule {
    /// Fires at the first instant after the gap
    Next,
    /// Doesn't fire that day
    Skip,
}

/// What a fixed hour does in a local time that comes twice.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FoldRule {
    /// Fires the first time
    First,
    /// Fires both times
    Both,
}

/// What the flags ask for, read.
struct Flags {
    zone: Tz,
    dst: DstRule,
    from: Millis,
    count: Option<usize>,
    job: u64,
}

/// The lines of an input that could not be understood.
#[derive(Debug, Default)]
struct Wrong {
    /// How many lines there were; while reading, the number of the present one.
    lines: usize,
    count: usize,
    /// The first few.
    first: Vec<usize>,
}

impl Wrong {
    const NAMED: usize = 10;

    /// Counts the present line.
    fn add(&mut self) {
        self.count += 1;
        if self.first.len() < Self::NAMED {
            self.first.push(self.lines);
        }
    }

    /// What is said at the end; `None` when all lines were good.
    fn message(&self) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let named: Vec<_> = self.first.iter().map(ToString::to_string).collect();
        let (are, others) = (if self.count == 1 { "is" } else { "are" }, self.count > named.len());
        let others = if others { " and others" } else { "" };
        let (count, lines, named) = (self.count, self.lines, named.join(", "));
        Some(format!("{count} of {lines} lines {are} wrong: {named}{others}"))
    }

    fn into_result(self) -> anyhow::Result<()> {
        self.message().map_or(Ok(()), |message| Err(anyhow::anyhow!(message)))
    }
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
    // Clap asks for a spec where there is neither of the two above.
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
        if self.count.is_some_and(|count| count > MOST) {
            return Err(usage(format!("--count: expected at most {MOST}")));
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
    // What is not text is shown as such; it is in no valid schedule.
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

/// The local weekday, such as `Mon`.
fn weekday(one: &Preview) -> String {
    chrono::DateTime::parse_from_rfc3339(&one.local)
        .map_or_else(|_| String::new(), |local| local.format("%a").to_string())
}

fn instant(text: Option<&str>, zone: Tz, dst: DstRule) -> Result<Millis, String> {
    let Some(text) = text else { return Ok(SystemClock.wall()) };
    parse_at(text, zone, dst).map_err(|e| e.to_string())
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
