//! The next occurrences of a schedule as a list for people: instant, local time, and what a change
//! of the clock did. Called by the API's preview and by the command line; starts from the instant
//! it is given and never asks what time it is.

use chrono::SecondsFormat;
use chrono_tz::Tz;
use serde::{Serialize, Serializer};

use super::cron::Cron;
use super::zone;
use super::{Kind, Millis, Schedule};

/// What a change of the clock did to an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Its local time does not exist that day: it comes at the first instant after the gap.
    Moved,
    /// Its local time comes twice that day, and this is the first.
    First,
    /// Its local time comes twice that day, and this is the second.
    Second,
    /// Between the occurrence before and this one, at least one fell into a gap and is left out.
    Skipped,
}

/// One occurrence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The instant, in milliseconds; in JSON as RFC 3339 in UTC.
    #[serde(serialize_with = "rfc3339")]
    pub utc: Millis,
    /// The same in the schedule's zone, RFC 3339 with the offset that holds there.
    pub local: String,
    /// What a transition did; `None` for nothing, and always for `@every` and one-offs.
    pub dst: Option<Mark>,
}

/// The first `count` occurrences strictly after `from`; fewer if the schedule ends. What has no
/// zone of its own (`@every`, one-offs) is shown in UTC.
pub fn preview(schedule: &Schedule, anchor: Millis, from: Millis, count: usize) -> Vec<Preview> {
    preview_in(Tz::UTC, schedule, anchor, from, count)
}

/// As [`preview`], with the zone in which schedules without a zone of their own are shown.
pub fn preview_in(
    fallback: Tz,
    schedule: &Schedule,
    anchor: Millis,
    from: Millis,
    count: usize,
) -> Vec<Preview> {
    let tz = schedule.zone().unwrap_or(fallback);
    let mut last = from;
    let occurrences = std::iter::from_fn(|| {
        let utc = schedule.next(anchor, last)?;
        let dst = match &schedule.0 {
            Kind::Cron(cron) => mark(cron, last.div_euclid(1000), utc.div_euclid(1000)),
            Kind::Every { .. } | Kind::At { .. } | Kind::Once => None,
        };
        last = utc;
        Some(Preview { utc, local: text(utc, tz), dst })
    });
    occurrences.take(count).collect()
}

/// What `@every` counts from when somebody asks for what comes after `from`: its whole second, for
/// whoever asks "from 14:45:00.005" means that second.
pub fn asked_anchor(from: Millis) -> Millis {
    from.div_euclid(1_000) * 1_000
}

/// `last` is the occurrence before, or where the list starts; both in seconds.
fn mark(cron: &Cron, last: i64, at: i64) -> Option<Mark> {
    let zone = zone::of(cron.zone());
    let i = zone.index(at);
    let missed = |i: usize| {
        let (from, to) = (zone.local_begin_before(i), zone.local_begin(i));
        from < to && cron.next_local(from).is_some_and(|found| found < to)
    };
    let local = at + zone.offset(i);
    if cron.moves() && at == zone.begin(i) && missed(i) {
        Some(Mark::Moved)
    } else if local < zone.local_begin_before(i) {
        Some(Mark::Second)
    } else if i + 1 < zone.len() && local >= zone.local_begin(i + 1) {
        Some(Mark::First)
    } else if cron.misses_gaps() && (zone.index(last.min(at)) + 1..=i).any(missed) {
        Some(Mark::Skipped)
    } else {
        None
    }
}

pub(super) fn text(at: Millis, tz: Tz) -> String {
    match zone::local(at, tz) {
        None => at.to_string(),
        Some(local) => local.to_rfc3339_opts(SecondsFormat::AutoSi, tz == Tz::UTC),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn rfc3339<S: Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*at, Tz::UTC))
}
