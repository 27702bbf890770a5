//! Properties of all schedules in all zones at all instants, against brute force and the `cron`
//! crate; and of all texts, which no parser may panic on.

use chrono::{DateTime, NaiveDate, TimeZone};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use scheduler0::schedule::{
    DstRule, Fold, Gap, Millis, Schedule, describe, fields, parse_at, parse_duration, parse_zone,
    preview,
};

use super::brute_force::BruteForce;
use super::text::{EXACT, VIXIE, zone};

const DAY: i64 = 86_400_000;
/// 2000-01-01 to 2038-01-01, in milliseconds.
const SPAN: std::ops::Range<Millis> = 946_684_800_000..2_145_916_800_000;

const ZONES: [&str; 26] = [
    "UTC",
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Havana",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Nuuk",
    "America/Scoresbysund",
    "America/Caracas",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Lisbon",
    "Europe/Moscow",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Jerusalem",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Antarctica/Troll",
];
const RULES: [DstRule; 4] = [
    VIXIE,
    EXACT,
    DstRule { gap: Gap::Next, fold: Fold::Both },
    DstRule { gap: Gap::Skip, fold: Fold::First },
];

/// A field within `lo..=hi`: a star, values, ranges, steps, lists.
fn field(lo: u32, hi: u32) -> BoxedStrategy<String> {
    let pair = (lo..=hi, lo..=hi).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let item = prop_oneof![
        4 => (lo..=hi).prop_map(|value| value.to_string()),
        2 => pair.clone(),
        1 => (pair, 1u32..9).prop_map(|(pair, step)| format!("{pair}/{step}")),
        1 => (lo..=hi, 1u32..9).prop_map(|(value, step)| format!("{value}/{step}")),
        1 => (1u32..40).prop_map(|step| format!("*/{step}")),
    ];
    let list = prop::collection::vec(item, 1..4).prop_map(|items| items.join(","));
    prop_oneof![1 => Just("*".to_owned()), 2 => list].boxed()
}

/// A spec with six fields: mostly second 0, hours up to `hours`, and the given day fields.
fn spec(hours: u32, days: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let second =
        prop_oneof![4 => Just("0".to_owned()), 1 => (0u32..60).prop_map(|s| s.to_string())];
    (second, field(0, 59), field(0, hours), days)
        .prop_map(|(second, minute, hour, days)| format!("{second} {minute} {hour} {days}"))
}

fn any_day() -> BoxedStrategy<String> {
    Just("* * *".to_owned()).boxed()
}

fn some_days() -> BoxedStrategy<String> {
    (field(1, 31), field(1, 12), field(0, 6))
        .prop_map(|(dom, month, dow)| format!("{dom} {month} {dow}"))
        .boxed()
}

