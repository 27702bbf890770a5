//! Schedules against other people's engines and against brute force: the vectors of robfig/cron,
//! the `cron` crate behind a wrapper, a second-by-second judge, and properties over zones and years.

mod brute_force;
mod descriptions;
mod fuzz;
mod properties;

use std::collections::BTreeSet;

use chrono::DateTime;
use chrono_tz::Tz;
use scheduler0::schedule::{
    DstRule, Fold, Gap, Mark, Millis, Preview, Schedule, anchor, describe, describe_at, parse_zone,
    preview, preview_in,
};
use serde::Deserialize;

use self::brute_force::Judge;

const VECTORS: &str = include_str!("../data/cron_vectors.json");
const RANDOM: &str = include_str!("../data/cron_random.ndjson");

const VIXIE: DstRule = DstRule { gap: Gap::Next, fold: Fold::First };
/// The policy of robfig/cron: fire exactly when the wall clock matches.
const EXACT: DstRule = DstRule { gap: Gap::Skip, fold: Fold::Both };

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    parser: String,
    spec: String,
    from: String,
    tz: String,
    kind: String,
    expected: Option<String>,
    expected_next: Option<String>,
    wallclock_expected: Option<String>,
    lenient_expected: Option<String>,
}

impl Vector {
    /// A parser with seconds and an optional weekday reads five fields as second to month.
    fn spec(&self) -> String {
        let bare = self.spec.split(' ').skip_while(|word| word.contains('=')).count();
        if self.parser == "seconds" && bare == 5 {
            format!("{} *", self.spec)
        } else {
            self.spec.clone()
        }
    }
}

