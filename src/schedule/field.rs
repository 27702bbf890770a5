//! The grammar of one cron field, from `*/5` to `FRI#2`, read into items. Called by `parse` for
//! each field and by `describe` for the words. It makes no bits (`cron` does) and never looks at
//! the other fields.

use super::error::{Error, shown};

/// The fields of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Dom,
    Month,
    Dow,
}

/// An element of a field's comma list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// `*`, or `?` in a day field, with its step (1 when none was written).
    Any { step: u8 },
    /// `lo-hi/step`; a single value has `lo == hi`; `lo/step` runs to the field's end.
    Range { lo: u8, hi: u8, step: u8 },
    /// `H`, `H(lo-hi)`, `H/step`, `H(lo-hi)/step`: from the job's seed. No step: one value.
    Hash { lo: u8, hi: u8, step: Option<u8> },
    /// `L`, `L-n`: `back` days before the last of the month.
    Last { back: u8 },
    /// `LW`: the last Monday-to-Friday of the month.
    LastWeekday,
    /// `15W`: the Monday-to-Friday nearest to that day, within the month.
    Nearest { dom: u8 },
    /// `5#3`: the third Friday.
    Nth { dow: u8, nth: u8 },
    /// `5L`: the last Friday.
    LastDow { dow: u8 },
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

impl Unit {
    /// All fields, in the order of a spec with seconds; `as usize` is the place in it.
    pub(super) const ALL: [Self; 6] =
        [Self::Second, Self::Minute, Self::Hour, Self::Dom, Self::Month, Self::Dow];