/// The days of a year (since the epoch) in which the offset changes; a day in June if none.
fn change_days(tz: Tz, year: i32) -> Vec<i64> {
    let offset = |day: i64| {
        let at = tz.timestamp_millis_opt(day * DAY).unwrap();
        at.naive_local() - at.naive_utc()
    };
    let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap().to_epoch_days().into();
    let days: Vec<i64> = (first..first + 365).filter(|d| offset(*d) != offset(d + 1)).collect();
    if days.is_empty() { vec![first + 160] } else { days }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(feature = "slow") { 800 } else { 200 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Around each kind of transition and under each rule, forward and backward, the engine finds
    /// exactly the instants that brute force finds.
    #[test]
    fn all_occurrences_around_a_transition(
        spec in spec(5, any_day()),
        tz in select(&ZONES[..]).prop_map(zone),
        year in 2000..2038i32,
        pick in any::<Index>(),
        rule in select(&RULES[..]),
    ) {
        let day = *pick.get(&change_days(tz, year));
        let (from, to) = ((day - 1) * DAY, (day + 2) * DAY);
        let all = BruteForce::new(&spec).all(day - 3, day + 4, tz, rule);
        let wanted: Vec<Millis> = all.into_iter().filter(|at| *at > from && *at <= to).collect();
        let schedule = Schedule::parse(&spec, tz, rule, 0).unwrap();
        let mut found = Vec::new();
        let mut at = from;
        while let Some(next) = schedule.next(0, at).filter(|next| *next <= to) {
            prop_assert!(next > at, "back from {at} to {next}");
            prop_assert_eq!(schedule.prev(0, next), Some(next));
            prop_assert_eq!(schedule.next(0, next - 1), Some(next));
            let prev = schedule.prev(0, next - 1).filter(|prev| *prev > from);
            prop_assert_eq!(prev, found.last().copied());
            found.push(next);
            at = next;
        }
        prop_assert_eq!(found, wanted);
    }

    /// At any instant: the next one matches the wall clock and lies after `from`, none matches in
    /// between, and `prev` undoes `next`.
    #[test]
    fn next_and_prev_over_zones_and_years(
        spec in spec(23, some_days()),
        tz in select(&ZONES[..]).prop_map(zone),
        from in SPAN,
    ) {
        let brute_force = BruteForce::new(&spec);
        let Ok(schedule) = Schedule::parse(&spec, tz, EXACT, 0) else {
            // It is refused for a date that never comes: no day of eight years has it.
            let day = from / DAY;
            let comes = |day| brute_force.matches_date(day * DAY / 1000, Tz::UTC);
            prop_assert!(!(day..day + 2922).any(comes));
            return Ok(());
        };
        let next = schedule.next(0, from).unwrap();
        prop_assert!(next > from);
        prop_assert!(brute_force.matches(next / 1000, tz));
        prop_assert_eq!(schedule.prev(0, next), Some(next));
        let prev = schedule.prev(0, next - 1).unwrap();
        prop_assert!(prev <= from);
        prop_assert_eq!(schedule.next(0, prev), Some(next));
        prop_assert_eq!(schedule.next(0, prev - 1), Some(prev));
        // Brute force affords some months.
        let limit = next.min(from + 150 * DAY);
        prop_assert_eq!(brute_force.first(from, limit, tz), Some(next).filter(|next| *next <= limit));
    }

    /// The `cron` crate finds the same instant in UTC, up to the year 2100.
    #[test]
    fn the_cron_crate_agrees(spec in spec(23, some_days()), from in SPAN) {
        if let Ok(schedule) = Schedule::parse(&spec, Tz::UTC, VIXIE, 0) {
            let start = DateTime::from_timestamp_millis(from).unwrap();
            let others = BruteForce::new(&spec).crate_schedules();
            if let Some(other) = others.iter().filter_map(|one| one.after(&start).next()).min() {
                prop_assert_eq!(schedule.next(0, from), Some(other.timestamp_millis()));
            }
        }
    }

    /// Any text gives an answer that holds or an error, never a panic.
    #[test]
    fn no_text_makes_the_parsers_panic(
        text in prop_oneof![
            r"\PC{0,40}",
            "[-0-9*/?,LWH#()a-z@ ]{0,40}",
            "([0-9*/?,LWH#()-]{1,6} ){4,6}",
            "([0-9]{1,2}(-[0-9]{1,2})?(/[0-9]{1,3})? ){4,6}",
            "(CRON_)?TZ=[A-Za-z/_]{0,12} [0-9*]{1,2} [0-9*]{1,2} [0-9LW*-]{1,4} [0-9*] [0-9L#*]{1,3}",
            "@every [-+.0-9hmsuµn]{0,12}",
            "[-+.:0-9TZPYMWDHS ]{0,30}",
            "[0-9]{1,4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})?)?",
        ],
        at in any::<i64>(),
    ) {
        let zone = Tz::Europe__London;
        if let Ok(schedule) = Schedule::parse(&text, zone, VIXIE, at.cast_unsigned()) {
            if let Some(next) = schedule.next(at, at) {
                prop_assert!(next > at);
                prop_assert_eq!(schedule.prev(at, next), Some(next));
            }
            prop_assert!(schedule.prev(at, at).is_none_or(|prev| prev <= at));
            prop_assert!(fields(&text).is_ok());
            preview(&schedule, at, at, 2);
        }
        prop_assert!(!describe(&text).is_empty());
        let _ = Schedule::is_seed_dependent(&text);
        let _ = parse_duration(&text);
        let _ = parse_at(&text, zone, VIXIE);
        let _ = parse_zone(&text);
    }
}
