//! All errors of a payload or a template at once, by the name of the field. `payload` and `edit`
//! collect them; a use case makes one error of them.

use std::collections::BTreeMap;

use crate::app::error::Error;

/// The most errors that are told; a form of more wrong fields is told of these first.
const MOST: usize = 100;
/// The longest name of a field in an error, in characters: names are the client's own.
const LONGEST_NAME: usize = 100;
/// The length of a field's errors behind which no more are told, in bytes.
const LONGEST: usize = 1_000;

/// Errors by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(BTreeMap<String, String>);

impl FieldErrors {
    /// One error.
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// Adds an error of a field, behind those that it has. Beyond a bound it is left out.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        let name: String = field.chars().take(LONGEST_NAME).collect();
        if self.0.len() >= MOST && !self.0.contains_key(&name) {
            return;
        }
        let known = self.0.entry(name).or_default();
        if known.len() > LONGEST {
            return;
        }
        if !known.is_empty() {
            known.push_str("; ");
        }
        known.push_str(&message.into());
    }

    /// Adds the errors of a part, whose fields have this name before theirs.
    pub fn add_all(&mut self, part: &str, other: Self) {
        for (field, message) in other.0 {
            self.add(&format!("{part}.{field}"), message);
        }
    }

    /// Says whether an error of another field would be left out.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The error of a field.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// The errors, sorted by field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(field, message)| (field.as_str(), message.as_str()))
    }

    /// Gives the value where there are no errors.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The error of a payload that is refused.
    pub fn into_payload_error(self) -> Error {
        let message = self.summary("payload");
        Error::payload(message, self.0)
    }

    /// The error of a template that is refused.
    pub fn into_template_error(self) -> Error {
        let message = self.summary("template");
        Error::unprocessable(message).with_fields(self.0)
    }

    fn summary(&self, what: &str) -> String {
        let mut all = self.0.iter();
        let first = all.next().map_or_else(String::new, |(name, error)| format!("{name} {error}"));
        match all.len() {
            0 => format!("{what} is not valid: {first}"),
            more => format!("{what} is not valid: {first} (and {more} more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_by_field_and_summed_in_one_line() {
        let mut errors = FieldErrors::one("b", "is required");
        errors.add("a", "must be 0 or more");
        errors.add("a", "is there twice");
        assert_eq!(errors.get("a"), Some("must be 0 or more; is there twice"));
        let error = errors.into_payload_error();
        let told = "payload is not valid: a must be 0 or more; is there twice (and 1 more)";
        assert_eq!((error.message(), error.fields().len()), (told, 2));
    }

    #[test]
    fn there_is_a_bound_of_errors_and_of_names() {
        let mut errors = FieldErrors::default();
        for field in 0..1_000 {
            errors.add(&format!("{field}{}", "x".repeat(1_000)), "is unknown");
        }
        assert_eq!(errors.iter().count(), MOST);
        assert!(errors.iter().all(|(name, _)| name.chars().count() == LONGEST_NAME));
        assert!(errors.is_full());
        let mut one = FieldErrors::default();
        (0..10_000).for_each(|_| one.add("a", "must be a number"));
        assert!(one.get("a").is_some_and(|text| text.len() < 2 * LONGEST));
    }
}
