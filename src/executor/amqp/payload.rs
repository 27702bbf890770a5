//! The body of a message: the job's data or a text with placeholders, perhaps decoded from base64.
//! `plan` makes one for each template and has it rendered for each job.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::fields::placeholders;
use crate::delivery::executor::Invalid;
use crate::executor::template::{Bounded, Fill, Full, Place, Template, is_json};

/// Base64 (RFC 4648, 4), with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The way to bodies.
#[derive(Debug)]
pub(super) struct Payload {
    /// The body; `None` for the job's data.
    template: Option<Template>,
    /// The way in which values are written into it.
    place: Place,
    base64: bool,
    /// The most bytes of a body, decoded.
    max: usize,
}

/// A body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// The MIME type that fits them; empty for an empty body.
    pub(super) content_type: &'static str,
}

/// The reason why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// It has too many bytes.
    #[error("the body would have more than {0} bytes (HTTPExecutorPayloadMaxSizeMb)")]
    TooLarge(usize),
    /// It is not base64, of the job's data or of a text of its own.
    #[error(
        "the body is not base64, as bodyEncoding says it is: give base64 with the alphabet of RFC \
         4648, section 4, or leave bodyEncoding out"
    )]
    Base64,
}

impl Payload {
    /// The bodies of a template, or of the data alone. `max` bounds their bytes.
    ///
    /// # Errors
    ///
    /// `Invalid` for a placeholder that nobody fills in.
    pub(super) fn new(
        field: &'static str,
        body: Option<&str>,
        base64: bool,
        max: usize,
    ) -> Result<Self, Invalid> {
        // In a body that is JSON as written, placeholders stand in its strings.
        let json = body.is_some_and(|body| is_json(body.as_bytes()));
        let place = if json { Place::Json } else { Place::Plain };
        let template = body.map(|body| placeholders(field, body, place)).transpose()?;
        Ok(Self { template, place, base64, max })
    }

    /// The body for a job.
    pub(super) fn render(&self, fill: &Fill<'_>) -> Result<Body, Error> {
        // Four characters of base64 stand for three bytes.
        let longest = if self.base64 { self.max.div_ceil(3).saturating_mul(4) } else { self.max };
        let mut out = Bounded::new(longest);
        let written = match &self.template {
            Some(template) => template.fill(fill, self.place, &mut out),
            None => out.push(fill.data),
        };
        written.map_err(|Full| Error::TooLarge(self.max))?;
        let text = out.into_text();
        let bytes = if self.base64 { decode(&text)? } else { text.into_bytes() };
        if bytes.len() > self.max {
            return Err(Error::TooLarge(self.max));
        }
        let content_type = match () {
            () if bytes.is_empty() => "",
            () if self.base64 => "application/octet-stream",
            () if is_json(&bytes) => "application/json",
            () => "text/plain; charset=utf-8",
        };
        Ok(Body { bytes: Bytes::from(bytes), content_type })
    }
}

/// Checks a body that is base64: nothing but the data is filled in, and what stands alone can be
/// decoded.
pub(super) fn check_base64(field: &'static str, body: &Template) -> Result<(), Invalid> {
    if !body.takes_only_data() {
        let message = format!("{field} takes {{{{data}}}} only where bodyEncoding is base64");
        return Err(Invalid::unfit(field, message));
    }
    match body.fixed() {
        Some(text) => match decode(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(Invalid::new(field, format!("{field}: {error}"))),
        },
        None => Ok(()),
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    BASE64.decode(text).map_err(|_| Error::Base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: &str = "amqp.body";

    fn body(body: Option<&str>, base64: bool, data: &str) -> Result<(String, &'static str), Error> {
        let fill =
            Fill { execution_id: "c1-4d", job: 77, scheduled: 0, attempt: 2, data, template: "" };
        let body = Payload::new(FIELD, body, base64, 24).unwrap().render(&fill)?;
        Ok((String::from_utf8_lossy(&body.bytes).into_owned(), body.content_type))
    }

    #[test]
    fn the_body_is_the_data_or_a_text_with_its_own_type() {
        const JSON: &str = "application/json";
        const TEXT: &str = "text/plain; charset=utf-8";
        for (text, data, expected) in [
            (None, "{\"a\":1}", ("{\"a\":1}", JSON)),
            (None, "a", ("a", TEXT)),
            (None, "", ("", "")),
            (Some(""), "a", ("", "")),
            (Some("{\"a\":\"{{data}}\"}"), "\"", ("{\"a\":\"\\\"\"}", JSON)),
            (Some("{\"a\":{{data}}}"), "[1]", ("{\"a\":[1]}", JSON)),
            (Some("{{jobId}}.{{attempt}} {{{{}}"), "", ("77.2 {{", TEXT)),
        ] {
            let (text, kind) = body(text, false, data).unwrap();
            assert_eq!((&*text, kind), expected);
        }
        assert_eq!(body(None, false, &"x".repeat(24)).unwrap().0.len(), 24);
        assert_eq!(body(None, false, &"x".repeat(25)), Err(Error::TooLarge(24)));
        assert_eq!(
            body(Some("{{data}}{{data}}"), false, "1234567890123"),
            Err(Error::TooLarge(24))
        );
    }

    #[test]
    fn base64_is_decoded_and_bounded_as_it_is_sent() {
        const BYTES: &str = "application/octet-stream";
        assert_eq!(body(None, true, "aGk=").unwrap(), ("hi".to_owned(), BYTES));
        assert_eq!(body(None, true, "aGk").unwrap(), ("hi".to_owned(), BYTES));
        assert_eq!(body(Some("aGlo{{data}}"), true, "aGk=").unwrap().0, "hihhi");
        assert_eq!(body(None, true, "").unwrap(), (String::new(), ""));
        for wrong in ["a", "aGk*", "aGk\n", "hi there", "_-_-"] {
            assert_eq!(body(None, true, wrong), Err(Error::Base64), "{wrong}");
        }
        assert_eq!(body(None, true, &"AAAA".repeat(8)).unwrap().0.len(), 24);
        assert_eq!(body(None, true, &"AAAA".repeat(9)), Err(Error::TooLarge(24)));
        let check = |text| check_base64(FIELD, &Template::new(text, Place::Plain).unwrap());
        assert!(check("aGk=").is_ok() && check("{{data}}").is_ok());
        for wrong in ["a", "{{jobId}}", "{{{{}}"] {
            let error = check(wrong).unwrap_err();
            assert!(error.field == FIELD && error.message.starts_with(FIELD), "{wrong}: {error}");
        }
    }
}
