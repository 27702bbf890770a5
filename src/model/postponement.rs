//! The reason why a due occurrence was deferred, and since when.
//!
//! The worker writes a [`Postponement`] as the text of a deferred record, and `command::apply`
//! keeps it with the pending row. The owner that finally sends the row puts the reason in front of
//! the error of the result ([`told`]), and `api` takes the two apart ([`parts`]). So the reason is
//! recorded, and the same on every node. Pure.

use serde::{Deserialize, Serialize};

use super::Millis;

/// Separates the reason of a deferral from the error of an attempt.
const MARK: char = '\u{1e}';
/// The longest name of a destination that is kept, in bytes.
const MAX_NAME: usize = 120;

/// The reason why a call was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// The destination keeps failing: its breaker is open.
    Failing,
    /// The destination asked to wait, with `Retry-After`.
    Asked,
    /// The destination has as many calls under way as it may have.
    Full,
    /// The node could not make the call, and why.
    Node(String),
}

/// Why and since when an occurrence waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postponement {
    /// What it waits for.
    pub obstacle: Obstacle,
    /// Host and port.
    pub destination: String,
    /// The instant at which the attempt was due first.
    pub since: Millis,
}

impl Postponement {
    /// Makes the deferral of a call to a destination.
    pub fn new(obstacle: Obstacle, destination: &str, since: Millis) -> Self {
        let end = destination.floor_char_boundary(MAX_NAME);
        Self { obstacle, destination: destination[..end].to_owned(), since }
    }

    /// The text in a record.
    pub fn to_text(&self) -> String {
        // Texts and numbers: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the text of [`Postponement::to_text`].
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The reason in words.
    pub fn waits_for(&self) -> String {
        let to = &self.destination;
        match &self.obstacle {
            Obstacle::Failing => format!("{to} is failing"),
            Obstacle::Asked => format!("asked to wait by {to}"),
            Obstacle::Full => format!("{to} has all the calls that it may have at a time"),
            Obstacle::Node(why) => format!("its node cannot call {to}: {why}"),
        }
    }

    /// The reason in words, with the end of the deferral.
    pub fn waited(&self, until: Millis) -> String {
        let to = &self.destination;
        let why = match &self.obstacle {
            Obstacle::Failing => format!("{to} was failing"),
            Obstacle::Asked => format!("was asked to wait by {to}"),
            Obstacle::Full => format!("{to} had all the calls that it may have at a time"),
            Obstacle::Node(why) => format!("its node could not call {to}: {why}"),
        };
        format!("waited {}: {why}", length((until - self.since).max(0)))
    }
}

/// The text that a result carries: what its attempt waited for, and its error.
pub fn told(
    postponed: Option<&Postponement>,
    until: Millis,
    error: Option<String>,
) -> Option<String> {
    let Some(postponed) = postponed else { return error };
    Some(format!("{}{MARK}{}", postponed.waited(until), error.unwrap_or_default()))
}

/// The parts of such a text: what the attempt waited for, and its error.
pub fn parts(text: Option<&str>) -> (Option<&str>, Option<&str>) {
    match text.and_then(|text| text.split_once(MARK)) {
        Some((waited, error)) => (Some(waited), Some(error).filter(|error| !error.is_empty())),
        None => (None, text),
    }
}

fn length(ms: Millis) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_says_what_its_attempt_waited_for() {
        let postponed = Postponement::new(Obstacle::Failing, "127.0.0.1:3000", 1_000);
        assert_eq!(Postponement::from_text(&postponed.to_text()), Some(postponed.clone()));
        assert_eq!(postponed.waits_for(), "127.0.0.1:3000 is failing");
        for (until, waited) in [
            (6_080, "waited 5.0 s: 127.0.0.1:3000 was failing"),
            (201_000, "waited 3 min 20 s: 127.0.0.1:3000 was failing"),
            (7_501_000, "waited 2 h 5 min: 127.0.0.1:3000 was failing"),
        ] {
            let fine = told(Some(&postponed), until, None);
            assert_eq!(parts(fine.as_deref()), (Some(waited), None));
            let bad = told(Some(&postponed), until, Some("HTTP 500".to_owned()));
            assert_eq!(parts(bad.as_deref()), (Some(waited), Some("HTTP 500")));
        }
        let plain = told(None, 5, Some("HTTP 500".to_owned()));
        assert_eq!(parts(plain.as_deref()), (None, Some("HTTP 500")));
        assert_eq!(parts(None), (None, None));
        let node = Obstacle::Node("too many open files".to_owned());
        let node = Postponement::new(node, "a", 0);
        assert_eq!(Postponement::from_text(&node.to_text()), Some(node.clone()));
        assert_eq!(node.waited(0), "waited 0.0 s: its node could not call a: too many open files");
        let asked = Postponement::new(Obstacle::Asked, &"a".repeat(300), 0);
        assert!(asked.to_text().len() < 200);
        assert_eq!(Postponement::from_text("of a later version"), None);
    }
}
