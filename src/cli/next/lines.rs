//! `next --ndjson`: a question and an answer a line, in one pass. Called by `next` alone. It asks
//! no node, and an answer never depends on the lines around it.

use std::io::{self, BufRead, Write};

use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Value, json};

use super::flags::{MAX_COUNT, instant};
use super::wrong_lines::WrongLines;
use crate::model::Millis;
use crate::model::time::rfc3339;
use crate::schedule::{
    DstRule, Fold, Gap, LAST, Schedule, asked_anchor, parse_at, parse_duration, parse_zone,
    warnings,
};

/// A line: the names of the API's preview, and the short ones that this command had first. One
/// occurrence is answered unless `count` says more.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    spec: Option<String>,
    at: Option<String>,
    after: Option<String>,
    #[serde(alias = "tz")]
    timezone: Option<String>,
    dst: Option<DstRule>,
    gap: Option<Gap>,
    fold: Option<Fold>,
    from: Option<String>,
    count: Option<usize>,
    job: Option<u64>,
}

/// Answers line by line, and says at the end which lines were wrong. Output is flushed whenever no
/// further line has arrived yet, so that it can be talked to, and only then, so that a file goes
/// through fast.
pub(super) fn answer_all(
    input: impl io::Read,
    output: &mut impl Write,
) -> anyhow::Result<WrongLines> {
    let mut input = io::BufReader::with_capacity(1 << 16, input);
    let mut output = io::BufWriter::with_capacity(1 << 16, output);
    let (mut text, mut wrong) = (Vec::new(), WrongLines::default());
    loop {
        text.clear();
        if input.read_until(b'\n', &mut text)? == 0 {
            output.flush()?;
            return Ok(wrong);
        }
        wrong.lines += 1;
        let question = text.trim_ascii();
        if question.is_empty() {
            continue;
        }
        let said = match serde_json::from_slice::<Question>(question) {
            Ok(question) => answer(&question),
            Err(e) => Err(format!("not a question: {e}")),
        };
        let said = said.unwrap_or_else(|message| {
            wrong.add();
            json!({ "error": message, "line": wrong.lines })
        });
        serde_json::to_writer(&mut output, &said)?;
        output.write_all(b"\n")?;
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
}

fn answer(question: &Question) -> Result<Value, String> {
    let zone = match &question.timezone {
        Some(name) => parse_zone(name).map_err(|e| e.to_string())?,
        None => Tz::UTC,
    };
    let dst = match (question.dst, question.gap, question.fold) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            return Err("give dst, or gap and fold, not both".to_owned());
        }
        (Some(dst), ..) => dst,
        (None, gap, fold) => {
            DstRule { gap: gap.unwrap_or_default(), fold: fold.unwrap_or_default() }
        }
    };
    let from = instant(question.from.as_deref(), zone, dst).map_err(|e| format!("from: {e}"))?;
    let count = question.count.unwrap_or(1);
    if count > MAX_COUNT {
        return Err(format!("count: expected at most {MAX_COUNT}"));
    }
    let (schedule, anchor) = match (&question.spec, &question.at, &question.after) {
        (Some(spec), None, None) => {
            let schedule = Schedule::parse(spec, zone, dst, question.job.unwrap_or(0));
            (schedule.map_err(|e| e.to_string())?, asked_anchor(from))
        }
        (None, Some(at), None) => {
            let at = parse_at(at, zone, dst).map_err(|e| format!("at: {e}"))?;
            (Schedule::once(), at)
        }
        (None, None, Some(after)) => (Schedule::once(), delayed(from, after)?),
        _ => return Err("give one of spec, at and after".to_owned()),
    };
    let next = |at: &Millis| schedule.next(anchor, *at);
    // A delay of zero is due at `from` itself.
    let begin = if question.after.is_some() { from - 1 } else { from };
    let list: Vec<_> = std::iter::successors(next(&begin), next).take(count).map(rfc3339).collect();
    let mut said = json!({ "next": list });
    let warned = question.spec.as_deref().map(warnings).unwrap_or_default();
    if !warned.is_empty() {
        said["warnings"] = warned.into();
    }
    Ok(said)
}