    /// The name that errors and previews use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Dom => "day-of-month",
            Self::Month => "month",
            Self::Dow => "day-of-week",
        }
    }

    /// Smallest and largest value of `*`. Weekday 7 is read besides, as Sunday.
    pub(super) fn bounds(self) -> (u8, u8) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Dom => (1, 31),
            Self::Month => (1, 12),
            Self::Dow => (0, 6),
        }
    }

    /// The full names of the values, from the smallest up; empty where there are none.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::Dow => &DAYS,
            _ => &[],
        }
    }

    /// A value as people write it: `9`, `March`, `Sunday`.
    pub(super) fn label(self, value: u8) -> String {
        let place = if self == Self::Dow { value % 7 } else { value - self.bounds().0 };
        match self.names().get(usize::from(place)) {
            None => value.to_string(),
            Some(name) => format!("{}{}", name[..1].to_ascii_uppercase(), &name[1..]),
        }
    }

    /// Reads the whole field.
    pub(super) fn parse(self, text: &str) -> Result<Vec<Item>, Error> {
        let items: Vec<&str> = text.split(',').collect();
        if items.iter().any(|item| item.is_empty()) {
            let full: Vec<&str> = items.into_iter().filter(|item| !item.is_empty()).collect();
            let fix = match full.as_slice() {
                [] => self.range().to_owned(),
                full => format!("write {}", shown(&full.join(","))),
            };
            let problem = format!("{:?} has a list item that is empty; {fix}", shown(text));
            return Err(self.error(problem));
        }
        items.into_iter().map(|item| self.item(item)).collect()
    }

    fn item(self, item: &str) -> Result<Item, Error> {
        let (base, step) = match item.split_once('/') {
            None => (item, None),
            Some((base, step)) => (base, Some(self.step(step, item)?)),
        };
        if let Some(rest) = base.strip_prefix(['*', '?']) {
            if base.starts_with('?') && !self.is_day() {
                return Err(self.error(format!(
                    "{:?}: ? stands in the day fields only; write * for every {}",
                    shown(item),
                    self.name()
                )));
            }
            return match rest {
                "" => Ok(Item::Any { step: step.unwrap_or(1) }),
                _ => Err(self.after_star(rest, item)),
            };
        }
        if let Some(range) = base.strip_prefix(['H', 'h']) {
            return self.hash(range, step, item);
        }
        if let Some(special) = self.special(base, item)? {
            return match step {
                None => Ok(special),
                Some(_) => Err(self.error(format!("{:?}: L, W and # take no step", shown(item)))),
            };
        }
        if base.is_empty() || base.starts_with('-') || base.ends_with('-') {
            return Err(self.garbage(item));
        }
        let (lo, hi) = if let Some((lo, hi)) = base.split_once('-') {
            self.span(lo, hi)?
        } else {
            let lo = self.value(base)?;
            // `N/step` runs from N to the end, as in robfig/cron.
            (lo, if step.is_some() { self.bounds().1.max(lo) } else { lo })
        };
        Ok(Item::Range { lo, hi, step: step.unwrap_or(1) })
    }

    /// The error for a text behind a star, which is often meant as a step: `*-5`, `*5`.
    fn after_star(self, rest: &str, item: &str) -> Error {
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        match number(digits) {
            Some(1..) => self.error(format!(
                "{:?} is not understood; write */{} for a step of {}",
                shown(item),
                shown(digits),
                shown(digits)
            )),
            _ => self.garbage(item),
        }
    }

    /// Returns whether this is one of the two day fields.
    pub(super) fn is_day(self) -> bool {
        matches!(self, Self::Dom | Self::Dow)
    }

    fn hash(self, range: &str, step: Option<u8>, item: &str) -> Result<Item, Error> {
        let inner = range.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let (lo, hi) = if range.is_empty() {
            // A day of the month that every month has.
            if self == Self::Dom { (1, 28) } else { self.bounds() }
        } else if let Some((lo, hi)) = inner.and_then(|inner| inner.split_once('-')) {
            self.span(lo, hi)?
        } else {
            let fix = "write H, H(lo-hi), H/step or H(lo-hi)/step";
            return Err(self.error(format!("{:?} is not understood; {fix}", shown(item))));
        };
        Ok(Item::Hash { lo, hi, step })
    }

    /// `L`, `W` and `#`, if this is one.
    fn special(self, base: &str, item: &str) -> Result<Option<Item>, Error> {
        let upper = base.to_ascii_uppercase();
        match self {
            Self::Dom => {
                if let Some(rest) = upper.strip_prefix('L') {
                    return match rest {
                        "" => Ok(Some(Item::Last { back: 0 })),
                        "W" => Ok(Some(Item::LastWeekday)),
                        _ => match rest.strip_prefix('-').map(number) {
                            Some(Some(back @ 1..=30)) => Ok(Some(Item::Last { back: back as u8 })),
                            _ => Err(self.error(format!(
                                "{:?} is not understood; write L, LW, or L-1 to L-30",
                                shown(item)
                            ))),
                        },
                    };
                }
                match upper.strip_suffix('W') {
                    Some(dom) => Ok(Some(Item::Nearest { dom: self.value(dom)? })),
                    None => Ok(None),
                }
            }
            Self::Dow => {
                if let Some((dow, nth)) = upper.split_once('#') {
                    let dow = self.value(dow)? % 7;
                    return match (nth, number(nth)) {
                        ("L", _) => Ok(Some(Item::LastDow { dow })),
                        (_, Some(nth @ 1..=5)) => Ok(Some(Item::Nth { dow, nth: nth as u8 })),
                        _ => Err(self.error(format!(
                            "{:?}: after # comes 1 to 5, which one of the month",
                            shown(item)
                        ))),
                    };
                }
                match upper.strip_suffix('L') {
                    Some("") => Err(self.error(
                        "L alone is not understood; write 5L for the last Friday of the month, or 6 for Saturday".to_owned(),
                    )),
                    Some(dow) => Ok(Some(Item::LastDow { dow: self.value(dow)? % 7 })),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn span(self, lo: &str, hi: &str) -> Result<(u8, u8), Error> {
        let (from, mut to) = (self.value(lo)?, self.value(hi)?);
        let is_name = |text: &str| number(text).is_none();
        // Sunday may also end the week: `MON-SUN`.
        if self == Self::Dow && to == 0 && from > 0 && is_name(hi) {
            to = 7;
        }
        if from <= to {
            return Ok((from, to));
        }
        let (min, max) = self.bounds();
        let named = is_name(lo) || is_name(hi);
        let label = |value: u8| {
            let name = self.names().get(usize::from(value.saturating_sub(min)));
            match name.filter(|_| named) {
                Some(name) => name[..3].to_ascii_uppercase(),
                None => value.to_string(),
            }
        };
        let part = |from: u8, to: u8| {
            if from == to { label(from) } else { format!("{}-{}", label(from), label(to)) }
        };
        // 7 is Sunday, as 0 is: a range that begins with it begins the week.
        let fix = if from > max {
            part(min, to)
        } else {
            format!("{},{}", part(from, max), part(min, to))
        };
        Err(self.error(format!(
            "{} runs backwards ({} to {}); write {fix}",
            shown(&format!("{lo}-{hi}")),
            label(from),
            label(to)
        )))
    }

    fn value(self, text: &str) -> Result<u8, Error> {
        let (min, max) = self.bounds();
        let top = if self == Self::Dow { 7 } else { max };
        if let Some(value) = number(text) {
            return match u8::try_from(value) {
                Ok(small) if (min..=top).contains(&small) => Ok(small),
                _ => Err(self.error(format!("{} is out of range; {}", shown(text), self.range()))),
            };
        }
        let named = self.names().iter().zip(min..).find(|(name, _)| {
            name.eq_ignore_ascii_case(text) || name[..3].eq_ignore_ascii_case(text)
        });
        named.map(|(_, value)| value).ok_or_else(|| self.garbage(text))
    }

    fn step(self, text: &str, item: &str) -> Result<u8, Error> {
        match number(text) {
            Some(0) => {
                let fix = "a step is at least 1, as in */5";
                Err(self.error(format!("the step of {:?} is 0; {fix}", shown(item))))
            }
            // Any step beyond the field's width means "the first value only".
            Some(step) => Ok(step.min(100) as u8),
            None => {
                let fix = "after / comes one whole number without a sign, as in */5";
                Err(self.error(format!("the step of {:?} is no number; {fix}", shown(item))))
            }
        }
    }

    fn garbage(self, text: &str) -> Error {
        if text.is_empty() {
            return self.error(format!("a value is missing; {}", self.range()));
        }
        if text.starts_with(['+', '-']) && number(&text[1..]).is_some() {
            let problem =
                format!("{:?} has a sign; write {} without it", shown(text), shown(&text[1..]));
            return self.error(problem);
        }
        self.error(format!("{:?} is not understood; {}", shown(text), self.range()))
    }

    fn range(self) -> &'static str {
        match self {
            Self::Second | Self::Minute => "use 0-59, lists, ranges and steps, as in 0,30 or */5",
            Self::Hour => "use 0-23, lists, ranges and steps, as in 9-17 or */2",
            Self::Dom => "use 1-31, lists, ranges, steps, L or 15W",
            Self::Month => "use 1-12 or jan-dec, lists, ranges and steps",
            Self::Dow => "use 0-7 (0 and 7 are sunday) or sun-sat, lists, ranges, steps, 5L or 5#3",
        }
    }

    fn error(self, problem: String) -> Error {
        Error::Field { field: self.name(), problem }
    }
}

/// A whole number without a sign.
fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain {
        return None;
    }
    // Leading zeros do not count. A number too long for a u32 is out of every range.
    Some(digits.trim_start_matches('0'))
        .map(|rest| if rest.is_empty() { 0 } else { rest.parse().unwrap_or(u32::MAX) })
}
