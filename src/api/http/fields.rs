//! The fields of a small JSON object, known by either casing. Projects, executors, credentials and
//! previews are read with it; jobs have a faster parser of their own, since they come by the
//! thousand.

use crate::app::duration;
use serde_json::{Map, Value};

use crate::api::http::error::Error;
use crate::app::fields::{canonical, check_text};
use crate::app::patch::Patch;
use crate::app::warnings::Warnings;
use crate::model::Millis;
use crate::model::time::parse_rfc3339;
use crate::schedule::DstRule;

/// An object that was read. Its fields are taken out one by one; the fields that are left are
/// unknown.
#[derive(Debug)]
pub(crate) struct Fields {
    /// Canonical name, name as given, value. The last of equal names counts.
    given: Vec<(String, String, Value)>,
}

impl Fields {
    /// Reads a body; an empty one counts as `{}`.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Error> {
        if body.trim_ascii().is_empty() {
            return Ok(Self { given: Vec::new() });
        }
        let value: Value = serde_json::from_slice(body).map_err(|e| bad_json(&e))?;
        let Value::Object(object) = value else {
            return Err(Error::unprocessable("the request's body must be a JSON object"));
        };
        Ok(Self::of(object))
    }

    /// The fields of an object within a body.
    pub(crate) fn of(object: Map<String, Value>) -> Self {
        Self { given: Self::known(object) }
    }

    fn known(object: Map<String, Value>) -> Vec<(String, String, Value)> {
        let mut buffer = [0; 32];
        let known = object.into_iter().map(|(name, value)| {
            let plain = canonical(&name, &mut buffer).unwrap_or_default().to_owned();
            (plain, name, value)
        });
        known.collect()
    }

    /// The value of a field; `None` where it is absent or null.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let mut buffer = [0; 32];
        let wanted = canonical(name, &mut buffer)?;
        let mut found = None;
        self.given.retain_mut(|(plain, _, value)| {
            let is_it = plain == wanted;
            if is_it {
                found = Some(value.take());
            }
            !is_it
        });
        found.filter(|value| !value.is_null())
    }

    /// A text of at most `longest` bytes. Line ends and tabs are its only control characters.
    pub(crate) fn text(
        &mut self,
        name: &'static str,
        longest: usize,
    ) -> Result<Option<String>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => {
                check_text(name, &text, longest)?;
                Ok(Some(text))
            }
            Some(_) => Err(Error::invalid(name, format!("{name} must be text"))),
        }
    }

    /// A list of texts of at most `longest` bytes each.
    pub(crate) fn texts(
        &mut self,
        name: &'static str,
        longest: usize,
    ) -> Result<Option<Vec<String>>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let wrong = || {
            let message = format!("{name} must be a list of texts of at most {longest} bytes");
            Error::invalid(name, message)
        };
        let Value::Array(values) = value else { return Err(wrong()) };
        let text = |value| match value {
            Value::String(text) if text.len() <= longest => Some(text),
            _ => None,
        };
        values.into_iter().map(text).collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
    }

    /// A truth value.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Error::invalid(name, format!("{name} must be true or false"))),
        }
    }

    /// A whole number, 0 or more.
    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let wrong = || Error::invalid(name, format!("{name} must be a whole number, 0 or more"));
        value.as_u64().map(Some).ok_or_else(wrong)
    }

    /// A duration within bounds, in milliseconds.
    pub(crate) fn duration(
        &mut self,
        name: &'static str,
        bounds: (Millis, Millis),
    ) -> Result<Option<Millis>, Error> {
        Ok(self.take(name).map(|value| duration::read(name, &value, bounds)).transpose()?)
    }

    /// An instant: RFC 3339, or a date alone (its first instant in UTC).
    pub(crate) fn instant(&mut self, name: &'static str) -> Result<Option<Millis>, Error> {
        let Some(text) = self.text(name, 64)? else { return Ok(None) };
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text };
        parse_rfc3339(&whole).map(Some).ok_or_else(|| {
            let message = format!("{name} must be RFC 3339, such as 2026-11-20T20:18:07Z");
            Error::invalid(name, message)
        })
    }

    /// An interval: `from` and `until`, or, as in older clients, `startDate` and `endDate`.
    pub(crate) fn interval(&mut self) -> Result<(Option<Millis>, Option<Millis>), Error> {
        interval(|name| self.instant(name))
    }

    /// The rule for instants at which the clocks change, as in a job's `dst`.
    pub(crate) fn dst(&mut self) -> Result<Option<DstRule>, Error> {
        let Some(value) = self.take("dst") else { return Ok(None) };
        if !value.is_object() {
            let message = "dst must be an object with gap (next, skip) and fold (first, both)";
            return Err(Error::invalid("dst", message));
        }
        serde_json::from_value(value)
            .map(Some)
            .map_err(|e| Error::invalid("dst", format!("dst is not understood: {e}")))
    }

    /// Drops fields that are known and have no effect here, such as those that a `GET` showed.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.take(name);
        }
    }

    /// Refuses null for fields that every record has: a patch cannot clear them.
    pub(crate) fn not_null(&self, names: &[&'static str]) -> Result<(), Error> {
        let mut buffer = [0; 32];
        for name in names {
            let wanted = canonical(name, &mut buffer).unwrap_or_default();
            let last = self.given.iter().rev().find(|(plain, ..)| plain == wanted);
            if last.is_some_and(|(_, _, value)| value.is_null()) {
                let message = format!("{name} cannot be null: name another, or leave it out");
                return Err(Error::invalid(name, message));
            }
        }
        Ok(())
    }

    /// A field that null clears and absence keeps.
    pub(crate) fn patch<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<Option<T>, Error>,
    ) -> Result<Patch<T>, Error> {
        let mut buffer = [0; 32];
        let wanted = canonical(name, &mut buffer).unwrap_or_default();
        let last = self.given.iter().rev().find(|(plain, ..)| plain == wanted);
        if last.is_some_and(|(_, _, value)| value.is_null()) {
            self.take(name);
            return Ok(Patch::Clear);
        }
        Ok(read(self, name)?.map_or(Patch::Keep, Patch::Set))
    }

    /// The warnings about the fields that nobody has taken.
    pub(crate) fn warnings(self) -> Warnings {
        let mut warnings = Warnings::default();
        self.given.iter().for_each(|(_, name, _)| warnings.unknown_field(name));
        warnings
    }
}

