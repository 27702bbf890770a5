//! Transitions of daylight saving time: fixed hours in gaps and folds, wildcards, the years after
//! 2100, and what previews mark.

use chrono_tz::Tz;
use scheduler0::schedule::{
    DstRule, Fold, Gap, Mark, Preview, Schedule, describe_at, preview, preview_in,
};

use super::text::{EXACT, VIXIE, after, cron, instant};

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
    // The hour is always in a gap: the search ends with the calendar.
    let skip = DstRule { gap: Gap::Skip, fold: Fold::First };
    let never = cron("30 2 * 3 SUN#2", "America/New_York", skip);
    assert_eq!(never.next(0, instant("2026-01-01T00:00:00Z")), None);
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
