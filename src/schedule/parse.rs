//! The grammar of a whole spec: zone prefix, descriptor, `@every`, five or six fields. Called by
//! `Schedule::parse` and `describe`; what it returns is still text-shaped (items, not bits) and
//! knows no job.

use chrono_tz::Tz;

use super::error::{Error, shown};
use super::field::{Item, Unit};
use super::{Millis, duration, parse_zone};

/// The longest spec that is read, in bytes: six fields that list every value fit several times.
pub(super) const LONGEST: usize = 2048;

/// A spec, taken apart.
#[derive(Debug)]
pub(super) enum Spec {
    /// `@every`: the period in milliseconds, whole seconds, at least one.
    Every { period: Millis },
    /// Anything with fields, and the zone of its prefix, if it had one.
    Cron { fields: Box<Fields>, zone: Option<Tz> },
}

/// The fields of a cron spec, in the order second to day-of-week. Without a second field, `0`.
#[derive(Debug)]
pub(super) struct Fields {
    /// The text of each field.
    pub(super) text: [String; 6],
    /// How many were written: five or six.
    pub(super) given: usize,
    items: [Vec<Item>; 6],
}

impl Spec {
    pub(super) fn parse(spec: &str) -> Result<Self, Error> {
        if spec.len() > LONGEST {
            return Err(Error::TooLong(spec.len()));
        }
        let spec = spec.trim();
        let (zone, rest) = match spec.strip_prefix("CRON_TZ=").or(spec.strip_prefix("TZ=")) {
            None => (None, spec),
            Some(prefixed) => {
                // Up to the first blank, and only a blank, as robfig/cron reads it.
                let (name, rest) = prefixed.split_once(' ').unwrap_or((prefixed, ""));
                // An empty name is UTC, as in Go.
                let zone = if name.is_empty() { Tz::UTC } else { parse_zone(name)? };
                (Some(zone), rest.trim())
            }
        };
        if rest.is_empty() {
            return Err(Error::Empty);
        }
        if let Some(period) = rest.strip_prefix("@every ") {
            return Ok(Self::Every { period: period_of(period)? });
        }
        let text = match rest {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ if rest.starts_with('@') => return Err(Error::Descriptor(shown(rest))),
            _ => rest,
        };
        Ok(Self::Cron { fields: Box::new(Fields::parse(text)?), zone })
    }
}

/// Whole seconds, at least one: robfig/cron's reading of `@every`.
fn period_of(text: &str) -> Result<Millis, Error> {
    match duration::go(text) {
        Ok(nanos) => Ok((nanos / 1_000_000_000).max(1) * 1000),
        Err(problem) => Err(Error::Every(Box::new(Error::Duration { text: shown(text), problem }))),
    }
}

impl Fields {
    fn parse(text: &str) -> Result<Self, Error> {
        let given: Vec<&str> = text.split_whitespace().collect();
        let texts: [&str; 6] = match given[..] {
            [minute, hour, dom, month, dow] => ["0", minute, hour, dom, month, dow],
            [second, minute, hour, dom, month, dow] => [second, minute, hour, dom, month, dow],
            _ => {
                let fix = if given.len() == 7 {
                    "a year field is not read: bound the job with startDate and endDate"
                } else {
                    "write 5 (minute hour day-of-month month day-of-week) or 6 (second first)"
                };
                return Err(Error::FieldCount { found: given.len(), text: shown(text), fix });
            }
        };
        let mut items = [const { Vec::new() }; 6];
        for (unit, text) in Unit::ALL.into_iter().zip(texts) {
            items[unit as usize] = unit.parse(text)?;
        }
        Ok(Self { text: texts.map(str::to_owned), given: given.len(), items })
    }

    /// The items of one field; never empty.
    pub(super) fn items(&self, unit: Unit) -> &[Item] {
        &self.items[unit as usize]
    }

    /// Whether any item needs the job's seed.
    pub(super) fn uses_hash(&self) -> bool {
        self.items.iter().flatten().any(|item| matches!(item, Item::Hash { .. }))
    }
}
