//! Rewrites a spec that an older version accepted and that no new job may have, so that it keeps
//! its meaning. Called by `parse` for the specs of existing jobs, so that an update neither stops a
//! job nor moves it. Never used for a new spec.

use super::duration;
use super::prefix::{period_text, split_zone};

/// The spec in today's grammar; `None` for what was no schedule then either.
pub(super) fn rewritten(spec: &str) -> Option<String> {
    let (zone, rest) = split_zone(spec);
    let prefix = zone.map_or_else(String::new, |zone| format!("TZ={zone} "));
    if let Some(period) = period_text(rest) {
        // Fractions of a second were dropped, and a period below one second, even a negative one,
        // was one second.
        let seconds = (duration::go(period).ok()? / 1_000_000_000).max(1);
        return Some(format!("{prefix}@every {seconds}s"));
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let first_day = fields.len().checked_sub(3)?;
    let written = fields.iter().enumerate().map(|(place, text)| {
        let is_day = place == first_day || place == first_day + 2;
        let items = text.split(',').filter(|item| !item.is_empty());
        items.map(|item| self::item(item, is_day)).collect::<Vec<_>>().join(",")
    });
    Some(format!("{prefix}{}", written.collect::<Vec<_>>().join(" ")))
}

fn item(item: &str, is_day: bool) -> String {
    let item = item.replace('+', "");
    let Some(rest) = item.strip_prefix(['*', '?']) else { return item };
    let star = if is_day { &item[..1] } else { "*" };
    // Text between a star and its step had no meaning.
    let rest =
        if rest.starts_with('-') { rest.find('/').map_or("", |at| &rest[at..]) } else { rest };
    format!("{star}{rest}")
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::super::{DstRule, Schedule};

    #[test]
    fn a_stored_spec_keeps_the_meaning_that_it_had() {
        let dst = DstRule::default();
        for (stored, now) in [
            ("@every -1m", "@every 1s"),
            ("@every 0s", "@every 1s"),
            ("@every 500ms", "@every 1s"),
            ("@every 1.9s", "@every 1s"),
            ("@every 1m0.5s", "@every 1m"),
            ("TZ=Asia/Tokyo @every 59.9s", "@every 59s"),
            ("? * * * *", "* * * * *"),
            ("0 12 * * ? *", "0 12 * * * *"),
            ("*-5 * * * *", "* * * * *"),
            ("*-5/2 0 * * *", "*/2 0 * * *"),
            ("1,,2 +5 * * *", "1,2 5 * * *"),
            ("0 0 * * MON,", "0 0 * * MON"),
            ("*/+5 0 L, * *", "*/5 0 L * *"),
            ("CRON_TZ=Europe/Paris +5-+7 8 * * *", "CRON_TZ=Europe/Paris 5-7 8 * * *"),
            ("0 9 * * 1-5", "0 9 * * 1-5"),
        ] {
            let wanted = Schedule::parse(now, Tz::UTC, dst, 7).unwrap();
            assert_eq!(Schedule::stored(stored, Tz::UTC, dst, 7), Ok(wanted), "{stored}");
        }
    }

    #[test]
    fn what_never_was_a_schedule_is_none_and_the_error_is_about_what_is_stored() {
        for spec in ["61 * * * *", "@every soon", ", * * * *", "", "0 0 30 2 +", "\u{e9} , , ,"] {
            let error = Schedule::stored(spec, Tz::UTC, DstRule::default(), 0).unwrap_err();
            let parsed = Schedule::parse(spec, Tz::UTC, DstRule::default(), 0).unwrap_err();
            assert_eq!(error, parsed, "{spec}");
        }
    }
}
