//! Fuzzing of the parsers of schedules: raw strings, pieces of the grammars, and good specs that
//! are damaged.
//!
//! A short run is part of the tests. `SCHEDULER0_FUZZ_SECONDS=600 cargo test --test it fuzz --
//! --nocapture` runs for as long and prints the number of cases. A failing case is made as small as
//! possible and printed.

use std::time::{Duration, Instant};

use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseError, TestRunner};
use scheduler0::schedule::{
    DstRule, Fold, Gap, LAST, Millis, Schedule, describe, describe_after, describe_at, fields,
    parse_at_marked, parse_duration, parse_zone, preview_in, warnings,
};

/// The length of an error at most, in bytes: it quotes at most a line of the input.
const LONGEST_ERROR: usize = 1_000;
/// The time of one case at most; a thousand times of what it takes.
const LONGEST_CASE: Duration = Duration::from_secs(5);
/// The instants that schedules know.
const CALENDAR: std::ops::RangeInclusive<Millis> = -62_135_596_800_000..=LAST;
/// Cases between two looks at the clock.
const ROUND: u32 = 500;

/// Texts that mean something, to be damaged.
const GOOD: [&str; 33] = [
    "* * * * *",
    "*/15 9-17 * * mon-fri",
    "0 0 29 2 *",
    "30 2 * * *",
    "59 59 23 31 12 7",
    "H H(0-7) * * *",
    "H/15 * * * *",
    "0 0 L * *",
    "0 0 L-30 2 *",
    "0 0 LW,15W 1-11/2 ?",
    "0 0 31W * *",
    "0 0 * * 5#5",
    "0 0 13 * 5L",
    "1,2,3,4-8/3,*/50 0/7 1,31 jan,feb sun",
    "CRON_TZ=America/New_York 30 1 * 3,11 0",
    "TZ=Australia/Lord_Howe 0 2 * * *",
    "@daily",
    "@every 1h30m10s",
    "@every 1 hour and 30 minutes",
    "0 9 */2 * mon-sun",
    "cron(0 12 * * ? 2027)",
    "@every 292h",
    "2026-03-29T02:30:00",
    "2026-03-29 02:30",
    "2026-10-25T02:30:00.123456789+02:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "1h30m",
    "PT1H30M",
    "P1DT12H",
    "1 hour and 30 minutes",
    "2 mins",
    "-5m",
];

/// Pieces that damage them.
const PIECES: [&str; 36] = [
    " ",
    "  ",
    "\t",
    "*",
    "?",
    "/",
    "-",
    ",",
    "#",
    "L",
    "W",
    "H",
    "(",
    ")",
    "0",
    "00",
    "7",
    "8",
    "60",
    "99999999999",
    "18446744073709551616",
    "@",
    "@every ",
    "CRON_TZ=",
    "TZ=",
    "+",
    ".",
    "1e9",
    "ns",
    "µs",
    "T",
    "Z",
    "P",
    "\u{0}",
    "é",
    "\u{1f570}",
];

