//! Descriptions against instants: all occurrences keep the regularity that a sentence claims, and
//! its lists name exactly what occurs.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler0::schedule::{Millis, Schedule, describe};

use super::text::VIXIE;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;
/// 2026-01-01T00:00:00Z, a Thursday.
const FROM: Millis = 1_767_225_600_000;

/// `every 20 minutes of hours 0, 6, 12, 18`, taken apart.
#[derive(Debug)]
struct Claim {
    period: Millis,
    /// The fields within which it holds, the finest first: the length of a value, and the values.
    within: Vec<(Millis, BTreeSet<Millis>)>,
}

fn length(unit: &str) -> Option<Millis> {
    match unit.trim_end_matches('s') {
        "second" => Some(SECOND),
        "minute" => Some(MINUTE),
        "hour" => Some(HOUR),
        _ => None,
    }
}

/// `0, 6, 12 and 18`, `9 to 17`, `5`.
fn numbers(text: &str) -> BTreeSet<Millis> {
    let items = text.split(", ").flat_map(|item| item.split(" and "));
    let range = |item: &str| {
        let (lo, hi) = item.split_once(" to ").unwrap_or((item, item));
        lo.parse::<Millis>().unwrap()..=hi.parse().unwrap()
    };
    items.flat_map(range).collect()
}

/// `every 2nd minute from 1 to 59`.
fn stepped(text: &str) -> (Millis, BTreeSet<Millis>) {
    let words: Vec<_> = text.split(' ').collect();
    let ["every", nth, unit, "from", lo, "to", hi] = words[..] else { panic!("{text}") };
    let step: usize = nth.trim_end_matches(char::is_alphabetic).parse().unwrap();
    let values = lo.parse().unwrap()..=hi.parse().unwrap();
    (length(unit).unwrap(), values.step_by(step).collect())
}

/// The beginning of a text up to its next phrase; a list continues with a number.
fn phrase(text: &str) -> String {
    let mut parts = text.split(", ");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.take_while(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    rest.fold(first, |all, part| format!("{all}, {part}"))
}

/// The claims of a sentence about seconds, minutes and hours.
fn claims(sentence: &str) -> Vec<Claim> {
    let lower = sentence.to_lowercase();
    let mut found = Vec::new();
    for (at, _) in lower.match_indices("every ") {
        let rest = &lower[at + 6..];
        let mut words = rest.split([' ', ',']);
        let (Some(first), second) = (words.next(), words.next().unwrap_or_default()) else {
            continue;
        };
        let period = match (first.parse::<Millis>(), length(first)) {
            (Ok(count), _) => length(second).map(|unit| count * unit),
            (_, unit) => unit,
        };
        let Some(period) = period else { continue };
        let own = phrase(rest);
        let within = own.split(" of ").skip(1).map(|of| {
            let (unit, list) = of.split_once(' ').unwrap();
            match length(unit) {
                Some(unit) => (unit, numbers(list)),
                None => stepped(of),
            }
        });
        let within = within.collect();
        found.push(Claim { period, within });
    }
    found
}

/// The value of an instant's field that lasts for `unit`.
fn value(at: Millis, unit: Millis) -> Millis {
    if unit == HOUR { at.rem_euclid(DAY) / HOUR } else { at.rem_euclid(unit * 60) / unit }
}

fn keeps(spec: &str) -> Result<(), TestCaseError> {
    let schedule = Schedule::parse(spec, Tz::UTC, VIXIE, 0).unwrap();
    let next = |at: &Millis| schedule.next(0, *at).filter(|next| *next < FROM + 2 * DAY);
    let all: BTreeSet<Millis> = std::iter::successors(next(&(FROM - 1)), next).collect();
    let said = describe(spec);
    for claim in claims(&said) {
        for at in all.iter().filter(|at| **at < FROM + DAY) {
            let then = at + claim.period;
            // Nothing is claimed beyond the value within which it holds.
            let within = |unit: &Millis| at.div_euclid(*unit) == then.div_euclid(*unit);
            let goes_on = claim.within.first().is_none_or(|(unit, _)| within(unit));
            prop_assert!(!goes_on || all.contains(&then), "{spec}: {said}: not at {then}");
        }
        for (unit, values) in &claim.within {
            let come: BTreeSet<_> = all.iter().map(|at| value(*at, *unit)).collect();
            prop_assert_eq!(&come, values, "{}: {}", spec, said);
        }
        // The first word of the sentence is the shortest distance.
        if said.starts_with("Every") && claims(&said).len() == 1 {
            let nearest = all.iter().zip(all.iter().skip(1)).map(|(one, next)| next - one).min();
            prop_assert_eq!(nearest, Some(claim.period), "{}: {}", spec, said);
        }
    }
    for (name, unit) in [("minute", MINUTE), ("second", SECOND)] {
        let Some((_, list)) = said.split_once(&format!("At {name}s ")) else { continue };
        let list = phrase(list);
        let listed = numbers(list.split(" of ").next().unwrap_or_default());
        let come: BTreeSet<_> = all.iter().map(|at| value(*at, unit)).collect();
        prop_assert_eq!(come, listed, "{}: {}", spec, said);
    }
    Ok(())
}

fn field(values: u32) -> BoxedStrategy<String> {
    let steps = select(vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 45, 59, 60, 90]);
    let pair = (0..values, 0..values).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        3 => Just("*".to_owned()),
        4 => steps.clone().prop_map(|step| format!("*/{step}")),
        2 => (0..values).prop_map(|value| value.to_string()),
        1 => (0..values, 0..values).prop_map(|(a, b)| format!("{a},{b}")),
        1 => pair.clone().prop_map(|(lo, hi)| format!("{lo}-{hi}")),
        1 => (pair, steps).prop_map(|((lo, hi), step)| format!("{lo}-{hi}/{step}")),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(feature = "slow") { 400 } else { 100 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_description_claims_nothing_that_the_instants_contradict(
        second in prop_oneof![3 => Just("0".to_owned()), 1 => field(60)],
        minute in field(60),
        hour in field(24),
    ) {
        keeps(&format!("{second} {minute} {hour} * * *"))?;
    }
}

#[test]
fn what_is_held_against_the_instants_is_found_in_the_sentence() {
    let said = claims("Every 20 minutes of hours 0, 6, 12, 18, on Monday to Friday");
    assert_eq!(said[0].period, 20 * MINUTE);
    assert_eq!(said[0].within, [(HOUR, BTreeSet::from([0, 6, 12, 18]))]);
    assert_eq!(claims("At minute 5, every 2 hours")[0].period, 2 * HOUR);
    assert_eq!(claims("At 00:00, on every 2nd day from 1 to 31 of the month").len(), 0);
    for spec in ["*/20 */6 * * *", "0 */7 * * *", "*/40 * * * *", "0,30 */6 * * *"] {
        assert!(keeps(spec).is_ok(), "{spec}");
    }
}