/// The end of a delay. It counts from a whole second unless it is shorter than one, as for jobs.
fn delayed(from: Millis, after: &str) -> Result<Millis, String> {
    let delay = parse_duration(after).map_err(|e| format!("after: {e}"))?;
    let begin = if delay < 1_000 { from } else { from + (-from).rem_euclid(1_000) };
    let at = begin.checked_add(delay).filter(|at| *at <= LAST);
    at.ok_or_else(|| "after: it ends beyond the year 9999".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(lines: &str) -> (Vec<String>, WrongLines) {
        let mut out = Vec::new();
        let wrong = answer_all(lines.as_bytes(), &mut out).unwrap();
        (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), wrong)
    }

    #[test]
    fn each_line_has_its_answer() {
        let (said, wrong) = answers(
            r#"{"spec":"0 9 * * 1-5","tz":"Europe/Berlin","from":"2026-03-27T12:00:00Z","count":2}

{"spec":"@every 15m","from":"2012-07-09T14:45:00.005Z"}
{"spec":"30 2 * * *","tz":"Europe/Berlin","from":"2026-03-28T12:00:00Z","gap":"skip"}
{"spec":"30 2 * * *","tz":"Europe/Berlin","from":"2026-03-28T12:00:00Z"}
{"spec":"30 2 * * *","tz":"Europe/Berlin","from":"2026-10-24T12:00:00Z","fold":"both","count":2}
{"spec":"0 0 0 1 1 *","from":"9999-12-01T00:00:00Z"}"#,
        );
        assert_eq!(
            said,
            [
                r#"{"next":["2026-03-30T07:00:00Z","2026-03-31T07:00:00Z"]}"#,
                r#"{"next":["2012-07-09T15:00:00Z"]}"#,
                r#"{"next":["2026-03-30T00:30:00Z"]}"#,
                r#"{"next":["2026-03-29T01:00:00Z"]}"#,
                r#"{"next":["2026-10-25T00:30:00Z","2026-10-25T01:30:00Z"]}"#,
                r#"{"next":[]}"#,
            ]
        );
        assert!(wrong.message().is_none());
    }

    #[test]
    fn the_names_of_the_api_are_understood() {
        for (line, said) in [
            (
                r#"{"spec":"0 12 * * *","timezone":"Asia/Tokyo","from":"2026-01-01T00:00:00Z","count":1}"#,
                r#"{"next":["2026-01-01T03:00:00Z"]}"#,
            ),
            (
                r#"{"spec":"30 2 * * *","timezone":"Europe/Berlin","from":"2026-03-28T12:00:00Z","dst":{"gap":"skip"}}"#,
                r#"{"next":["2026-03-30T00:30:00Z"]}"#,
            ),
            (
                r#"{"at":"2027-03-01T09:00","timezone":"Europe/Berlin","from":"2026-01-01T00:00:00Z","count":5}"#,
                r#"{"next":["2027-03-01T08:00:00Z"]}"#,
            ),
            (
                r#"{"after":"20 mins","from":"2026-01-01T00:00:00.250Z"}"#,
                r#"{"next":["2026-01-01T00:20:01Z"]}"#,
            ),
            (
                r#"{"after":"0s","from":"2026-01-01T00:00:00Z"}"#,
                r#"{"next":["2026-01-01T00:00:00Z"]}"#,
            ),
        ] {
            assert_eq!(answers(line).0, [said], "{line}");
        }
        let (said, wrong) = answers(r#"{"spec":"*/90 * * * *","from":"2026-01-01T00:30:00Z"}"#);
        assert!(said[0].contains(r#""warnings":["minute field: the step of"#), "{}", said[0]);
        assert!(wrong.message().is_none());
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        let lines = [
            (r#"{"spec":"0 0 30 2 *"}"#, "never comes"),
            (r#"{"spec":"@every 0s"}"#, "it is zero"),
            (r#"{"spec":"@daily","tz":"Mars/Base"}"#, "Mars/Base"),
            (r#"{"spec":"@daily","from":"soon"}"#, "from: "),
            (r#"{"spec":"@daily","gap":"jump"}"#, "jump"),
            (r#"{"spec":"@daily","count":1001}"#, "at most 1000"),
            (r#"{"spec":"@daily","timezon":"UTC"}"#, "unknown field `timezon`, expected one of"),
            (r#"{"spec":"@daily","tz":"UTC","timezone":"UTC"}"#, "duplicate field"),
            (r#"{"spec":"@daily","dst":{"gap":"skip"},"fold":"both"}"#, "not both"),
            (r#"{"spec":"@daily","dst":{"gab":"skip"}}"#, "unknown field `gab`"),
            (r#"{"spec":"@daily","after":"1h"}"#, "give one of spec, at and after"),
            (r#"{"tz":"UTC"}"#, "give one of spec, at and after"),
            ("nonsense", "not a question"),
        ];
        let text = lines.map(|(line, _)| line).join("\n");
        let (said, wrong) = answers(&text);
        assert_eq!(said.len(), lines.len());
        for (number, (line, (_, part))) in said.iter().zip(lines).enumerate() {
            assert!(line.starts_with(r#"{"error":""#) && line.contains(part), "{part}: {line}");
            assert!(line.ends_with(&format!(r#""line":{}}}"#, number + 1)), "{line}");
        }
        assert_eq!(
            wrong.message().unwrap(),
            "13 of 13 lines are wrong: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and others"
        );
    }

    #[test]
    fn bytes_that_are_not_text_get_an_answer_too() {
        let mut out = Vec::new();
        let wrong = answer_all(&b"\xff\xfe\n{\"spec\":\"@daily\"}"[..], &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[0].contains("error") && lines[1].contains("next"), "{said}");
        assert_eq!(wrong.message().unwrap(), "1 of 2 lines is wrong: 1");
    }
}
