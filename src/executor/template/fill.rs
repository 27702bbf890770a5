//! The filling in of a template within a bound. Writing stops where the bound would be passed, and
//! no more is allocated than the bound allows. Kinds of executor call it for each part of what they
//! send; `length` reads the same pieces to find the lengths of the parts. It knows neither the
//! purpose of a part nor the size of its bound.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::PLACEHOLDERS;
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};

/// The values of the placeholders.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'a> {
    /// `{{executionId}}`.
    pub execution_id: &'a str,
    /// `{{jobId}}`.
    pub job: JobId,
    /// `{{scheduledAt}}`, in RFC 3339.
    pub scheduled: Millis,
    /// `{{attempt}}`, from 1.
    pub attempt: u32,
    /// `{{data}}`, and the body where the target has none of its own.
    pub data: &'a str,
    /// `{{template}}`: the type of the template that made the job; empty for other jobs.
    pub template: &'a str,
}

/// The text that `{{{{}}` stands for.
pub(super) const OPEN: &str = "{{";

/// All characters but the unreserved ones of RFC 3986.
pub(in crate::executor) const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The error of a [`Bounded`] whose bound would be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::executor) struct Full;

/// A text that never grows beyond a number of bytes, nor does its allocation.
#[derive(Debug)]
pub(in crate::executor) struct Bounded {
    text: String,
    max: usize,
}

impl Bounded {
    /// An empty text of at most `max` bytes.
    pub(in crate::executor) fn new(max: usize) -> Self {
        Self { text: String::new(), max }
    }

    /// Appends a piece, or nothing if that would pass the bound.
    pub(in crate::executor) fn push(&mut self, piece: &str) -> Result<(), Full> {
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
    pub(in crate::executor) fn into_text(self) -> String {
        self.text
    }
}

/// The way in which a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::executor) enum Place {
    /// As it is.
    Plain,
    /// Percent-encoded.
    Url,
    /// Escaped, as within a JSON string.
    Json,
}

impl Place {
    /// Writes a text.
    pub(in crate::executor) fn write(self, text: &str, out: &mut Bounded) -> Result<(), Full> {
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

    /// The number of bytes that [`Place::write`] writes for a text.
    pub(in crate::executor) fn length(self, text: &str) -> usize {
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

/// The reason why a template is not filled in.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::executor) enum Fault {
    /// The bound would be passed.
    Full,
    /// The text in the braces is no placeholder; the first 40 characters of it.
    Unknown(String),
}

impl From<Full> for Fault {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// Writes a template: the values of placeholders in the way of `place`, and its own text in the way
/// of `own`.
pub(in crate::executor) fn fill_in(
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
            "template" => place.write(fill.template, out)?,
            _ => return unknown(name),
        }
    }
    Ok(())
}

/// A part of a template.
pub(super) enum Piece<'t> {
    /// Text.
    Text(&'t str),
    /// A name in double braces.
    Name(&'t str),
    /// The text after double braces that are not closed.
    Unclosed(&'t str),
}

/// The pieces of a template, in order.
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

/// The texts in double braces in a template that are no placeholders.
pub fn unknown(template: &str) -> Vec<&str> {
    let unknown = |piece| match piece {
        Piece::Text(_) => None,
        Piece::Name(name) => Some(name).filter(|n| *n != OPEN && !PLACEHOLDERS.contains(n)),
        Piece::Unclosed(rest) => Some(rest),
    };
    pieces(template).filter_map(unknown).collect()
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
    fn a_full_text_takes_and_allocates_nothing_more() {
        let mut out = Bounded::new(100);
        for _ in 0..100 {
            out.push("x").unwrap();
        }
        assert_eq!(out.push("x"), Err(Full));
        assert_eq!(out.push(&"x".repeat(1 << 20)), Err(Full));
        assert_eq!((out.text.len(), out.text.capacity()), (100, 100));
    }
}