/// 400 for JSON that cannot be read, with the place in the text. The message may quote the client's
/// own input only.
pub(crate) fn bad_json(error: &serde_json::Error) -> Error {
    Error::bad_request(format!("the request's body is not valid JSON: {error}"))
}

/// The interval between two instants that `instant` reads by name: `from` and `until`, or the
/// published clients' `startDate` and `endDate`. Both names of one bound are refused.
pub(crate) fn interval(
    mut instant: impl FnMut(&'static str) -> Result<Option<Millis>, Error>,
) -> Result<(Option<Millis>, Option<Millis>), Error> {
    let mut bound = |name: &'static str, older: &'static str| {
        let (given, other) = (instant(name)?, instant(older)?);
        if given.is_some() && other.is_some() {
            let message = format!("{name} and {older} say the same: give one of them");
            return Err(Error::invalid(older, message));
        }
        Ok(given.or(other))
    };
    Ok((bound("from", "startDate")?, bound("until", "endDate")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_by_either_casing_and_the_rest_is_unknown() {
        let body = br#"{"created_by":"me","name":null,"Archived":true,"colour":1}"#;
        let mut fields = Fields::parse(body).unwrap();
        assert_eq!(fields.text("createdBy", 10).unwrap().as_deref(), Some("me"));
        assert_eq!(fields.text("name", 10).unwrap(), None);
        assert_eq!(fields.flag("archived").unwrap(), Some(true));
        assert_eq!(fields.warnings().first_unknown(), Some("colour"));
    }

    #[test]
    fn null_takes_away_and_absence_does_not() {
        let body = br#"{"max_concurrency":null,"timeout":"1m","max":null,"max":7}"#;
        let mut fields = Fields::parse(body).unwrap();
        let number = Fields::number;
        assert_eq!(fields.patch("maxConcurrency", number).unwrap().apply_to(Some(3)), None);
        assert_eq!(fields.patch("ratePerSecond", number).unwrap().apply_to(Some(3)), Some(3));
        assert_eq!(fields.patch("max", number).unwrap().apply_to(Some(3)), Some(7));
        assert!(fields.patch("timeout", number).is_err());
        let mut fields = Fields::parse(body).unwrap();
        assert_eq!(fields.duration("timeout", (1, 60_000)).unwrap(), Some(60_000));
        fields.ignore(&["max", "maxConcurrency"]);
        assert_eq!(fields.warnings(), Warnings::default());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = "[".repeat(100_000);
        for (body, status) in [
            ("[]", 422),
            ("1", 422),
            ("nul", 400),
            ("{\"a\":", 400),
            ("{\"a\":1e999}", 400),
            (deep.as_str(), 400),
        ] {
            assert_eq!(Fields::parse(body.as_bytes()).unwrap_err().status(), status);
        }
        assert_eq!(Fields::parse(b" \n").unwrap().warnings(), Warnings::default());
        let mut fields = Fields::parse(br#"{"name":"a\u0000","text":"long","n":{}}"#).unwrap();
        assert!(fields.text("name", 10).is_err());
        assert!(fields.text("text", 3).is_err());
        assert!(fields.text("n", 3).is_err());
        let mut fields = Fields::parse(br#"{"n":-1,"dst":{"gap":"jump"}}"#).unwrap();
        assert!(fields.number("n").is_err());
        assert!(fields.dst().is_err());
    }
}
