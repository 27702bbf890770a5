//! Forecasts against occurrences that are looked at one by one.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::reckon::{self, Forecast, KnownClasses, NextFiring, Span, UpcomingFirings};
use crate::model::Millis;
use crate::model::job::{JobDefinition, JobStatus, Timing};
use crate::model::target::ProjectPause;
use crate::store::jobs::{JobClass, JobRow};

const NOW: Millis = 1_763_700_000_000;
const HOUR: Millis = 3_600_000;

fn spec(spec: &str, period: Option<Millis>) -> JobDefinition {
    let (spec, timezone) = (spec.to_owned(), "UTC".to_owned());
    JobDefinition { project: 1, spec, timezone, period, ..JobDefinition::default() }
}

fn class(definition: JobDefinition, anchor: Millis, ids: std::ops::Range<u64>) -> JobClass {
    let count = ids.end - ids.start;
    let row = |id| JobRow {
        id,
        definition_id: 1,
        created: anchor,
        anchor,
        from: NOW - HOUR,
        status: JobStatus::Active,
    };
    JobClass { definition: Arc::new(definition), samples: ids.take(16).map(row).collect(), count }
}

fn known(classes: Vec<JobClass>) -> KnownClasses {
    KnownClasses { classes, ..KnownClasses::default() }
}

/// A forecast that is never too late.
fn forecast(known: &KnownClasses, span: Span) -> Forecast {
    reckon::forecast(known, span, Instant::now() + Duration::from_hours(1))
}

fn upcoming(known: &KnownClasses, now: Millis, limit: usize) -> UpcomingFirings {
    reckon::upcoming(known, now, limit, Instant::now() + Duration::from_hours(1))
}

const DAY: Span = Span { from: NOW, until: NOW + 24 * HOUR, buckets: 24 };

#[test]
fn periods_are_reckoned_as_if_each_occurrence_was_looked_at() {
    for (period, anchor) in
        [(60_000, NOW - 17_000), (7_000, NOW - 3 * HOUR), (5 * HOUR, NOW - 1_000)]
    {
        let every = spec(&format!("@every {}s", period / 1_000), Some(period));
        let quick = forecast(&known(vec![class(every.clone(), anchor, 1..101)]), DAY);
        // With an end beyond the stretch they are looked at one by one.
        let slow = JobDefinition { end: Some(NOW + 48 * HOUR), ..every };
        let slow = forecast(&known(vec![class(slow, anchor, 1..101)]), DAY);
        assert_eq!(quick, slow, "@every {period} ms");
        assert!(quick.counts.iter().sum::<u64>() > 0);
    }
}

#[test]
fn cron_jitter_and_one_offs_fall_into_their_hours() {
    let nine = class(spec("0 9 * * *", None), NOW, 1..6);
    let spread = JobDefinition { jitter: 2 * HOUR, ..spec("0 0 * * *", None) };
    let spread = class(spread, NOW, 10..26);
    let once = JobDefinition { timing: Timing::At, ..spec("", None) };
    let once = class(once, NOW + HOUR / 2, 30..31);
    let day = NOW - NOW.rem_euclid(24 * HOUR) + 24 * HOUR;
    let span = Span { from: day, until: day + 24 * HOUR, buckets: 24 };
    let found = forecast(&known(vec![nine.clone(), spread]), span);
    assert_eq!((found.counts[9], found.left_out), (5, 0));
    assert!(found.counts[..3].iter().sum::<u64>() >= 16 && found.counts[0] < 16, "{found:?}");
    let found = forecast(&known(vec![once]), DAY);
    assert_eq!((found.counts[0], found.counts.iter().sum::<u64>()), (1, 1));
    let found = forecast(&known(vec![nine]), Span { buckets: 1, ..span });
    assert_eq!(found.counts, [5]);
}

#[test]
fn pauses_of_projects_are_left_out() {
    let hourly = class(spec("0 * * * *", None), NOW, 1..4);
    let pause = |until| ProjectPause::before(1, NOW, until);
    let mut known = known(vec![hourly]);
    let all: u64 = forecast(&known, DAY).counts.iter().sum();
    assert_eq!(all, 3 * 24);
    known.pauses.insert(1, vec![pause(Some(NOW + 12 * HOUR))]);
    let half: u64 = forecast(&known, DAY).counts.iter().sum();
    assert_eq!(half, 3 * 12);
    known.pauses.insert(1, vec![pause(None)]);
    assert_eq!(forecast(&known, DAY).counts.iter().sum::<u64>(), 0);
    assert_eq!(upcoming(&known, NOW, 9).firings, []);
}