fn instant(text: &str) -> Millis {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

fn shown(instant: Option<Millis>) -> String {
    instant
        .map_or("never".to_owned(), |at| DateTime::from_timestamp_millis(at).unwrap().to_rfc3339())
}

fn zone(name: &str) -> Tz {
    parse_zone(name).unwrap()
}

/// `L`, `W`, `#`, full names and periods in days: robfig/cron refuses them, we take them.
fn is_extension(spec: &str) -> bool {
    if matches!(spec, "@every 1d" | "@every 1w") {
        return true;
    }
    spec.split(' ').any(|word| {
        let stem = word.trim_start_matches(|c: char| c.is_ascii_digit());
        matches!(stem, "L" | "W") || word.contains('#') || matches!(word, "sunday" | "january")
    })
}

/// Signs, empty list items and what follows a star: robfig/cron takes them, we refuse them.
fn is_typo(spec: &str) -> bool {
    let empty = |field: &str| field.split(',').any(str::is_empty);
    spec.contains('+') || spec.contains("*-") || spec.split_whitespace().any(empty)
}

#[test]
fn all_vectors_of_robfig_cron() {
    let vectors = serde_json::from_str::<File>(VECTORS).unwrap().vectors;
    assert_eq!(vectors.len(), 4340);
    let mut wrong = Vec::new();
    for vector in &vectors {
        let from = instant(&vector.from);
        let parsed = Schedule::parse(&vector.spec(), zone(&vector.tz), EXACT, 0);
        // robfig/cron counts `@every` from the whole second.
        let next = parsed
            .as_ref()
            .ok()
            .and_then(|schedule| schedule.next(from.div_euclid(1000) * 1000, from));
        let wanted = vector.wallclock_expected.as_ref().or(vector.lenient_expected.as_ref());
        let wanted = wanted.or(vector.expected.as_ref()).map(|text| instant(text));
        let right = match vector.kind.as_str() {
            _ if is_typo(&vector.spec) => {
                // A job that has it keeps it.
                let stored = Schedule::stored(&vector.spec(), zone(&vector.tz), EXACT, 0);
                parsed.is_err() && stored.ok().and_then(|stored| stored.next(0, from)) == wanted
            }
            "error" if vector.lenient_expected.is_some() => next == wanted,
            "error" if is_extension(&vector.spec) => parsed.is_ok(),
            // What never fires, we refuse at once.
            "error" | "never" => parsed.is_err(),
            "is" | "next" => next == wanted,
            "isnot" => {
                let after = vector.expected_next.as_ref().map(|text| instant(text));
                next != wanted && (after.is_none() || next == after)
            }
            kind => panic!("kind {kind}"),
        };
        if !right {
            wrong.push(format!(
                "{} {:?} {} from {}: {} instead of {} ({:?})",
                vector.id,
                vector.spec,
                vector.tz,
                vector.from,
                shown(next),
                shown(wanted),
                parsed
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// `result` is right if no second says otherwise: it matches, and nothing before it does.
fn judged(spec: &str, from: Millis, result: Option<Millis>, tz: Tz) -> bool {
    // Further than any gap between two occurrences that the random set holds.
    let limit = result.unwrap_or(from + 1000 * 86_400 * 366 * 9);
    Judge::new(spec).first(from, limit, tz) == result
}

/// A range of weekdays up to Sunday by name, which robfig/cron takes for 0.
fn ends_on_sunday(spec: &str) -> bool {
    spec.to_lowercase().contains("-sun")
}

#[test]
fn the_random_set_of_robfig_cron_or_else_brute_force() {
    let (mut count, mut refused, mut by_hand) = (0, 0, 0);
    for line in RANDOM.lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let (from, tz, spec) = (instant(&vector.from), zone(&vector.tz), vector.spec());
        let parsed = Schedule::parse(&spec, tz, EXACT, 0);
        count += 1;
        if vector.kind != "next" {
            refused += 1;
            assert!(
                parsed.is_err() || ends_on_sunday(&spec),
                "{} {spec:?} is {}: {parsed:?}",
                vector.id,
                vector.kind
            );
            continue;
        }
        let wanted = vector.wallclock_expected.as_ref().or(vector.expected.as_ref());
        let wanted = wanted.map(|text| instant(text));
        let next = parsed.ok().and_then(|schedule| schedule.next(0, from));
        if next != wanted {
            by_hand += 1;
            assert!(
                judged(&spec, from, next, tz),
                "{} {spec:?} {tz} from {}: {} instead of {}",
                vector.id,
                vector.from,
                shown(next),
                shown(wanted)
            );
        }
    }
    assert_eq!(count, 8_000);
    assert!(refused > 1_000, "{refused}");
    // robfig/cron errs in about one of 500, and the file says where.
    assert!(by_hand * 1_000 < count, "{by_hand} of {count} differ");
}

fn cron(spec: &str, tz: &str, dst: DstRule) -> Schedule {
    Schedule::parse(spec, zone(tz), dst, 0).unwrap()
}

/// The first `count` occurrences after `from` in UTC, to the minute or second.
fn after(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let list = preview(schedule, 0, instant(from), count);
    let utc = |one: Preview| shown(Some(one.utc)).trim_end_matches(":00+00:00").to_owned();
    list.into_iter().map(utc).collect()
}

#[test]
fn a_fixed_hour_in_a_gap_fires_once_right_after_it() {
    for (spec, tz, from, next) in [
        // 02:00 to 03:00 on 8 March.
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00Z",
            ["2026-03-08T07:00", "2026-03-09T06:30"],
        ),
        (
            "0 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00Z",
            ["2026-03-08T07:00", "2026-03-09T06:00"],
        ),
        // Three lost times, one occurrence; and one that coincides with a time of its own.
        (
            "0,20,40 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00Z",
            ["2026-03-08T07:00", "2026-03-09T06:00"],
        ),
        (
            "0 1,2,3 * * *",
            "America/New_York",
            "2026-03-08T06:00:00Z",
            ["2026-03-08T07:00", "2026-03-09T05:00"],
        ),
        (
            "15 1,2,3 * * *",
            "America/New_York",
            "2026-03-08T06:15:00Z",
            ["2026-03-08T07:00", "2026-03-08T07:15"],
        ),
        (
            "30 2 8 3 *",
            "America/New_York",
            "2026-03-01T00:00:00Z",
            ["2026-03-08T07:00", "2027-03-08T07:30"],
        ),
        (
            "45 30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00Z",
            ["2026-03-08T07:00", "2026-03-09T06:30:45+00:00"],
        ),
        (
            "30 1 * * *",
            "Europe/London",
            "2026-03-29T00:00:00Z",
            ["2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        // Half an hour: 02:00 to 02:30.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            ["2026-10-03T15:30", "2026-10-04T15:15"],
        ),
        (
            "30 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            ["2026-10-03T15:30", "2026-10-04T15:30"],
        ),
        (
            "30 2 * * *",
            "Australia/Sydney",
            "2026-10-03T12:00:00Z",
            ["2026-10-03T16:00", "2026-10-04T15:30"],
        ),
        // A day that never was: 30 December 2011.
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T23:00:00Z",
            ["2011-12-30T10:00", "2011-12-30T22:00"],
        ),
    ] {
        assert_eq!(after(&cron(spec, tz, VIXIE), from, 2), next, "{spec} {tz}");
    }
    let skip = DstRule { gap: Gap::Skip, fold: Fold::First };
    let schedule = cron("30 2 * * *", "America/New_York", skip);
    assert_eq!(after(&schedule, "2026-03-08T00:00:00Z", 1), ["2026-03-09T06:30"]);
}

#[test]
fn a_fixed_hour_in_a_fold_fires_in_the_first_pass() {
    for (spec, tz, from, next) in [
        // 02:00 back to 01:00 on 1 November.
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T00:00:00Z",
            ["2026-11-01T05:30", "2026-11-02T06:30"],
        ),
        (
            "0 1,2 * * *",
            "America/New_York",
            "2026-11-01T00:00:00Z",
            ["2026-11-01T05:00", "2026-11-01T07:00"],
        ),
        (
            "59 59 1 * * *",
            "America/New_York",
            "2026-11-01T00:00:00Z",
            ["2026-11-01T05:59:59+00:00", "2026-11-02T06:59:59+00:00"],
        ),
        // Asked within the second pass.
        (
            "45 1 * * *",
            "America/New_York",
            "2026-11-01T06:10:00Z",
            ["2026-11-02T06:45", "2026-11-03T06:45"],
        ),
        (
            "30 1 * * *",
            "Europe/London",
            "2026-10-25T00:00:00Z",
            ["2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00:00Z",
            ["2026-04-04T14:45", "2026-04-05T15:15"],
        ),
        (
            "30 2 * * *",
            "Australia/Sydney",
            "2026-04-04T12:00:00Z",
            ["2026-04-04T15:30", "2026-04-05T16:30"],
        ),
    ] {
        assert_eq!(after(&cron(spec, tz, VIXIE), from, 2), next, "{spec} {tz}");
    }
    let both = DstRule { gap: Gap::Next, fold: Fold::Both };
    let schedule = cron("30 1 * * *", "America/New_York", both);
    assert_eq!(
        after(&schedule, "2026-11-01T00:00:00Z", 2),
        ["2026-11-01T05:30", "2026-11-01T06:30"]
    );
}

#[test]
fn a_wildcard_hour_follows_elapsed_time_under_every_rule() {
    for gap in [Gap::Next, Gap::Skip] {
        for fold in [Fold::First, Fold::Both] {
            let half_hourly = cron("*/30 * * * *", "America/New_York", DstRule { gap, fold });
            let spring = after(&half_hourly, "2026-03-08T06:00:00Z", 3);
            assert_eq!(spring, ["2026-03-08T06:30", "2026-03-08T07:00", "2026-03-08T07:30"]);
            let autumn = after(&half_hourly, "2026-11-01T05:00:00Z", 4);
            assert_eq!(
                autumn,
                ["2026-11-01T05:30", "2026-11-01T06:00", "2026-11-01T06:30", "2026-11-01T07:00"]
            );
            let stepping = cron("0 */2 * * *", "America/New_York", DstRule { gap, fold });
            let spring = after(&stepping, "2026-03-08T05:00:00Z", 1);
            assert_eq!(spring, ["2026-03-08T08:00"]);
        }
    }
}

#[test]
fn the_extensions() {
    for (spec, from, next) in [
        ("0 0 * * 7", "2026-01-14T00:00:00Z", ["2026-01-18T00:00", "2026-01-25T00:00"]),
        ("0 0 * * 5-7", "2026-01-16T00:00:00Z", ["2026-01-17T00:00", "2026-01-18T00:00"]),
        ("0 0 L * *", "2028-01-31T00:00:00Z", ["2028-02-29T00:00", "2028-03-31T00:00"]),
        ("0 0 L-2 * *", "2026-02-01T00:00:00Z", ["2026-02-26T00:00", "2026-03-29T00:00"]),
        ("0 0 1,L * *", "2026-02-01T00:00:00Z", ["2026-02-28T00:00", "2026-03-01T00:00"]),
        // Sunday 15 February; Saturday 1 August, which may not fall into July; a Saturday 31st.
        ("0 0 15W * *", "2026-02-01T00:00:00Z", ["2026-02-16T00:00", "2026-03-16T00:00"]),
        ("0 0 1W * *", "2026-07-02T00:00:00Z", ["2026-08-03T00:00", "2026-09-01T00:00"]),
        ("0 0 31W * *", "2026-01-02T00:00:00Z", ["2026-01-30T00:00", "2026-03-31T00:00"]),
        ("0 0 lw * *", "2026-05-01T00:00:00Z", ["2026-05-29T00:00", "2026-06-30T00:00"]),
        ("0 0 * * 5#3", "2026-01-01T00:00:00Z", ["2026-01-16T00:00", "2026-02-20T00:00"]),
        ("0 0 * * mon#1,wed#5", "2026-04-07T00:00:00Z", ["2026-04-29T00:00", "2026-05-04T00:00"]),
        ("0 0 * * friL", "2026-01-01T00:00:00Z", ["2026-01-30T00:00", "2026-02-27T00:00"]),
        ("0 0 * * 0#L", "2026-01-01T00:00:00Z", ["2026-01-25T00:00", "2026-02-22T00:00"]),
        ("0 0 * * MON-SUN", "2026-01-17T00:00:00Z", ["2026-01-18T00:00", "2026-01-19T00:00"]),
        ("0 0 * * sat-sun", "2026-01-12T00:00:00Z", ["2026-01-17T00:00", "2026-01-18T00:00"]),
        ("0 0 * * sun-sun", "2026-01-12T00:00:00Z", ["2026-01-18T00:00", "2026-01-25T00:00"]),
        ("0 0 * * sun-mon", "2026-01-12T00:00:00Z", ["2026-01-18T00:00", "2026-01-19T00:00"]),
        ("0 0 * * thu-SUNDAY/3", "2026-01-12T00:00:00Z", ["2026-01-15T00:00", "2026-01-18T00:00"]),
        // Either day field.
        ("0 0 L * 1#1", "2026-01-01T00:00:00Z", ["2026-01-05T00:00", "2026-01-31T00:00"]),
        ("0 0 1 january *", "2026-06-01T00:00:00Z", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        // A fifth Friday in February.
        ("0 0 ? 2 fri#5", "2064-03-01T00:00:00Z", ["2092-02-29T00:00", "2104-02-29T00:00"]),
    ] {
        assert_eq!(after(&cron(spec, "UTC", VIXIE), from, 2), next, "{spec}");
    }
}

/// With seed 4711: the first occurrence from 2026 on. What a stored spec means must never change.
const HASHED: [(&str, &str); 3] = [
    ("H * * * *", "2026-01-01T00:26:00+00:00"),
    ("H H * * *", "2026-01-01T00:26:00+00:00"),
    ("H H H H H", "2026-06-04T00:26:00+00:00"),
];

#[test]
fn h_is_stable_for_a_job_and_spread_over_jobs() {
    let base = instant("2026-01-01T00:00:00Z");
    let at = |spec: &str, seed| {
        Schedule::parse(spec, Tz::UTC, VIXIE, seed).unwrap().next(0, base - 1).unwrap()
    };
    for (spec, wanted) in HASHED {
        assert_eq!(shown(Some(at(spec, 4711))), wanted, "{spec}");
    }
    let minutes: BTreeSet<Millis> = (0..1000).map(|seed| at("H * * * *", seed)).collect();
    assert_eq!(minutes.len(), 60);
    for seed in 0..200 {
        let minute = (at("H(10-19) * * * *", seed) - base) / 60_000;
        assert!((10..20).contains(&minute), "{minute}");
        let schedule = Schedule::parse("H/15 * * * *", Tz::UTC, VIXIE, seed).unwrap();
        let list: Vec<_> = preview(&schedule, 0, base - 1, 5).into_iter().map(|p| p.utc).collect();
        assert!(list[0] - base < 15 * 60_000);
        assert!(list.windows(2).all(|pair| pair[1] - pair[0] == 15 * 60_000), "{list:?}");
    }
    assert!(Schedule::is_seed_dependent("H * * * *"));
    assert!(Schedule::is_seed_dependent("TZ=UTC 0 0 h(1-7) * *"));
    for spec in ["0 0 * march thu", "@daily", "@every 1h", "garbage H"] {
        assert!(!Schedule::is_seed_dependent(spec), "{spec}");
    }
}

#[test]
fn a_day_field_that_begins_with_a_star_leaves_the_days_to_the_other() {
    for (spec, from, next) in [
        ("0 0 */2 * 1", "2026-01-01T00:00:00Z", ["2026-01-05T00:00", "2026-01-19T00:00"]),
        ("0 0 15 * */3", "2024-12-31T23:59:00Z", ["2025-01-15T00:00", "2025-02-15T00:00"]),
        ("0 9 */100,1-7 * MON", "2026-01-01T00:00:00Z", ["2026-01-05T09:00", "2026-02-02T09:00"]),
        ("0 0 ?/2 * 1", "2026-01-01T00:00:00Z", ["2026-01-05T00:00", "2026-01-19T00:00"]),
        ("0 0 13,* * 5", "2026-01-01T00:00:00Z", ["2026-01-02T00:00", "2026-01-09T00:00"]),
        // No star: either is enough.
        ("0 0 1-31/2 * 1", "2026-01-01T00:00:00Z", ["2026-01-03T00:00", "2026-01-05T00:00"]),
        ("0 0 1,L * 1", "2026-01-01T00:00:00Z", ["2026-01-05T00:00", "2026-01-12T00:00"]),
    ] {
        assert_eq!(after(&cron(spec, "UTC", VIXIE), from, 2), next, "{spec}");
    }
}

#[test]
fn clocks_go_on_changing_after_the_year_2100() {
    for (tz, from, next) in [
        ("Europe/Berlin", "2099-06-30T00:00:00Z", ["2099-07-01T10:00", "2100-07-01T10:00"]),
        ("America/New_York", "2100-01-01T00:00:00Z", ["2100-07-01T16:00", "2101-07-01T16:00"]),
        ("Australia/Sydney", "2100-01-01T00:00:00Z", ["2100-07-01T02:00", "2101-07-01T02:00"]),
        ("Asia/Tokyo", "2100-01-01T00:00:00Z", ["2100-07-01T03:00", "2101-07-01T03:00"]),
        ("Europe/Berlin", "9998-01-01T00:00:00Z", ["9998-07-01T10:00", "9999-07-01T10:00"]),
    ] {
        let schedule = cron("0 12 1 7 *", tz, VIXIE);
        assert_eq!(after(&schedule, from, 2), next, "{tz}");
        let [first, second] = next.map(|text| instant(&format!("{text}:00Z")));
        assert_eq!(schedule.prev(0, second - 1), Some(first), "{tz}");
    }
    // 28 March 2100: 02:30 is in the gap; 31 October 2100: it comes twice.
    let nightly = cron("30 2 * * *", "Europe/Berlin", VIXIE);
    let list = preview(&nightly, 0, instant("2100-03-27T12:00:00Z"), 2);
    assert_eq!(
        list.iter().map(|one| (one.local.as_str(), one.dst)).collect::<Vec<_>>(),
        [("2100-03-28T03:00:00+02:00", Some(Mark::Moved)), ("2100-03-29T02:30:00+02:00", None)]
    );
    let list = preview(&nightly, 0, instant("2100-10-30T12:00:00Z"), 1);
    assert_eq!(list[0].dst, Some(Mark::First));
    let said = describe_at(list[0].utc, Tz::Europe__Berlin);
    assert_eq!(said, "Once, on Sunday 31 October 2100 at 02:30:00, Europe/Berlin time");
    // Only ever in a gap: it is looked for to the end of the calendar, and not found.
    let skip = DstRule { gap: Gap::Skip, fold: Fold::First };
    let never = cron("30 2 * 3 SUN#2", "America/New_York", skip);
    assert_eq!(never.next(0, instant("2026-01-01T00:00:00Z")), None);
}

#[test]
fn errors_name_the_field_what_was_understood_and_the_fix() {
    for (spec, message) in [
        ("", "the schedule is empty; write five fields"),
        ("TZ=UTC", "the schedule is empty"),
        ("* * * *", r#"found 4 fields in "* * * *"; write 5"#),
        ("0 0 0 1 1 ? 2030", r#"found 7 fields in "0 0 0 1 1 ? 2030"; a year field is not read"#),
        ("60 * * * *", "minute field: 60 is out of range; use 0-59"),
        ("* 24 * * *", "hour field: 24 is out of range; use 0-23"),
        ("* * 0 * *", "day-of-month field: 0 is out of range; use 1-31"),
        ("* * * 99999999999999999999 *", "month field: 99999999999999999999 is out of range"),
        ("* * * * 8", "day-of-week field: 8 is out of range; use 0-7"),
        ("* * * * xyz", r#"day-of-week field: "xyz" is not understood; use 0-7"#),
        ("0 22-2 * * *", "hour field: 22-2 runs backwards (22 to 2); write 22-23,0-2"),
        ("0 0 * * 5-1", "day-of-week field: 5-1 runs backwards (5 to 1); write 5-6,0-1"),
        ("0 0 * * 7-2", "day-of-week field: 7-2 runs backwards (7 to 2); write 0-2"),
        (
            "0 0 * * fri-mon",
            "day-of-week field: fri-mon runs backwards (FRI to MON); write FRI-SAT,SUN-MON",
        ),
        (
            "0 0 * * sat-mon",
            "day-of-week field: sat-mon runs backwards (SAT to MON); write SAT,SUN-",
        ),
        (
            "0 0 * nov-feb *",
            "month field: nov-feb runs backwards (NOV to FEB); write NOV-DEC,JAN-FEB",
        ),
        ("*-5 * * * *", r#"minute field: "*-5" is not understood; write */5 for a step of 5"#),
        ("*5 * * * *", r#"minute field: "*5" is not understood; write */5"#),
        ("*-0 * * * *", r#"minute field: "*-0" is not understood; use 0-59"#),
        ("*-5/2 * * * *", r#"minute field: "*-5/2" is not understood; write */5"#),
        ("1,,2 * * * *", r#"minute field: "1,,2" has a list item that is empty; write 1,2"#),
        ("1, * * * *", r#"minute field: "1," has a list item that is empty; write 1"#),
        ("* ,1 * * *", r#"hour field: ",1" has a list item that is empty; write 1"#),
        ("0 0 * * MON,", r#"day-of-week field: "MON," has a list item that is empty; write MON"#),
        ("0 0 L, * *", r#"day-of-month field: "L," has a list item that is empty; write L"#),
        ("+5 * * * *", r#"minute field: "+5" has a sign; write 5 without it"#),
        ("+5-+7 * * * *", r#"minute field: "+5" has a sign; write 5 without it"#),
        (
            "*/+5 * * * *",
            r#"minute field: the step of "*/+5" is no number; after / comes one whole"#,
        ),
        ("-5 * * * *", r#"minute field: "-5" has a sign; write 5 without it"#),
        ("5- * * * *", r#"minute field: "5-" is not understood; use 0-59"#),
        ("0 0 W * *", "day-of-month field: a value is missing; use 1-31"),
        ("0 0 * * #3", "day-of-week field: a value is missing; use 0-7"),
        ("/5 * * * *", r#"minute field: "/5" is not understood; use 0-59"#),
        ("* 9-17- * * *", r#"hour field: "9-17-" is not understood; use 0-23"#),
        ("*/0 * * * *", r#"minute field: the step of "*/0" is 0; a step is at least 1"#),
        ("*/x * * * *", r#"minute field: the step of "*/x" is no number"#),
        ("0 0 , * *", r#"day-of-month field: "," has a list item that is empty; use 1-31"#),
        ("0 0 15W/2 * *", r#"day-of-month field: "15W/2": L, W and # take no step"#),
        ("0 0 * * L", "day-of-week field: L alone is not understood; write 5L"),
        ("0 0 * * 5#6", r#"day-of-week field: "5#6": after # comes 1 to 5"#),
        ("H(5) * * * *", r#"minute field: "H(5)" is not understood; write H,"#),
        ("0 0 30 2 *", "day-of-month and month fields: 30 in 2 never comes; choose a day"),
        ("0 0 31 apr,jun ?", "day-of-month and month fields: 31 in apr,jun never comes"),
        ("@Daily", r#""@Daily" is no descriptor; use @yearly"#),
        ("@every", r#""@every" is no descriptor"#),
        (
            "@every  5m",
            r#"@every: duration " 5m" is not understood: it begins with a blank; write on"#,
        ),
        ("@every 1q", r#"@every: duration "1q" is not understood: "q" is no unit"#),
        (
            "@every -1m",
            r#"@every: the period "-1m" is not valid: it is negative; a period is whole"#,
        ),
        ("@every 5", r#"@every: duration "5" is not understood: "5" has no unit"#),
        ("TZ=Europe/Berln @daily", r#"timezone "Europe/Berln" is unknown; did you mean Europe/B"#),
    ] {
        let error = Schedule::parse(spec, Tz::UTC, VIXIE, 0).unwrap_err().to_string();
        assert!(error.starts_with(message), "{spec:?}: {error}");
    }
    assert!(describe("61 * * * *").starts_with("Not a schedule: minute field: 61 is out"));
    let long = Schedule::parse(&"1,".repeat(2000), Tz::UTC, VIXIE, 0).unwrap_err().to_string();
    assert!(long.contains("4000 bytes"), "{long}");
}

#[test]
fn every_counts_from_its_anchor_and_at_comes_once() {
    for (text, period) in [
        ("@every 1d", 86_400_000),
        ("@every 2 mins", 120_000),
        ("@every 1 hour 30 minutes", 5_400_000),
        ("@every PT20M", 1_200_000),
        ("TZ=Asia/Tokyo @every 1s", 1_000),
    ] {
        assert_eq!(cron(text, "UTC", VIXIE).period(), Some(period), "{text}");
    }
    let every = cron("@every 90s", "UTC", VIXIE);
    assert_eq!(every.period(), Some(90_000));
    assert_eq!(anchor(1_001, &every), 2_000);
    assert_eq!(anchor(2_000, &every), 2_000);
    assert_eq!(anchor(-1, &every), 0);
    // Nothing at the anchor itself, nor before.
    assert_eq!(every.next(2_000, -1_000_000), Some(92_000));
    assert_eq!(every.next(2_000, 91_999), Some(92_000));
    assert_eq!(every.next(2_000, 92_000), Some(182_000));
    assert_eq!(every.prev(2_000, 91_999), None);
    assert_eq!(every.prev(2_000, 92_000), Some(92_000));
    assert_eq!(every.prev(2_000, 200_000), Some(182_000));
    assert_eq!(every.next(Millis::MAX, 0), None);
    assert_eq!(every.next(0, Millis::MAX), None);

    let once = Schedule::at(5_000);
    assert_eq!((once.period(), once.zone(), anchor(1_001, &once)), (None, None, 1_001));
    assert_eq!((once.next(0, 4_999), once.next(0, 5_000)), (Some(5_000), None));
    assert_eq!((once.prev(0, 4_999), once.prev(0, 5_000)), (None, Some(5_000)));

    for spec in ["* * * * * *", "0 0 29 2 *", "@yearly"] {
        let schedule = cron(spec, "America/New_York", VIXIE);
        assert_eq!(schedule.next(0, Millis::MAX), None);
        assert_eq!(schedule.prev(0, Millis::MIN), None);
        assert!(schedule.next(0, Millis::MIN).is_some());
        assert!(schedule.prev(0, Millis::MAX).is_some());
    }
}

#[test]
fn equal_schedules_however_they_are_written() {
    let same = |one: &str, other: &str| cron(one, "UTC", VIXIE) == cron(other, "UTC", EXACT);
    assert!(same("@hourly", "0 0 * * * ?"));
    assert!(same("*/15 * * * *", "0,15,30,45 * * * *"));
    assert!(!same("0 0 * * *", "@daily"), "the rule differs");
    assert_eq!(cron("0 0 * * sun", "UTC", VIXIE), cron("TZ=UTC @weekly", "Asia/Tokyo", VIXIE));
    assert_eq!(cron("@every 60s", "UTC", VIXIE), cron("@every 1m", "Asia/Tokyo", EXACT));
    assert!(size_of::<Schedule>() <= 48, "{}", size_of::<Schedule>());
}

#[test]
fn previews_mark_what_a_transition_did() {
    let skip = DstRule { gap: Gap::Skip, fold: Fold::First };
    let (spring, autumn) = ("2026-03-07T12:00:00Z", "2026-11-01T00:00:00Z");
    for (spec, dst, from, wanted) in [
        ("30 2 * * *", VIXIE, spring, ["03-08T03:00:00-04:00 Moved", "03-09T02:30:00-04:00 -"]),
        ("30 2 * * *", skip, spring, ["03-09T02:30:00-04:00 Skipped", "03-10T02:30:00-04:00 -"]),
        ("30 1 * * *", VIXIE, autumn, ["11-01T01:30:00-04:00 First", "11-02T01:30:00-05:00 -"]),
        (
            "0 * * * *",
            VIXIE,
            "2026-11-01T05:30:00Z",
            ["11-01T01:00:00-05:00 Second", "11-01T02:00:00-05:00 -"],
        ),
        (
            "0 0-1 * * *",
            EXACT,
            "2026-11-01T04:30:00Z",
            ["11-01T01:00:00-04:00 First", "11-01T01:00:00-05:00 Second"],
        ),
        // Every hour loses nothing in spring; every second hour does.
        (
            "0 * * * *",
            VIXIE,
            "2026-03-08T06:30:00Z",
            ["03-08T03:00:00-04:00 -", "03-08T04:00:00-04:00 -"],
        ),
        (
            "0 */2 * * *",
            VIXIE,
            "2026-03-08T05:00:00Z",
            ["03-08T04:00:00-04:00 Skipped", "03-08T06:00:00-04:00 -"],
        ),
    ] {
        let schedule = cron(spec, "America/New_York", dst);
        let told = |one: Preview| {
            let mark = one.dst.map_or("-".to_owned(), |mark: Mark| format!("{mark:?}"));
            format!("{} {mark}", one.local.trim_start_matches("2026-"))
        };
        let list: Vec<_> = preview(&schedule, 0, instant(from), 2).into_iter().map(told).collect();
        assert_eq!(list, wanted, "{spec}");
    }
    let every = preview_in(Tz::Asia__Tokyo, &cron("@every 1h", "UTC", VIXIE), 0, 0, 1);
    let json = r#"[{"utc":"1970-01-01T01:00:00Z","local":"1970-01-01T10:00:00+09:00","dst":null}]"#;
    assert_eq!(serde_json::to_string(&every).unwrap(), json);
    assert_eq!(serde_json::to_string(&Mark::Moved).unwrap(), r#""moved""#);
    assert_eq!(preview(&Schedule::at(7), 0, 0, 10).len(), 1);
    assert_eq!(serde_json::from_str::<DstRule>(r#"{"gap":"skip"}"#).unwrap(), skip);
    assert!(serde_json::from_str::<DstRule>(r#"{"gab":"skip"}"#).is_err());
}
