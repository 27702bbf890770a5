//! `next`: when a schedule fires, computed here without a node; and `next --ndjson`, the same for
//! thousands of schedules in one pass. It answers with the code that fires jobs, so what it says is
//! what will happen.

use std::io::{self, BufRead, Write};

use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::json;

use super::Failure;
use super::output::{Format, Output, line, say, table};
use crate::clock::{Clock, SystemClock};
use crate::model::Millis;
use crate::model::time::{parse_rfc3339, rfc3339};
use crate::schedule::{
    DstRule, Fold, Gap, Schedule, asked_anchor, describe, fields, parse_at, parse_zone, preview_in,
};

/// The most occurrences that one question may ask for.
const MOST: usize = 1_000;

/// Flags of `next`.
#[derive(Debug, Args)]
pub struct Next {
    /// Cron with 5 fields, or 6 with seconds first; @every 5m, @daily ...
    #[arg(required_unless_present = "ndjson")]
    spec: Option<String>,
    /// The IANA zone that it is read in
    #[arg(long, visible_alias = "tz", default_value = "UTC")]
    timezone: String,
    /// Occurrences strictly after this instant: RFC 3339, or local in the zone; @every counts from
    /// its whole second [default: now]
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// How many, up to 1000
    #[arg(long, default_value_t = 10)]
    count: usize,
    /// What a fixed hour does when the clock jumps over it
    #[arg(long, value_enum, default_value = "next")]
    dst_gap: GapRule,
    /// What a fixed hour does when the clock shows it twice
    #[arg(long, value_enum, default_value = "first")]
    dst_fold: FoldRule,
    /// The job's number, on which H in a field depends
    #[arg(long, default_value_t = 0)]
    job: u64,
    /// Reads a question a line from stdin, {"spec","tz","from","gap","fold","count"}, and answers
    /// each with a line: {"next":[...]} or {"error":"..."}
    #[arg(long, conflicts_with_all = ["spec", "timezone", "from", "count", "dst_gap", "dst_fold", "job"])]
    ndjson: bool,
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

/// A line of `--ndjson`. Fields that are not there take the defaults of the flags, except that
/// one occurrence is answered, not ten.
#[derive(Deserialize)]
struct Question {
    spec: String,
    tz: Option<String>,
    from: Option<String>,
    gap: Option<Gap>,
    fold: Option<Fold>,
    count: Option<usize>,
}

/// Carries it out.
pub(super) fn run(flags: &Next, output: Output) -> anyhow::Result<()> {
    let Some(spec) = &flags.spec else {
        return answer_all(io::stdin().lock(), &mut io::stdout().lock());
    };
    let usage = |message: String| Failure::Usage(message);
    let zone = parse_zone(&flags.timezone).map_err(|e| usage(format!("--timezone: {e}")))?;
    let dst = DstRule {
        gap: match flags.dst_gap {
            GapRule::Next => Gap::Next,
            GapRule::Skip => Gap::Skip,
        },
        fold: match flags.dst_fold {
            FoldRule::First => Fold::First,
            FoldRule::Both => Fold::Both,
        },
    };
    let schedule = Schedule::parse(spec, zone, dst, flags.job).map_err(|e| usage(e.to_string()))?;
    let from =
        instant(flags.from.as_deref(), zone, dst).map_err(|e| usage(format!("--from: {e}")))?;
    if flags.count > MOST {
        return Err(usage(format!("--count: expected at most {MOST}")).into());
    }
    let list = preview_in(zone, &schedule, asked_anchor(from), from, flags.count);
    if Schedule::is_seed_dependent(spec) && flags.job == 0 {
        say("H depends on the job: these are the instants of job 0; --job shows another's");
    }
    match output.format {
        Format::Json => output.json(&json!({
            "description": describe(spec),
            "fields": fields(spec)?,
            "occurrences": list,
        })),
        Format::Table => {
            say(&describe(spec));
            if list.is_empty() {
                say("it never fires again");
                return Ok(());
            }
            let rows = list.iter().map(|p| {
                let mark = serde_json::to_value(p.dst).unwrap_or_default();
                vec![rfc3339(p.utc), p.local.clone(), mark.as_str().unwrap_or("").to_owned()]
            });
            line(&table(["utc", "local", "clock change"].into_iter(), rows))
        }
    }
}

/// Answers line by line. Output is flushed whenever no further line has arrived yet, so that it
/// can be talked to, and only then, so that a file goes through fast.
fn answer_all(input: impl io::Read, output: &mut impl Write) -> anyhow::Result<()> {
    let mut input = io::BufReader::with_capacity(1 << 16, input);
    let mut output = io::BufWriter::with_capacity(1 << 16, output);
    let mut text = Vec::new();
    loop {
        text.clear();
        if input.read_until(b'\n', &mut text)? == 0 {
            return Ok(output.flush()?);
        }
        let question = text.trim_ascii();
        if question.is_empty() {
            continue;
        }
        let said = match serde_json::from_slice::<Question>(question) {
            Ok(question) => answer(&question),
            Err(e) => Err(format!("not a question: {e}")),
        };
        match said {
            Ok(list) => serde_json::to_writer(&mut output, &json!({ "next": list }))?,
            Err(message) => serde_json::to_writer(&mut output, &json!({ "error": message }))?,
        }
        output.write_all(b"\n")?;
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
}

fn answer(question: &Question) -> Result<Vec<String>, String> {
    let zone = match &question.tz {
        Some(name) => parse_zone(name).map_err(|e| e.to_string())?,
        None => Tz::UTC,
    };
    let dst =
        DstRule { gap: question.gap.unwrap_or_default(), fold: question.fold.unwrap_or_default() };
    let schedule = Schedule::parse(&question.spec, zone, dst, 0).map_err(|e| e.to_string())?;
    let from = instant(question.from.as_deref(), zone, dst).map_err(|e| format!("from: {e}"))?;
    let count = question.count.unwrap_or(1);
    if count > MOST {
        return Err(format!("count: expected at most {MOST}"));
    }
    let anchor = asked_anchor(from);
    let next = |at: &Millis| schedule.next(anchor, *at);
    Ok(std::iter::successors(next(&from), next).take(count).map(rfc3339).collect())
}

fn instant(text: Option<&str>, zone: Tz, dst: DstRule) -> Result<Millis, String> {
    let Some(text) = text else { return Ok(SystemClock.wall()) };
    match parse_rfc3339(text) {
        Some(at) => Ok(at),
        None => parse_at(text, zone, dst).map_err(|e| e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(lines: &str) -> Vec<String> {
        let mut out = Vec::new();
        answer_all(lines.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_line_has_its_answer() {
        let said = answers(
            r#"{"spec":"0 9 * * 1-5","tz":"Europe/Berlin","from":"2026-03-27T12:00:00Z","count":2}

{"spec":"@every 15m","from":"2012-07-09T14:45:00.005Z"}
{"spec":"30 2 * * *","tz":"Europe/Berlin","from":"2026-03-28T12:00:00Z","gap":"skip"}
{"spec":"30 2 * * *","tz":"Europe/Berlin","from":"2026-03-28T12:00:00Z"}
{"spec":"30 2 * * *","tz":"Europe/Berlin","from":"2026-10-24T12:00:00Z","fold":"both","count":2}
{"spec":"0 0 0 1 1 *","from":"9999-12-01T00:00:00Z"}
{"spec":"0 0 30 2 *"}
{"spec":"@daily","tz":"Mars/Base"}
{"spec":"@daily","from":"soon"}
{"spec":"@daily","gap":"jump"}
{"spec":"@daily","count":1001}
{"tz":"UTC"}
nonsense"#,
        );
        let exact = [
            r#"{"next":["2026-03-30T07:00:00Z","2026-03-31T07:00:00Z"]}"#,
            r#"{"next":["2012-07-09T15:00:00Z"]}"#,
            r#"{"next":["2026-03-30T00:30:00Z"]}"#,
            r#"{"next":["2026-03-29T01:00:00Z"]}"#,
            r#"{"next":["2026-10-25T00:30:00Z","2026-10-25T01:30:00Z"]}"#,
            r#"{"next":[]}"#,
        ];
        assert_eq!(said[..exact.len()], exact);
        let parts = [
            "never comes",
            "Mars/Base",
            "from: ",
            "jump",
            "at most 1000",
            "spec",
            "not a question",
        ];
        assert_eq!(said.len(), exact.len() + parts.len());
        for (line, part) in said[exact.len()..].iter().zip(parts) {
            assert!(line.starts_with(r#"{"error":""#) && line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_get_an_answer_too() {
        let mut out = Vec::new();
        answer_all(&b"\xff\xfe\n{\"spec\":\"@daily\"}"[..], &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[0].contains("error") && lines[1].contains("next"), "{said}");
    }
}