#[test]
fn what_is_too_much_is_counted_as_left_out() {
    let every_second = JobDefinition { end: Some(NOW + 99 * HOUR), ..spec("* * * * * *", None) };
    let classes = (0..10).map(|n| class(every_second.clone(), NOW, n * 10..n * 10 + 10)).collect();
    let found = forecast(&known(classes), DAY);
    // 86,400 occurrences of each class are looked at. A class takes half of what is left at most.
    assert_eq!((found.counts.iter().sum::<u64>(), found.left_out), (3 * 10 * 86_400, 70));
}

#[test]
fn one_busy_schedule_costs_the_others_nothing() {
    let busy = class(spec("* * * * * *", None), NOW, 0..1);
    let others = (1..1_001).map(|n| class(spec("0 9 * * *", None), NOW, n..n + 1));
    let week = Span { from: NOW, until: NOW + 7 * 24 * HOUR, buckets: 24 };
    let found = forecast(&known([busy].into_iter().chain(others).collect()), week);
    assert_eq!((found.counts.iter().sum::<u64>(), found.left_out), (7 * 1_000, 1));
}

#[test]
fn one_offs_beyond_a_forecast_come_next_where_nothing_is_before_them() {
    let once = JobDefinition { timing: Timing::At, ..spec("", None) };
    let later = class(once, NOW + 20 * 24 * HOUR, 5..6);
    let mut known = known(vec![class(spec("0 9 * * *", None), NOW, 1..2)]);
    known.later.push(later);
    let found = upcoming(&known, NOW, 9);
    assert_eq!(found.firings.iter().map(|one| one.first).collect::<Vec<_>>(), [1, 5]);
    assert_eq!(forecast(&known, DAY).counts.iter().sum::<u64>(), 1);
}

#[test]
fn parsing_and_parts_are_work_too_and_nothing_is_reckoned_when_it_is_too_late() {
    let hashed: Vec<_> =
        (0..30_000).map(|n| class(spec("H 3 * * *", None), NOW, n * 20..n * 20 + 16)).collect();
    let known = known(hashed);
    // Each class takes 16 schedules and 16 instants: 12,500 of them are within the bound.
    let found = upcoming(&known, NOW, 1);
    assert_eq!((found.firings.len(), found.left_out), (1, 17_500 * 16));
    let found = forecast(&known, Span { buckets: 1_440, ..DAY });
    assert!((20_000 * 16..30_000 * 16).contains(&found.left_out), "{}", found.left_out);
    let late = Instant::now();
    assert_eq!(reckon::forecast(&known, DAY, late).left_out, 30_000 * 16);
    assert_eq!(reckon::upcoming(&known, NOW, 9, late).firings, []);
}

#[test]
fn the_next_occurrences_come_in_order_with_all_jobs_that_fire_together() {
    let minutely = class(spec("@every 60s", Some(60_000)), NOW - 30_000, 1..1_001);
    let nightly = class(spec("0 3 * * *", None), NOW, 2_000..2_002);
    let spread = JobDefinition { jitter: 60_000, ..spec("0 3 * * *", None) };
    let known = known(vec![minutely, nightly, class(spread, NOW, 3_000..3_100)]);
    let found = upcoming(&known, NOW, 5);
    assert_eq!(found.firings.len(), 5);
    let first = NextFiring {
        due: NOW + 30_000,
        jobs: 1_000,
        first: 1,
        project: 1,
        spec: "@every 60s".into(),
        timezone: "UTC".into(),
    };
    assert_eq!(found.firings[0], first);
    assert_eq!((found.firings[1].jobs, found.firings[1].first), (2, 2_000));
    assert!(found.firings.is_sorted_by_key(|firing| firing.due));
    assert_eq!(found.left_out, 100 - 16);
}

#[test]
fn a_peak_is_far_above_the_average_and_names_its_largest_schedule() {
    let nine = class(spec("0 9 * * *", None), NOW, 1..201);
    let also = class(spec("0 9 * * 1-7", None), NOW, 300..350);
    let hourly = class(spec("30 * * * *", None), NOW, 400..410);
    let day = NOW - NOW.rem_euclid(24 * HOUR) + 24 * HOUR;
    let span = Span { from: day, until: day + 24 * HOUR, buckets: 1_440 };
    let found = forecast(&known(vec![also, nine, hourly]), span);
    let peak = &found.peaks[0];
    assert_eq!((peak.at, peak.count, peak.of_largest), (day + 9 * HOUR, 250, 200));
    assert_eq!((peak.spec.as_str(), peak.first), ("0 9 * * *", 1));
    let flat = class(spec("@every 60s", Some(60_000)), NOW, 1..101);
    assert_eq!(forecast(&known(vec![flat]), DAY).peaks, []);
}
