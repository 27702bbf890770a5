//! The rule of one field, as `payloadSchema` gives it: `{"type": "uint", "minValue": 0}`, or null
//! for anything. Here rules are read and checked by themselves; `value` checks values by them.

use chrono_tz::Tz;
use regex::Regex;
use serde_json::value::RawValue;

use super::numbers::{fits, whole};
use super::ordered::{Ordered, quoted, shortened, unquoted};
use super::patterns::{compile, pattern_size};
use super::rule_names::{Parts, TYPES, is_same};
use crate::model::Millis;
use crate::model::time::parse_rfc3339;
use crate::schedule::parse_zone;

/// The longest text of a field, in characters, unless its rule says otherwise.
const LONGEST_TEXT: u64 = 4_096;
/// The longest text that a rule may allow, in characters.
const MOST_TEXT: u64 = 65_536;
/// The most options of a rule.
const MOST_OPTIONS: usize = 1_000;
/// The longest label and help of a field, in bytes.
const LONGEST_LABEL: usize = 1_024;

/// The rule of a field.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The type, with its bounds.
    pub kind: Kind,
    /// The name that people read.
    pub label: Option<String>,
    /// A sentence beside the field.
    pub help: Option<String>,
    /// What the rule says of its absence.
    pub required: Option<bool>,
    /// The value of an absent field, as JSON.
    pub default: Option<String>,
}

/// The type of a field.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A whole number (`uint`, `int`).
    Whole {
        /// It is an `uint`.
        unsigned: bool,
        /// The least value.
        min: i128,
        /// The largest value.
        max: i128,
    },
    /// A number.
    Number {
        /// The least value.
        min: Option<f64>,
        /// The largest value.
        max: Option<f64>,
    },
    /// A text.
    Text {
        /// The fewest characters.
        min: u64,
        /// The most characters.
        max: u64,
        /// What must be found in it.
        pattern: Option<Regex>,
        /// What it must be.
        format: Option<Format>,
    },
    /// A truth value.
    Bool,
    /// One of some values, or several of them.
    Options {
        /// The values.
        options: Vec<Choice>,
        /// A list of them is given. `None` where the rule does not say.
        multiple: Option<bool>,
    },
    /// An instant (`datetime`).
    Instant {
        /// The zone of a local time; without it only instants are taken.
        zone: Option<Tz>,
        /// The earliest.
        not_before: Option<Limit>,
        /// The latest.
        not_after: Option<Limit>,
    },
    /// Any JSON up to 64 KB.
    Json,
    /// Anything; not shown in forms (the rule null).
    Any,
}

/// An option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// As people read it.
    pub text: String,
    /// As JSON.
    pub json: String,
}

impl Choice {
    /// Says whether a value, given as JSON, is this option. Whole numbers are compared by value.
    pub(super) fn is(&self, json: &str) -> bool {
        self.json == json || whole(&self.json).is_some_and(|own| whole(json) == Some(own))
    }

    fn is_same(&self, other: &Self) -> bool {
        self.text == other.text || self.is(&other.json)
    }
}

/// A bound of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The moment of the check.
    Now,
    /// An instant.
    At(Millis),
}

/// What a text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An address of mail.
    Email,
    /// An absolute URI.
    Uri,
    /// A UUID with dashes.
    Uuid,
}

impl Format {
    const ALL: [(&str, Self); 3] =
        [("email", Self::Email), ("uri", Self::Uri), ("uuid", Self::Uuid)];

    /// Its name in rules and errors.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(_, format)| *format == self);
        found.map_or("text", |(name, _)| name)
    }
}

impl Rule {
    /// The rule null.
    fn any() -> Self {
        Self { kind: Kind::Any, label: None, help: None, required: Some(false), default: None }
    }

