//! The lengths of the parts of a request, as a function of the job's data. The api asks when a job
//! or an executor is created or changed, and refuses then what cannot be sent. Whatever is admitted
//! here can be rendered: the lengths are those of the longest ids, instants and numbers, and
//! [`RequestTemplate`] keeps the same bounds. Nothing is written to find a length.

use super::error::{Bound, Error};
use super::fill::{Fill, OPEN, Piece, Place, pieces};
use super::render::{RequestTemplate, parts};
use super::{MAX_HEADER, MAX_HEADERS, MAX_URL};
use crate::model::target::{Auth, HttpTarget, Sealed};
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};
use crate::secret;

/// An execution id of the greatest length: 8, 16, 16 and 16 hex digits (the last for manual runs).
const EXECUTION_ID: &str = "00000000-0000000000000000-0000000000000000-0000000000000000";
/// An instant with the longest text: a year of six digits, and milliseconds.
const INSTANT: Millis = 8_210_000_000_000_001;

/// A length that grows with the data of the job.
#[derive(Clone, Copy, Debug, Default)]
struct Length {
    /// In bytes, without the data.
    fixed: usize,
    /// The number of times that the data is filled in.
    times: usize,
}

impl Length {
    /// The length of a template.
    fn of(template: &str, (own, place): (Place, Place)) -> Self {
        let mut length = Self::default();
        for piece in pieces(template) {
            length.fixed += match piece {
                Piece::Text(text) => own.length(text),
                Piece::Name("data") => {
                    length.times += 1;
                    0
                }
                Piece::Name(OPEN) => place.length(OPEN),
                Piece::Name("executionId") => EXECUTION_ID.len(),
                Piece::Name("jobId") => JobId::MAX.to_string().len(),
                Piece::Name("scheduledAt") => place.length(&rfc3339(INSTANT)),
                Piece::Name("attempt") => u32::MAX.to_string().len(),
                // Neither is ever rendered.
                Piece::Name(_) | Piece::Unclosed(_) => 0,
            };
        }
        length
    }

    fn plus(self, other: Self) -> Self {
        Self { fixed: self.fixed + other.fixed, times: self.times + other.times }
    }

    /// The length where the data takes `data` bytes each time.
    fn with(self, data: usize) -> usize {
        self.times.saturating_mul(data).saturating_add(self.fixed)
    }
}

/// The lengths of the parts of a target.
#[derive(Clone, Debug)]
pub struct Sizes {
    url: Length,
    /// Names, with the lengths of name and value.
    headers: Vec<(String, Length)>,
    /// All headers, with that of `auth`.
    all_headers: Length,
    /// The body, and the way in which data is written into it.
    body: (Length, Place),
    /// Whether something is filled into the path.
    fills_path: bool,
}

impl Sizes {
    /// The sizes of a target. Errors are those of [`RequestTemplate::new`].
    pub fn new(target: &HttpTarget) -> Result<Self, Error> {
        let template = RequestTemplate::new(target, usize::MAX)?;
        let in_url = (Place::Plain, Place::Url);
        let (url, fragment) = parts(&target.url);
        let mut whole = Length::of(url, in_url);
        for (name, value) in &target.query {
            whole.fixed += "&=".len() + Place::Url.length(name);
            whole = whole.plus(Length::of(value, (Place::Url, Place::Url)));
        }
        if let Some(fragment) = fragment {
            whole.fixed += 1;
            whole = whole.plus(Length::of(fragment, in_url));
        }
        let header = |(name, value): (&String, &String)| {
            let mut length = Length::of(value, (Place::Plain, Place::Plain));
            length.fixed += name.len();
            (name.clone(), length)
        };
        let headers: Vec<_> = target.headers.iter().map(header).collect();
        let mut all_headers =
            headers.iter().fold(Length::default(), |sum, (_, length)| sum.plus(*length));
        let secret = |(name, sealed): (&String, &Sealed)| name.len() + secret::length(sealed);
        all_headers.fixed += target.secret_headers.iter().map(secret).sum::<usize>();
        all_headers.fixed += match &target.auth {
            Auth::None => 0,
            Auth::Basic { username, password } => {
                let pair = username.len() + 1 + secret::length(password);
                "authorization".len() + "Basic ".len() + pair.div_ceil(3) * 4
            }
            Auth::Bearer { token } => {
                "authorization".len() + "Bearer ".len() + secret::length(token)
            }
        };
        let place = if template.json { Place::Json } else { Place::Plain };
        let body = match &target.body {
            _ if !template.takes_body() => Length::default(),
            None => Length { fixed: 0, times: template.sends_data().into() },
            Some(body) => Length::of(body, (Place::Plain, place)),
        };
        let fills_path = !template.filled.is_empty();
        Ok(Self { url: whole, headers, all_headers, body: (body, place), fills_path })
    }

    /// Checks that URL and headers keep their bounds with empty data. A target that does not fits
    /// no job at all.
    pub fn check(&self) -> Result<(), Bound> {
        self.check_lengths("", usize::MAX)
    }

    /// The most bytes that a body with this data can have.
    pub fn body(&self, data: &str) -> usize {
        self.body.0.with(self.body.1.length(data))
    }

    /// Checks that the requests of a job with this data can be sent. `max_body` is the most bytes
    /// of a body, and `target` the target that these are the sizes of.
    pub fn check_data(
        &self,
        target: &HttpTarget,
        data: &str,
        max_body: usize,
    ) -> Result<(), Error> {
        self.check_lengths(data, max_body).map_err(Error::TooLong)?;
        let breaks = |byte: u8| byte != b'\t' && byte.is_ascii_control();
        if let Some((name, _)) = self.headers.iter().find(|(_, length)| length.times > 0)
            && data.bytes().any(breaks)
        {
            return Err(Error::Header(name.clone()));
        }
        // Only an empty value or one of dots alone leads elsewhere, see `RequestTemplate::url`.
        if self.fills_path && data.bytes().all(|byte| byte == b'.') {
            let fill = Fill {
                execution_id: EXECUTION_ID,
                job: JobId::MAX,
                scheduled: INSTANT,
                attempt: u32::MAX,
                data,
            };
            RequestTemplate::new(target, usize::MAX)?.url(&fill)?;
        }
        Ok(())
    }

    fn check_lengths(&self, data: &str, max_body: usize) -> Result<(), Bound> {
        // Data is measured only if it is filled in.
        let long = |length: Length, place: Place, max: usize| {
            length.fixed > max || (length.times > 0 && length.with(place.length(data)) > max)
        };
        if long(self.url, Place::Url, MAX_URL) {
            return Err(Bound::Url);
        }
        let too_long = |(_, length): &&(String, Length)| long(*length, Place::Plain, MAX_HEADER);
        if let Some((name, _)) = self.headers.iter().find(too_long) {
            return Err(Bound::Header(name.clone()));
        }
        if long(self.all_headers, Place::Plain, MAX_HEADERS) {
            return Err(Bound::Headers);
        }
        if long(self.body.0, self.body.1, max_body) {
            return Err(Bound::Body(max_body));
        }
        Ok(())
    }
}
