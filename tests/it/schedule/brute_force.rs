//! A second engine, slow and plain: it reads a spec into sets and tries every second. It shares
//! nothing with the first engine but chrono-tz.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, LocalResult, TimeZone, Timelike};
use chrono_tz::Tz;
use scheduler0::schedule::{DstRule, Fold, Gap, Millis};

use super::text::EXACT;

/// A spec of the plain grammar (numbers, names, lists, ranges, steps) as sets of values.
pub(super) struct BruteForce {
    pub(super) sets: [BTreeSet<u32>; 6],
    /// True when a day field begins with `*` or `?`, or holds one without a step: both must match.
    star: bool,
    /// True when the hour field holds a `*` or `?`, with or without a step.
    wild: bool,
}

impl BruteForce {
    /// Reads a spec of five or six fields.
    pub(super) fn new(spec: &str) -> Self {
        let mut words: Vec<&str> = spec.split_whitespace().collect();
        if words.len() == 5 {
            words.insert(0, "0");
        }
        let bounds = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
        let sets = std::array::from_fn(|i| Self::set(words[i], bounds[i]));
        let bare = |word: &str| {
            word.starts_with(['*', '?']) || word.split(',').any(|item| matches!(item, "*" | "?"))
        };
        let wild = words[2].split(',').any(|item| item.starts_with(['*', '?']));
        Self { sets, star: bare(words[3]) || bare(words[5]), wild }
    }

    fn set(word: &str, (min, max): (u32, u32)) -> BTreeSet<u32> {
        let names = if max == 12 {
            "- jan feb mar apr may jun jul aug sep oct nov dec"
        } else {
            "sun mon tue wed thu fri sat"
        };
        let value = |text: &str| {
            let lower = text.to_lowercase();
            let place = names.split(' ').position(|name| name == lower);
            place.map_or_else(|| text.parse().unwrap(), |at| at as u32)
        };
        let mut set = BTreeSet::new();
        for item in word.split(',') {
            let (base, step) = item.split_once('/').map_or((item, None), |(b, s)| (b, Some(s)));
            let (lo, hi) = match base.split_once('-') {
                _ if base == "*" || base == "?" => (min, max),
                Some((lo, hi)) if max == 6 && hi.to_lowercase() == "sun" => (value(lo), 7),
                Some((lo, hi)) => (value(lo), value(hi)),
                None if step.is_some() => (value(base), max),
                None => (value(base), value(base)),
            };
            let step = step.map_or(1, |step| step.parse().unwrap());
            let week = |value: u32| if max == 6 { value % 7 } else { value };
            set.extend((lo..=hi).filter(|value| (value - lo) % step == 0).map(week));
        }
        set
    }

    /// True when the local date of a second matches the day fields.
    pub(super) fn matches_date(&self, at: i64, tz: Tz) -> bool {
        let local = tz.timestamp_opt(at, 0).unwrap();
        let [_, _, _, dom, month, dow] = &self.sets;
        let by_date = dom.contains(&local.day());
        let by_weekday = dow.contains(&local.weekday().num_days_from_sunday());
        month.contains(&local.month())
            && if self.star { by_date && by_weekday } else { by_date || by_weekday }
    }

    /// True when a second matches all fields.
    pub(super) fn matches(&self, at: i64, tz: Tz) -> bool {
        let local = tz.timestamp_opt(at, 0).unwrap();
        let [second, minute, hour, ..] = &self.sets;
        second.contains(&local.second())
            && minute.contains(&local.minute())
            && hour.contains(&local.hour())
            && self.matches_date(at, tz)
    }

    /// The first match after `from` and not after `limit`. The search goes by seconds, by minutes
    /// for a spec that fires at second 0 (offsets are whole minutes since 1972), and by hours where
    /// the date matches at neither end of the hour.
    pub(super) fn first(&self, from: Millis, limit: Millis, tz: Tz) -> Option<Millis> {
        let minutely = self.sets[0].iter().eq([&0]);
        let (mut at, stride) = match (from.div_euclid(1000) + 1, minutely) {
            (at, false) => (at, 1),
            (at, true) => (at + (-at).rem_euclid(60), 60),
        };
        while at * 1000 <= limit {
            if !self.matches_date(at, tz) && !self.matches_date(at + 3599, tz) {
                at += 3600;
            } else if self.matches(at, tz) {
                return Some(at * 1000);
            } else {
                at += stride;
            }
        }
        None
    }

    /// All instants of the local dates from `first` to `last` under a DST rule: chrono-tz converts
    /// each local second that the fields name.
    pub(super) fn all(&self, first: i64, last: i64, tz: Tz, dst: DstRule) -> BTreeSet<Millis> {
        let dst = if self.wild { EXACT } else { dst };
        let mut all = BTreeSet::new();
        for day in first..=last {
            if !self.matches_date(day * 86_400, Tz::UTC) {
                continue;
            }
            let [seconds, minutes, hours, ..] = &self.sets;
            for (hour, minute) in hours.iter().flat_map(|h| minutes.iter().map(move |m| (h, m))) {
                for second in seconds {
                    let clock = i64::from(hour * 3600 + minute * 60 + second);
                    let local = DateTime::from_timestamp(day * 86_400 + clock, 0).unwrap();
                    match tz.from_local_datetime(&local.naive_utc()) {
                        LocalResult::Single(at) => {
                            all.insert(at.timestamp_millis());
                        }
                        LocalResult::Ambiguous(one, other) => {
                            all.insert(one.min(other).timestamp_millis());
                            if dst.fold == Fold::Both {
                                all.insert(one.max(other).timestamp_millis());
                            }
                        }
                        LocalResult::None if dst.gap == Gap::Next => {
                            // The first minute that shows a later time, from a day before on.
                            let shows = |at: &i64| {
                                tz.timestamp_opt(*at, 0).unwrap().naive_local() > local.naive_utc()
                            };
                            let start = (local.timestamp() - 2 * 86_400).div_euclid(60) * 60;
                            let at = (start..).step_by(60).find(shows).unwrap();
                            all.insert(at * 1000);
                        }
                        LocalResult::None => {}
                    }
                }
            }
        }
        all
    }

    /// The same schedule for the `cron` crate, with explicit values and weekdays by name: one
    /// schedule for both day fields, or one for each.
    pub(super) fn crate_schedules(&self) -> Vec<cron::Schedule> {
        let numbers =
            |set: &BTreeSet<u32>| set.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
        let [second, minute, hour, dom, month, dow] = &self.sets;
        let weekdays = dow.iter().map(|day| days[*day as usize]).collect::<Vec<_>>().join(",");
        let clock = [second, minute, hour].map(numbers).join(" ");
        let (dom, month) = (numbers(dom), numbers(month));
        let specs = if self.star {
            vec![format!("{clock} {dom} {month} {weekdays}")]
        } else {
            vec![format!("{clock} {dom} {month} *"), format!("{clock} * {month} {weekdays}")]
        };
        specs.iter().map(|spec| spec.parse().unwrap()).collect()
    }
}