    /// Says whether a payload must have the field: unless the rule says so, if there is no default.
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(self.default.is_none())
    }

    /// Reads a rule that stands alone. The errors are all that is wrong with it.
    pub fn read(json: &str) -> Result<Self, Vec<String>> {
        Self::of_schema(json, 1)
    }

    /// Reads a rule of a schema that has so many patterns.
    pub(super) fn of_schema(json: &str, patterns: usize) -> Result<Self, Vec<String>> {
        if json == "null" {
            return Ok(Self::any());
        }
        let given = Ordered::read(json).map_err(|_| {
            vec!["must be a rule, an object with a type, or null for anything".to_owned()]
        })?;
        let names = || TYPES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let kind = given.0.iter().rev().find(|(name, _)| is_same("type", name));
        let Some((_, kind)) = kind else {
            return Err(vec![format!("has no type: give one of {}", names())]);
        };
        let kind = unquoted(kind).unwrap_or_else(|| shortened(kind));
        let Some((kind, known)) = TYPES.iter().find(|(name, _)| *name == kind) else {
            let kind = shortened(&kind);
            return Err(vec![format!("type {kind} is not known: use one of {}", names())]);
        };
        let mut wrong = Vec::new();
        let parts = Parts::of(&given, known, &mut wrong);
        let mut reader = Reader { parts, wrong, pattern_size: pattern_size(patterns) };
        let rule = Self {
            kind: reader.kind(kind),
            label: reader.text("label"),
            help: reader.text("help"),
            required: reader.flag("required"),
            default: reader.parts.get("default").map(str::to_owned),
        };
        if reader.wrong.is_empty() { Ok(rule) } else { Err(reader.wrong) }
    }
}

/// Reads the parts of a rule and notes what is wrong with them.
struct Reader<'a> {
    parts: Parts<'a>,
    wrong: Vec<String>,
    /// The most bytes of a compiled pattern.
    pattern_size: usize,
}

