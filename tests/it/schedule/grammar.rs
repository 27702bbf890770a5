//! The grammar of schedules: extensions of cron, hashed fields, day fields, periods, and errors
//! that name the field and the fix.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use scheduler0::schedule::{Millis, Schedule, anchor, describe, preview};

use super::text::{EXACT, VIXIE, after, cron, instant, shown};

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

/// Specs and their first occurrence from 2026 on with seed 4711. The meaning of a stored spec must
/// never change.
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
