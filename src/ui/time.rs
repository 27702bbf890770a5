//! Instants on a page. Each is a `<time>`: in the zone that was chosen, with its offset, in UTC in
//! the title, and where it helps as seen from now. The script keeps the last up to date.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};

use crate::model::Millis;
use crate::model::time::{parse_rfc3339, rfc3339};
use crate::schedule::parse_zone;
use crate::ui::context::{Context, ZoneChoice};
use crate::ui::words::relative;

impl Context {
    /// The zone in which instants are shown. `of_job` is the zone of the job that a page is about.
    pub(crate) fn zone_for(&self, of_job: Option<&str>) -> Tz {
        let own = self.own_zone.unwrap_or(Tz::UTC);
        match self.zone {
            ZoneChoice::Utc => Tz::UTC,
            ZoneChoice::Own => own,
            ZoneChoice::Job => of_job.and_then(|name| parse_zone(name).ok()).unwrap_or(own),
        }
    }

    /// An instant with date and offset: `Mon 23 Nov 02:30:00 +01:00`.
    pub(crate) fn instant(&self, at: Millis, of_job: Option<&str>) -> Markup {
        let Some(local) = local(at, self.zone_for(of_job)) else { return html! { (at) } };
        let date = if local.year() == year(self.now) { "%a %-d %b" } else { "%a %-d %b %Y" };
        html! {
            time datetime=(rfc3339(at)) title=(rfc3339(at)) {
                (local.format(date).to_string()) " " (clock(at, &local)) " "
                span.offset { (offset(&local)) }
            }
        }
    }

    /// An instant with what it is from now: `Mon 23 Nov 02:30:00 +01:00, in 4 min`.
    pub(crate) fn instant_from_now(&self, at: Millis, of_job: Option<&str>) -> Markup {
        html! { (self.instant(at, of_job)) span.sep { ", " } (self.relative_time(at)) }
    }

    /// An instant in a table: the time of a day near by, else the date.
    pub(crate) fn brief(&self, at: Millis, of_job: Option<&str>) -> Markup {
        let zone = self.zone_for(of_job);
        let (Some(local), Some(today)) = (local(at, zone), self::local(self.now, zone)) else {
            return html! { (at) };
        };
        let day = local.date_naive();
        let far = (day - today.date_naive()).num_days();
        let shown = match far {
            0 => local.format("%H:%M:%S").to_string(),
            1 => format!("tomorrow {}", local.format("%H:%M")),
            -1 => format!("yesterday {}", local.format("%H:%M")),
            _ if local.year() == today.year() => local.format("%-d %b %H:%M").to_string(),
            _ => local.format("%-d %b %Y").to_string(),
        };
        let exact = format!("{} {}", local.format("%a %-d %b %Y %H:%M:%S"), offset(&local));
        let title = if zone == Tz::UTC { exact } else { format!("{exact} · {}", rfc3339(at)) };
        // A time of today is one that machines read as it is.
        let machine = (far != 0).then(|| rfc3339(at));
        html! { time.num datetime=[machine] title=(title) { (shown) } }
    }

    /// What an instant is from now: `in 4 min`.
    pub(crate) fn relative_time(&self, at: Millis) -> Markup {
        html! {
            time.rel datetime=(rfc3339(at)) title=(rfc3339(at)) data-rel { (relative(at, self.now)) }
        }
    }

    /// Reads an instant that a person has entered: RFC 3339, or date and time on the clock of the
    /// zone that is shown.
    ///
    /// # Errors
    ///
    /// A sentence where it is none, or where the clock skips it.
    pub(crate) fn read_instant(&self, text: &str, of_job: Option<&str>) -> Result<Millis, String> {
        if let Some(at) = exact(text) {
            return Ok(at);
        }
        let formats =
            ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
        let naive = formats
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text.trim(), format).ok());
        let zone = self.zone_for(of_job);
        let naive = naive.ok_or(
            "The instant cannot be read. Give a date and a time, such as 2026-11-20T20:18.",
        )?;
        let at = zone.from_local_datetime(&naive).earliest();
        at.map(|at| at.timestamp_millis()).ok_or_else(|| {
            format!("The clock of {zone} skips {naive}: ask for a time before or after it.")
        })
    }

    /// The name of the zone that is shown, without its continent.
    pub(crate) fn zone_name(&self) -> String {
        let own = || self.own_zone.map_or("UTC", |zone| zone.name());
        match self.zone {
            ZoneChoice::Utc => "UTC".to_owned(),
            ZoneChoice::Own => city(own()),
            ZoneChoice::Job => "Job’s zone".to_owned(),
        }
    }
}

/// An instant with its offset, in RFC 3339. A blank stands between date and time, before the
/// offset, or, in an address, for the plus sign of the offset.
fn exact(text: &str) -> Option<Millis> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.replacen(' ', "T", usize::from(rest.starts_with(' ')));
    let close = rest.replace(" +", "+").replace(" -", "-").replace(" Z", "Z");
    [close, rest.replace(' ', "+")].iter().find_map(|rest| parse_rfc3339(&format!("{date}{rest}")))
}

/// The city of a zone: `Europe/Berlin` is `Berlin`.
pub(crate) fn city(zone: &str) -> String {
    zone.rsplit('/').next().unwrap_or(zone).replace('_', " ")
}

/// The time of day, with milliseconds only where an instant has them.
fn clock(at: Millis, local: &DateTime<Tz>) -> String {
    let format = if at.rem_euclid(1_000) == 0 { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
    local.format(format).to_string()
}

fn offset(local: &DateTime<Tz>) -> String {
    match local.format("%:z").to_string() {
        zero if zero == "+00:00" => "UTC".to_owned(),
        other => other,
    }
}

/// An instant on the clock of a zone; `None` beyond what a calendar holds.
pub(crate) fn local(at: Millis, zone: Tz) -> Option<DateTime<Tz>> {
    DateTime::<Utc>::from_timestamp_millis(at).map(|utc| zone.from_utc_datetime(&utc.naive_utc()))
}

fn year(at: Millis) -> i32 {
    DateTime::<Utc>::from_timestamp_millis(at).map_or(0, |utc| utc.year())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    #[test]
    fn an_instant_is_read_in_each_form_that_people_and_addresses_have() {
        let context = Context::of(&"/ui".parse().unwrap(), &HeaderMap::new(), None, 0);
        let at = |text: &str| context.read_instant(text, None).ok().map(rfc3339);
        for local in [
            "2026-12-24T18:00",
            "2026-12-24 18:00",
            "2026-12-24 18:00:00",
            "2026-12-24T18:00:00",
            "2026-12-24T18:00:00Z",
            "2026-12-24 18:00:00 Z",
            "2026-12-24T19:00:00 01:00",
            "2026-12-24T19:00:00+01:00",
            "2026-12-24T19:00:00 +01:00",
            "2026-12-24 19:00:00 +01:00",
            "2026-12-24T17:00:00 -01:00",
            " 2026-12-24 18:00 ",
        ] {
            assert_eq!(at(local).as_deref(), Some("2026-12-24T18:00:00Z"), "{local}");
        }
        for bad in
            ["", "then", "2026-12-24", "2026-13-24 18:00", "2026-12-24  18:00:00Z x", "ääääääääää"]
        {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