impl Reader<'_> {
    fn kind(&mut self, name: &str) -> Kind {
        match name {
            "uint" => self.whole(true, 0, u64::MAX.into()),
            "int" => self.whole(false, i64::MIN.into(), i64::MAX.into()),
            "number" => self.number(),
            "string" => self.string(),
            "bool" => Kind::Bool,
            "options" => self.options(),
            "datetime" => self.instant(),
            _ => Kind::Json,
        }
    }

    /// The least and the largest value, as JSON: two names, or both in a range.
    fn bounds(&mut self) -> (Option<String>, Option<String>) {
        let of = |name| self.parts.get(name).map(str::to_owned);
        let (min, max) = (of("minValue"), of("maxValue"));
        let Some(range) = self.parts.get("range") else { return (min, max) };
        if min.is_some() || max.is_some() {
            self.wrong.push("has range beside minValue or maxValue: give one of them".to_owned());
        }
        let read: Result<Vec<&RawValue>, _> = serde_json::from_str(range);
        if let Ok([min, max]) = read.as_deref() {
            let bound = |json: &str| (json != "null").then(|| json.to_owned());
            return (bound(min.get()), bound(max.get()));
        }
        self.wrong.push("range must be a list of two numbers, such as [0, 1000]".to_owned());
        (None, None)
    }

    fn whole(&mut self, unsigned: bool, least: i128, largest: i128) -> Kind {
        let (min, max) = self.bounds();
        let mut bound = |name: &str, json: Option<String>, or: i128| {
            let Some(json) = json else { return or };
            let read = whole(&json).filter(|number| (least..=largest).contains(number));
            read.unwrap_or_else(|| {
                let json = shortened(&json);
                self.wrong.push(format!(
                    "{name} must be a whole number from {least} to {largest}, got {json}"
                ));
                or
            })
        };
        let (min, max) = (bound("minValue", min, least), bound("maxValue", max, largest));
        if min > max {
            self.wrong.push(format!("minValue {min} is more than maxValue {max}"));
        }
        Kind::Whole { unsigned, min, max }
    }

    fn number(&mut self) -> Kind {
        let (min, max) = self.bounds();
        let mut bound = |name: &str, json: Option<String>| {
            let json = json?;
            let read = fits(&json).then(|| json.parse::<f64>().ok()).flatten();
            if read.is_none() {
                self.wrong.push(format!("{name} must be a number, got {}", shortened(&json)));
            }
            // Values are compared with it exactly, so it may not be a rounded one.
            let is_exact = |number: f64| whole(&json).is_none_or(|exact| exact == number as i128);
            if read.is_some_and(|number| !is_exact(number)) {
                let json = shortened(&json);
                self.wrong
                    .push(format!("{name} {json} has too many digits: use the type int or uint"));
            }
            read
        };
        let (min, max) = (bound("minValue", min), bound("maxValue", max));
        if let (Some(least), Some(largest)) = (min, max)
            && least > largest
        {
            self.wrong.push(format!("minValue {least} is more than maxValue {largest}"));
        }
        Kind::Number { min, max }
    }

    fn string(&mut self) -> Kind {
        let min = self.length("minLength").unwrap_or(0);
        let max = self.length("maxLength").unwrap_or(LONGEST_TEXT.max(min));
        if min > max {
            self.wrong.push(format!("minLength {min} is more than maxLength {max}"));
        }
        let pattern = self.text("pattern").and_then(|pattern| {
            let why = |error| self.wrong.push(format!("pattern cannot be used: {error}"));
            compile(&pattern, self.pattern_size).map_err(why).ok()
        });
        let format = self.text("format").and_then(|name| {
            let found = Format::ALL.into_iter().find(|(known, _)| *known == name);
            if found.is_none() {
                let name = shortened(&name);
                self.wrong.push(format!("format {name} is not known: use email, uri or uuid"));
            }
            found.map(|(_, format)| format)
        });
        Kind::Text { min, max, pattern, format }
    }

    fn options(&mut self) -> Kind {
        let multiple = self.flag("multiple");
        let Some(json) = self.parts.get("options") else {
            self.wrong.push("has no options: list the values that may be chosen".to_owned());
            return Kind::Options { options: Vec::new(), multiple };
        };
        // Numbers stay as they are written, since none may be rounded.
        let list: Option<Vec<&RawValue>> = serde_json::from_str(json).ok();
        let choice = |value: &&RawValue| {
            let json = value.get();
            if let Some(text) = unquoted(json) {
                return Some(Choice { json: quoted(&text), text });
            }
            let is_number = json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let is_choice = is_number && fits(json);
            is_choice.then(|| Choice { text: json.to_owned(), json: json.to_owned() })
        };
        let read = list.and_then(|list| list.iter().map(choice).collect::<Option<Vec<_>>>());
        let options = match read {
            Some(options) if (1..=MOST_OPTIONS).contains(&options.len()) => options,
            _ => {
                self.wrong.push(format!(
                    "options must be a list of 1 to {MOST_OPTIONS} texts or numbers"
                ));
                Vec::new()
            }
        };
        let twice = options
            .iter()
            .enumerate()
            .find(|(i, one)| options[..*i].iter().any(|other| other.is_same(one)));
        if let Some((_, twice)) = twice {
            self.wrong.push(format!("options has {} twice", shortened(&twice.text)));
        }
        Kind::Options { options, multiple }
    }

    fn instant(&mut self) -> Kind {
        let zone = self.text("timezone").and_then(|name| {
            let zone = parse_zone(&name);
            if let Err(error) = &zone {
                self.wrong.push(format!("timezone is not valid: {error}"));
            }
            zone.ok()
        });
        let mut limit = |name: &'static str| {
            let text = self.text(name)?;
            if text == "now" {
                return Some(Limit::Now);
            }
            let at = parse_rfc3339(&text);
            if at.is_none() {
                self.wrong
                    .push(format!("{name} must be now, or RFC 3339 such as 2026-11-20T20:18:07Z"));
            }
            at.map(Limit::At)
        };
        let (not_before, not_after) = (limit("notBefore"), limit("notAfter"));
        if let (Some(Limit::At(first)), Some(Limit::At(last))) = (not_before, not_after)
            && first > last
        {
            self.wrong.push("notBefore is later than notAfter".to_owned());
        }
        Kind::Instant { zone, not_before, not_after }
    }

    fn length(&mut self, name: &str) -> Option<u64> {
        let json = self.parts.get(name)?;
        let read = json.parse().ok().filter(|length| *length <= MOST_TEXT);
        if read.is_none() {
            self.wrong.push(format!("{name} must be a whole number from 0 to {MOST_TEXT}"));
        }
        read
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let json = self.parts.get(name)?;
        let read = unquoted(json).filter(|text| text.len() <= LONGEST_LABEL);
        if read.is_none() {
            self.wrong.push(format!("{name} must be text of at most {LONGEST_LABEL} bytes"));
        }
        read
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        let json = self.parts.get(name)?;
        let read = json.parse().ok();
        if read.is_none() {
            self.wrong.push(format!("{name} must be true or false"));
        }
        read
    }
}