/// A change of a text: its place, the new piece, and the number of letters that it replaces.
type Change = (Index, &'static str, usize);

fn changed(text: &str, changes: &[Change]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for (place, piece, gone) in changes {
        let at = place.index(letters.len() + 1);
        let end = (at + gone).min(letters.len());
        letters.splice(at..end, piece.chars());
    }
    letters.into_iter().collect()
}

fn texts() -> impl Strategy<Value = String> {
    let change = (any::<Index>(), select(&PIECES[..]), 0_usize..3);
    let damaged = (select(&GOOD[..]), vec(change.clone(), 0..6))
        .prop_map(|(text, changes)| changed(text, &changes));
    let field = vec(select(&PIECES[..]), 1..5).prop_map(|pieces| pieces.concat());
    prop_oneof![
        6 => damaged,
        1 => vec(field, 4..7).prop_map(|fields| fields.join(" ")),
        1 => vec(any::<u8>(), 0..200).prop_map(|b| String::from_utf8_lossy(&b).into_owned()),
        1 => r"\PC{0,60}",
        1 => "([0-9]{1,2}(-[0-9]{1,2})?(/[0-9]{1,3})?(,[0-9]{1,2}){0,3} ){4,6}",
        1 => "(CRON_)?TZ=[A-Za-z/_]{0,12} [0-9*]{1,2} [0-9*]{1,2} [0-9LW*-]{1,4} [0-9*] [0-9L#*]{1,3}",
        1 => "@every [-+.0-9hmsuµn]{0,12}",
        1 => "[-+.:0-9TZPYMWDHS ]{0,30}",
        1 => "[0-9]{1,4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})?)?",
        // Numbers of any length where numbers belong.
        1 => (0_usize..1_000, "[1-9]{0,3}", select(vec!["5-", "", "@every ", "*/", "L-", "1#"]))
            .prop_map(|(zeros, end, front)| format!("{front}{}{end}-1 * * * *", "0".repeat(zeros))),
        // Long texts: one piece is repeated.
        1 => (select(&GOOD[..]), select(&PIECES[..]), any::<Index>(), 100_usize..1_500).prop_map(
            |(text, piece, place, times)| {
                let letters: Vec<char> = text.chars().collect();
                let (before, after) = letters.split_at(place.index(letters.len() + 1));
                [before.iter().collect(), piece.repeat(times), after.iter().collect::<String>()].concat()
            }
        ),
    ]
}

fn instants() -> impl Strategy<Value = Millis> {
    prop_oneof![
        4 => 0..4_102_444_800_000_i64,
        1 => 4_102_444_800_000..LAST,
        1 => any::<i64>(),
        1 => select(vec![i64::MIN, i64::MIN + 1, -1, 0, LAST - 1, LAST, LAST + 1, i64::MAX]),
    ]
}

fn rules() -> impl Strategy<Value = DstRule> {
    (select(vec![Gap::Next, Gap::Skip]), select(vec![Fold::First, Fold::Both]))
        .prop_map(|(gap, fold)| DstRule { gap, fold })
}

#[derive(Clone, Debug)]
struct Case {
    text: String,
    zone: Tz,
    rule: DstRule,
    anchor: Millis,
    at: Millis,
    between: Index,
}

fn cases() -> impl Strategy<Value = Case> {
    (texts(), select(&TZ_VARIANTS[..]), rules(), instants(), instants(), any::<Index>()).prop_map(
        |(text, zone, rule, anchor, at, between)| Case { text, zone, rule, anchor, at, between },
    )
}

fn bounded(error: &impl ToString) -> Result<(), TestCaseError> {
    let said = error.to_string();
    prop_assert!(!said.is_empty() && said.len() <= LONGEST_ERROR, "{} bytes: {said}", said.len());
    Ok(())
}

/// Calls every function that takes a text which may be a schedule.
fn survive(case: &Case) -> Result<(), TestCaseError> {
    let Case { text, zone, rule, .. } = case;
    let begun = Instant::now();
    match Schedule::parse(text, *zone, *rule, case.anchor.cast_unsigned()) {
        Ok(schedule) => {
            holds(&schedule, case)?;
            let stored = Schedule::stored(text, *zone, *rule, case.anchor.cast_unsigned());
            prop_assert_eq!(stored, Ok(schedule));
            prop_assert!(fields(text).is_ok());
            let said = describe(text);
            prop_assert!(!said.is_empty() && said.len() <= 400 + 100 * text.len(), "{said}");
        }
        Err(error) => {
            bounded(&error)?;
            if let Ok(schedule) = Schedule::stored(text, *zone, *rule, case.anchor.cast_unsigned())
            {
                holds(&schedule, case)?;
                prop_assert!(fields(text).is_ok());
                return Ok(());
            }
            bounded(&describe(text))?;
            if let Err(error) = fields(text) {
                bounded(&error)?;
            }
        }
    }
    for warning in warnings(text) {
        bounded(&warning)?;
    }
    let _ = Schedule::is_seed_dependent(text);
    match parse_duration(text) {
        Ok(length) => {
            prop_assert!(length >= 0);
            prop_assert!(!describe_after(length).is_empty());
        }
        Err(error) => bounded(&error)?,
    }
    match parse_at_marked(text, *zone, *rule) {
        Ok((at, _)) => {
            prop_assert!(CALENDAR.contains(&at));
            prop_assert!(!describe_at(at, *zone).is_empty());
        }
        Err(error) => bounded(&error)?,
    }
    if let Err(error) = parse_zone(text) {
        bounded(&error)?;
    }
    prop_assert!(begun.elapsed() < LONGEST_CASE, "it took {:?}", begun.elapsed());
    Ok(())
}

/// `next` goes forward, `prev` undoes it, nothing lies in between, and a preview is the same list.
fn holds(schedule: &Schedule, case: &Case) -> Result<(), TestCaseError> {
    let Case { anchor, at, .. } = *case;
    let next = schedule.next(anchor, at);
    let prev = schedule.prev(anchor, at);
    if !CALENDAR.contains(&anchor) {
        // No job has such an anchor: any answer will do.
        prop_assert!(next.is_none_or(|next| next > at) && prev.is_none_or(|prev| prev <= at));
        return Ok(());
    }
    if let Some(next) = next {
        prop_assert!(next > at && next <= LAST);
        prop_assert_eq!(schedule.prev(anchor, next), Some(next));
        prop_assert_eq!(schedule.next(anchor, next - 1), Some(next));
        prop_assert_eq!(schedule.prev(anchor, next - 1), prev);
        // Some instant from `at` up to the last one before `next`.
        let between = at + case.between.index(next.saturating_sub(at) as usize) as Millis;
        prop_assert_eq!(schedule.next(anchor, between), Some(next));
        prop_assert_eq!(schedule.prev(anchor, between), prev);
    }
    if let Some(prev) = prev {
        prop_assert!(prev <= at);
        prop_assert_eq!(schedule.next(anchor, prev), next);
        prop_assert_eq!(schedule.prev(anchor, prev), Some(prev));
    }
    let list = preview_in(case.zone, schedule, anchor, at, 4);
    prop_assert_eq!(list.first().map(|one| one.utc), next);
    prop_assert!(list.is_sorted_by(|one, other| one.utc < other.utc));
    Ok(())
}

#[test]
fn no_text_is_too_much_for_the_parsers() {
    let seconds = std::env::var("SCHEDULER0_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let config =
        ProptestConfig { cases: ROUND, failure_persistence: None, ..ProptestConfig::default() };
    let (begun, mut cases_done) = (Instant::now(), 0);
    loop {
        if let Err(failure) = TestRunner::new(config.clone()).run(&cases(), |case| survive(&case)) {
            panic!("after {cases_done} cases: {failure}");
        }
        cases_done += u64::from(ROUND);
        let taken = begun.elapsed();
        if taken >= Duration::from_secs(seconds.unwrap_or(0)) {
            let rate = cases_done as f64 / taken.as_secs_f64();
            println!("{cases_done} cases in {taken:.1?}, {rate:.0}/s: nothing found");
            return;
        }
    }
}
