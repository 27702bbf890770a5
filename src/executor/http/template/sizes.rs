//! The lengths of the parts of a request, as a function of the job's data. The api asks when a job
//! or an executor is created or changed, and refuses then what cannot be sent. Whatever is admitted
//! here can be rendered: the lengths are those of the longest ids, instants and numbers, and
//! [`RequestTemplate`] keeps the same bounds. Nothing is written to find a length.

use super::error::{Bound, Error};
use super::render::{RequestTemplate, parts};
use super::{MAX_HEADER, MAX_HEADERS, MAX_URL};
use crate::executor::template::{EXECUTION_ID, Fill, INSTANT, Length, Place};
use crate::model::JobId;
use crate::model::target::{Auth, HttpTarget, Sealed};
use crate::secret;

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
    /// Whether the type of a template is filled into the URL.
    names_template: bool,
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
        let names_template = target.url.contains("{{template}}");
        let body = (body, place);
        Ok(Self { url: whole, headers, all_headers, body, fills_path, names_template })
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

    /// Checks that the requests of a job can be sent that has this data and was made by a template
    /// of this type, which is empty for other jobs. `max_body` is the most bytes of a body, and
    /// `target` the target that these are the sizes of.
    pub fn check_data(
        &self,
        target: &HttpTarget,
        (data, template): (&str, &str),
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
        let leads_elsewhere = |text: &str| text.bytes().all(|byte| byte == b'.');
        if self.fills_path
            && (leads_elsewhere(data) || self.names_template && leads_elsewhere(template))
        {
            let fill = Fill {
                execution_id: EXECUTION_ID,
                job: JobId::MAX,
                scheduled: INSTANT,
                attempt: u32::MAX,
                data,
                template,
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
