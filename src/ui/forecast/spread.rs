//! A schedule that spreads the jobs of a peak: the same one with `H` in place of the minute that
//! all of them have, or a jitter where it has none. Pure; the peaks of the forecast lead with it to
//! the page of many jobs.

use crate::ui::context::address;

/// The jitter of schedules that have no minute to hash.
const JITTER: &str = "1m";

/// What would spread the jobs of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spread {
    /// Another schedule.
    Spec(String),
    /// A jitter.
    Jitter(&'static str),
}

/// What would spread the jobs of a schedule; `None` for one-offs, and where it is spread already.
fn spread(spec: &str) -> Option<Spread> {
    let (zone, rest) = match spec.split_once(char::is_whitespace) {
        Some((zone, rest)) if zone.contains('=') => (format!("{zone} "), rest.trim_start()),
        _ => (String::new(), spec),
    };
    let named = match rest {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        other => other,
    };
    let mut fields: Vec<_> = named.split_whitespace().map(str::to_owned).collect();
    let minutes = match fields.len() {
        0 => return None,
        5 => 0..1,
        // The first one is the second.
        6 => 0..2,
        _ => return Some(Spread::Jitter(JITTER)),
    };
    if fields.iter().any(|field| field.contains('H')) {
        return None;
    }
    let mut is_hashed = false;
    for field in &mut fields[minutes] {
        if let Some(hashed) = hashed(field) {
            *field = hashed;
            is_hashed = true;
        }
    }
    Some(if is_hashed {
        Spread::Spec(format!("{zone}{}", fields.join(" ")))
    } else {
        Spread::Jitter(JITTER)
    })
}

/// A field of one number, or of a step from the begin on, with `H` in the place of the number.
fn hashed(field: &str) -> Option<String> {
    if field.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("H".to_owned());
    }
    let step = field.strip_prefix("*/").or_else(|| field.strip_prefix("0/"))?;
    step.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("H/{step}"))
}

/// The address of the page that spreads the jobs of a schedule in a project, with that filled in.
pub(super) fn address_of(project: u64, spec: &str, timezone: &str) -> Option<String> {
    if spec.is_empty() || spec.contains('"') {
        return None;
    }
    let (name, value) = match spread(spec)? {
        Spread::Spec(spec) => ("spec", spec),
        Spread::Jitter(jitter) => ("jitter", jitter.to_owned()),
    };
    let q = format!("project:{project} spec:\"{spec}\" zone:{timezone}");
    let given = [("action", "edit"), ("q", q.as_str()), (name, value.as_str())];
    Some(address("/ui/jobs/bulk", given))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{DstRule, Schedule};

    #[test]
    fn a_minute_that_all_have_is_hashed_and_what_has_none_gets_a_jitter() {
        for (spec, wanted) in [
            ("0 9 * * *", Some("H 9 * * *")),
            ("*/5 6-23 * * MON-FRI", Some("H/5 6-23 * * MON-FRI")),
            ("0 30 2 * * *", Some("H H 2 * * *")),
            ("* 30 2 * * *", Some("* H 2 * * *")),
            ("@daily", Some("H 0 * * *")),
            ("@weekly", Some("H 0 * * 0")),
            ("TZ=Europe/Berlin 0 9 * * *", Some("TZ=Europe/Berlin H 9 * * *")),
            ("0,30 9 * * *", None),
            ("@every 1h", None),
        ] {
            let found = spread(spec);
            match wanted {
                Some(wanted) => {
                    assert_eq!(found, Some(Spread::Spec(wanted.to_owned())), "{spec}");
                    let zone = chrono_tz::Tz::UTC;
                    assert!(Schedule::parse(wanted, zone, DstRule::default(), 7).is_ok());
                    assert!(Schedule::is_seed_dependent(wanted), "{wanted}");
                }
                None => assert_eq!(found, Some(Spread::Jitter(JITTER)), "{spec}"),
            }
        }
        assert_eq!(spread(""), None);
        assert_eq!(spread("H 9 * * *"), None, "it is spread already");
    }

    #[test]
    fn a_peak_leads_to_the_jobs_of_its_schedule() {
        let found = address_of(3, "0 9 * * *", "Europe/Berlin").unwrap();
        let wanted = "/ui/jobs/bulk?action=edit&q=project%3A3+spec%3A%220+9+*+*+*%22+\
                      zone%3AEurope%2FBerlin&spec=H+9+*+*+*";
        assert_eq!(found, wanted);
        assert_eq!(address_of(3, "", "UTC"), None, "one-offs have no schedule");
    }
}
