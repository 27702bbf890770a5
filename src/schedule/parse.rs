//! The grammar of a whole spec: zone prefix, descriptor, `@every`, five or six fields. Called by
//! `Schedule::parse` and `describe`; what it returns is still text-shaped (items, not bits) and
//! knows no job.

use chrono_tz::Tz;

use super::error::{Error, MAX_SPEC_BYTES, shown};
use super::field::{Item, Unit};
use super::prefix::{period_text, split_zone};
use super::{Millis, before, duration, foreign, parse_zone};

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
    /// The number of fields that were written: five or six.
    pub(super) given: usize,
    items: [Vec<Item>; 6],
}

impl Spec {
    pub(super) fn parse(spec: &str) -> Result<Self, Error> {
        if spec.len() > MAX_SPEC_BYTES {
            return Err(Error::TooLong(spec.len()));
        }
        let (zone, rest) = split_zone(spec);
        let zone = match zone {
            None => None,
            // An empty name is UTC, as in Go.
            Some("") => Some(Tz::UTC),
            Some(name) => Some(parse_zone(name)?),
        };
        if rest.is_empty() {
            return Err(Error::Empty);
        }
        if let Some(period) = period_text(rest) {
            return Ok(Self::Every { period: duration::parse_period(period)? });
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

    /// Reads a spec that a job has already: what an older version accepted keeps its meaning.
    pub(super) fn stored(spec: &str) -> Result<Self, Error> {
        Self::parse(spec).or_else(|error| {
            let written = before::rewritten(spec).ok_or_else(|| error.clone())?;
            Self::parse(&written).map_err(|_| error)
        })
    }
}

impl Fields {
    fn parse(text: &str) -> Result<Self, Error> {
        let given: Vec<&str> = text.split_whitespace().collect();
        if let Some(error) = foreign::recognised(text, &given) {
            return Err(error);
        }
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

    /// Returns whether a day field leaves the days to the other one, so that both must match: it
    /// begins with `*` or `?` (crontab(5); `*/2` too), or one of its items is nothing but that
    /// (cronie).
    pub(super) fn is_unrestricted(&self, unit: Unit) -> bool {
        let text = &self.text[unit as usize];
        text.starts_with(['*', '?']) || text.split(',').any(|item| matches!(item, "*" | "?"))
    }

    /// Returns whether any item needs the job's seed.
    pub(super) fn uses_hash(&self) -> bool {
        self.items.iter().flatten().any(|item| matches!(item, Item::Hash { .. }))
    }
}
