//! The next occurrences of a schedule as a list for people: instant, local time, and the effect of
//! a change of the clock. Called by the API's preview and by the command line. It starts from a
//! given instant and never reads a clock.

use chrono::SecondsFormat;
use chrono_tz::Tz;
use serde::{Serialize, Serializer};

use super::cron::Cron;
use super::next::Kind;
use super::zone;
use super::{Millis, Schedule};

/// The effect of a change of the clock on an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The local time does not exist that day: the occurrence comes at the first instant after the
    /// gap.
    Moved,
    /// The local time comes twice that day, and this is the first.
    First,
    /// The local time comes twice that day, and this is the second.
    Second,
    /// At least one occurrence since the previous one fell into a gap and is left out.
    Skipped,
}

/// An occurrence as previews show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The instant, in milliseconds; in JSON as RFC 3339 in UTC.
    #[serde(serialize_with = "rfc3339")]
    pub utc: Millis,
    /// The local time in the schedule's zone, RFC 3339 with its offset.
    pub local: String,
    /// The effect of a transition; `None` for none, and always for `@every` and one-offs.
    pub dst: Option<Mark>,
}

/// The first `count` occurrences strictly after `from`; fewer if the schedule ends. A schedule
/// without a zone (`@every`, one-offs) is shown in UTC.
pub fn preview(schedule: &Schedule, anchor: Millis, from: Millis, count: usize) -> Vec<Preview> {
    preview_in(Tz::UTC, schedule, anchor, from, count)
}

/// Works like [`preview`], with the zone in which schedules without a zone are shown.
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

/// The anchor of `@every` for a question about occurrences after `from`: the whole second, because
/// "from 14:45:00.005" means that second.
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
