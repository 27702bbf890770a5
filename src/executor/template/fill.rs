//! Filling in a template within a bound: what is written stops where the bound would be passed, and
//! no more is allocated than the bound allows. [`super::RequestTemplate`] calls it for each part of a
//! request, [`super::sizes`] reads the same pieces to tell how long the parts become. It knows
//! neither what a part is for nor what its bound is.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Error, Fill};
use crate::model::time::rfc3339;

/// What stands for itself in a template when it is written `{{{{}}`.
pub(super) const OPEN: &str = "{{";

/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The bound of a [`Bounded`] would be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A text that never grows beyond a number of bytes, nor does its allocation.
#[derive(Debug)]
pub(super) struct Bounded {
    text: String,
    max: usize,
}

impl Bounded {
    /// An empty text of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { text: String::new(), max }
    }

    /// Appends a piece, or nothing if that would pass the bound.
    pub(super) fn push(&mut self, piece: &str) -> Result<(), Full> {
        let needed = self.text.len().saturating_add(piece.len());
        if needed > self.max {
            return Err(Full);
        }
        if needed > self.text.capacity() {
            let room = self.text.capacity().saturating_mul(2).max(64).clamp(needed, self.max);
            self.text.reserve_exact(room - self.text.len());
        }
        self.text.push_str(piece);
        Ok(())
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// How a text is written where it is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// As it is.
    Plain,
    /// Percent-encoded.
    Url,
    /// Escaped, as within a JSON string.
    Json,
}

impl Place {
    /// Writes a text.
    pub(super) fn write(self, text: &str, out: &mut Bounded) -> Result<(), Full> {
        match self {
            Self::Plain => out.push(text),
            Self::Url => utf8_percent_encode(text, ENCODED).try_for_each(|piece| out.push(piece)),
            Self::Json => {
                let mut begin = 0;
                for (at, byte) in text.bytes().enumerate() {
                    let coded;
                    let escape = match byte {
                        b'"' => "\\\"",
                        b'\\' => "\\\\",
                        b'\n' => "\\n",
                        b'\r' => "\\r",
                        b'\t' => "\\t",
                        0x08 => "\\b",
                        0x0c => "\\f",
                        0..0x20 => {
                            coded = format!("\\u{byte:04x}");
                            &coded
                        }
                        _ => continue,
                    };
                    out.push(&text[begin..at])?;
                    out.push(escape)?;
                    begin = at + 1;
                }
                out.push(&text[begin..])
            }
        }
    }

    /// How many bytes [`Place::write`] writes of a text.
    pub(super) fn length(self, text: &str) -> usize {
        let each = |length: fn(u8) -> usize| text.bytes().map(length).sum();
        match self {
            Self::Plain => text.len(),
            Self::Url => each(|byte| match byte {
                b'-' | b'.' | b'_' | b'~' => 1,
                byte if byte.is_ascii_alphanumeric() => 1,
                _ => 3,
            }),
            Self::Json => each(|byte| match byte {
                b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
                0..0x20 => 6,
                _ => 1,
            }),
        }
    }
}

/// Why a template is not filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bound.
    Full,
    /// Nobody fills in what stands in the braces: the first 40 characters of it.
    Unknown(String),
}

impl From<Full> for Fault {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl Fault {
    /// The error of a part of the target; `full` where it is the bound.
    pub(super) fn of(self, field: &'static str, full: impl FnOnce() -> Error) -> Error {
        match self {
            Self::Full => full(),
            Self::Unknown(name) => Error::Placeholder { field, name },
        }
    }
}

/// Writes a template with its placeholders replaced as `place` has it; the template's own text is
/// written as `own` has it.
pub(super) fn fill_in(
    template: &str,
    fill: &Fill<'_>,
    (own, place): (Place, Place),
    out: &mut Bounded,
) -> Result<(), Fault> {
    let unknown = |name: &str| Err(Fault::Unknown(name.chars().take(40).collect()));
    for piece in pieces(template) {
        let name = match piece {
            Piece::Text(text) => {
                own.write(text, out)?;
                continue;
            }
            Piece::Name(name) => name,
            Piece::Unclosed(rest) => return unknown(rest),
        };
        match name {
            OPEN => place.write(OPEN, out)?,
            "executionId" => place.write(fill.execution_id, out)?,
            "jobId" => place.write(&fill.job.to_string(), out)?,
            "scheduledAt" => place.write(&rfc3339(fill.scheduled), out)?,
            "attempt" => place.write(&fill.attempt.to_string(), out)?,
            "data" => place.write(fill.data, out)?,
            _ => return unknown(name),
        }
    }
    Ok(())
}

/// A part of a template.
pub(super) enum Piece<'t> {
    /// As it stands.
    Text(&'t str),
    /// What is in double braces.
    Name(&'t str),
    /// What follows double braces that are not closed.
    Unclosed(&'t str),
}

/// A template's pieces, in order.
pub(super) fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    let mut braced = None;
    std::iter::from_fn(move || {
        if let Some(name) = braced.take() {
            return Some(name);
        }
        if rest.is_empty() {
            return None;
        }
        let Some((before, after)) = rest.split_once(OPEN) else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        let (name, left) = match after.split_once("}}") {
            Some((name, left)) => (Piece::Name(name), left),
            None => (Piece::Unclosed(after), ""),
        };
        rest = left;
        braced = Some(name);
        Some(Piece::Text(before))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(place: Place, text: &str, max: usize) -> Result<String, Full> {
        let mut out = Bounded::new(max);
        place.write(text, &mut out)?;
        assert!(out.text.capacity() <= max, "{} of {max}", out.text.capacity());
        Ok(out.into_text())
    }

    proptest! {
        #[test]
        fn each_place_writes_what_it_says_and_never_beyond_the_bound(text in "\\PC*|(?s:.*)") {
            for (place, expected) in [
                (Place::Plain, text.clone()),
                (Place::Url, utf8_percent_encode(&text, ENCODED).to_string()),
                (Place::Json, {
                    let quoted = serde_json::to_string(&text).unwrap();
                    quoted[1..quoted.len() - 1].to_owned()
                }),
            ] {
                prop_assert_eq!(place.length(&text), expected.len());
                prop_assert_eq!(written(place, &text, expected.len()), Ok(expected.clone()));
                if let Some(less) = expected.len().checked_sub(1) {
                    prop_assert_eq!(written(place, &text, less), Err(Full));
                }
            }
        }
    }

    #[test]
    fn a_text_that_is_full_takes_nothing_more_and_allocates_nothing_more() {
        let mut out = Bounded::new(100);
        for _ in 0..100 {
            out.push("x").unwrap();
        }
        assert_eq!(out.push("x"), Err(Full));
        assert_eq!(out.push(&"x".repeat(1 << 20)), Err(Full));
        assert_eq!((out.text.len(), out.text.capacity()), (100, 100));
    }
}
