//! One request for one occurrence: a [`HttpTarget`] with everything filled in. Pure; the worker opens
//! the secret, renders right before it sends, and puts the result into a `Call`.
//!
//! `{{executionId}}`, `{{jobId}}`, `{{scheduledAt}}`, `{{attempt}}` and `{{data}}` are filled in where
//! they stand, each in the way of its place:
//!
//! | place | what is filled in |
//! |---|---|
//! | path, query and fragment of `url` | percent-encoded, so that it stays one path segment or one value |
//! | values of `query` | percent-encoded, as the rest of the value is |
//! | values of `headers` | as it is; a line break or another control character is an error |
//! | a `body` that is JSON as it is written | escaped, as the text of the JSON string that it stands in |
//! | any other `body` | as it is: `{"order": {{data}}}` takes data that is JSON itself |
//!
//! `{{{{}}` is a literal `{{`: it needs no character that JSON or a URL would escape.

mod error;
mod fill;
mod sizes;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::de::IgnoredAny;
use url::Url;
use zeroize::Zeroizing;

pub use self::error::{Bound, Error};
use self::fill::{Bounded, Full, OPEN, Piece, Place, fill_in, pieces};
pub use self::sizes::Sizes;
use crate::model::target::{Auth, HttpTarget};
use crate::model::{JobId, Millis};

/// The most bytes of a rendered URL, query and fragment included. Receivers commonly take 8,190
/// (httpd) to 32 kB (nginx) of a head.
pub const MAX_URL: usize = 16 * 1_024;
/// The most bytes of a rendered header, name and value.
pub const MAX_HEADER: usize = 8 * 1_024;
/// The most bytes of all headers of a target, names and values; ours are not counted.
pub const MAX_HEADERS: usize = 32 * 1_024;

/// What is filled in at sending, by name.
pub const PLACEHOLDERS: [&str; 5] = ["executionId", "jobId", "scheduledAt", "attempt", "data"];

/// What stands for a literal `{{`.
pub const LITERAL: &str = "{{{{}}";

/// What stands for the placeholders.
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
}

/// What was sealed in the target, in the clear.
#[derive(Clone, Default)]
pub struct Opened {
    /// The password or the token of its `auth`; `None` where that is none.
    pub secret: Option<Zeroizing<String>>,
    /// The values of its secret headers, by name.
    pub headers: BTreeMap<String, Zeroizing<String>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("secret", &self.secret.is_some())
            .field("headers", &self.headers.len())
            .finish()
    }
}

/// A request, but for the headers that all requests carry: see [`super::headers::overlay`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Arc<str>,
    /// The same, parsed.
    pub parsed: Url,
    /// The target's own lines, `content-type` (JSON or plain text, as the body is) and
    /// `authorization`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty when there is none: `GET` and `HEAD` never have one, `DELETE` only one of its own.
    pub body: Bytes,
}

/// A target, and what is the same in all its requests: made once for those that go out together.
#[derive(Debug)]
pub struct RequestTemplate<'t> {
    target: &'t HttpTarget,
    method: Method,
    /// The URL up to its fragment, with the placeholders as they stand ...
    planned: Url,
    /// ... how many segments its path has ...
    depth: usize,
    /// ... and which of them something is filled into.
    filled: Vec<usize>,
    /// Whether the body, as it is written, is JSON.
    json: bool,
    /// The most bytes of a body.
    max_body: usize,
}

impl<'t> RequestTemplate<'t> {
    /// Reads a target; `max_body` is the most bytes of a body.
    pub fn new(target: &'t HttpTarget, max_body: usize) -> Result<Self, Error> {
        let method = match target.method.as_str() {
            "" => Method::POST,
            name => Method::from_bytes(name.to_ascii_uppercase().as_bytes())
                .map_err(|_| Error::Method)?,
        };
        let (url, _) = parts(&target.url);
        // With a placeholder in its host the template is no URL.
        let planned = Url::parse(url).map_err(|_| Error::Url)?;
        let json = target.body.as_deref().is_some_and(|body| is_json(body.as_bytes()));
        let segments = planned.path_segments().into_iter().flatten().enumerate();
        // The parser has encoded the braces.
        let filled = segments.filter(|(_, text)| text.contains("%7B%7B")).map(|(i, _)| i);
        let (depth, filled) = (depth(&planned), filled.collect());
        Ok(Self { target, method, planned, depth, filled, json, max_body })
    }

    /// Fills it in.
    pub fn render(&self, fill: &Fill<'_>, opened: &Opened) -> Result<Rendered, Error> {
        let (url, parsed) = self.url(fill)?;
        let (body, json) = self.body(fill)?;
        let mut headers = self.headers(fill, opened)?;
        let typed = |name: &String| name.eq_ignore_ascii_case("content-type");
        let own = || self.target.headers.keys().chain(self.target.secret_headers.keys());
        if !body.is_empty() && !own().any(typed) {
            let kind = if json { "application/json" } else { "text/plain; charset=utf-8" };
            headers.push((CONTENT_TYPE, HeaderValue::from_static(kind)));
        }
        Ok(Rendered { method: self.method.clone(), url, parsed, headers, body })
    }

    /// The target's own headers, and that of its `auth`.
    fn headers(
        &self,
        fill: &Fill<'_>,
        opened: &Opened,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
        let target = self.target;
        let mut headers = Vec::with_capacity(target.headers.len() + 2);
        let authorization = authorization(&target.auth, opened)?;
        let mut left = MAX_HEADERS;
        if let Some(line) = &authorization {
            left = left.saturating_sub(AUTHORIZATION.as_str().len() + line.len());
        }
        for (name, value) in &target.headers {
            let wrong = || Error::Header(name.clone());
            let beyond = || {
                let all = left < MAX_HEADER;
                Error::TooLong(if all { Bound::Headers } else { Bound::Header(name.clone()) })
            };
            let room = MAX_HEADER.min(left).checked_sub(name.len()).ok_or_else(beyond)?;
            let mut out = Bounded::new(room);
            fill_in(value, fill, (Place::Plain, Place::Plain), &mut out)
                .map_err(|fault| fault.of("headers", beyond))?;
            let value = out.into_text();
            left -= name.len() + value.len();
            let line = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = HeaderValue::from_maybe_shared(Bytes::from(value)).map_err(|_| wrong())?;
            headers.push((line, value));
        }
        for name in target.secret_headers.keys() {
            let wrong = || Error::Header(name.clone());
            let value = opened.headers.get(name).ok_or(Error::Secret)?;
            let length = name.len() + value.len();
            if length > MAX_HEADER {
                return Err(Error::TooLong(Bound::Header(name.clone())));
            }
            left = left.checked_sub(length).ok_or(Error::TooLong(Bound::Headers))?;
            let line = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.push((line, value));
        }
        headers.extend(authorization.map(|line| (AUTHORIZATION, line)));
        Ok(headers)
    }

    /// The URL with its query; the host never comes from a placeholder.
    fn url(&self, fill: &Fill<'_>) -> Result<(Arc<str>, Url), Error> {
        let beyond = || Error::TooLong(Bound::Url);
        let (template, fragment) = parts(&self.target.url);
        let in_url = (Place::Plain, Place::Url);
        let mut out = Bounded::new(MAX_URL);
        fill_in(template, fill, in_url, &mut out).map_err(|fault| fault.of("url", beyond))?;
        let mut mark = if template.contains('?') { "&" } else { "?" };
        for (name, value) in &self.target.query {
            let begun = |out: &mut Bounded| {
                out.push(mark)?;
                Place::Url.write(name, out)?;
                out.push("=")
            };
            begun(&mut out).map_err(|Full| beyond())?;
            fill_in(value, fill, (Place::Url, Place::Url), &mut out)
                .map_err(|fault| fault.of("query", beyond))?;
            mark = "&";
        }
        if let Some(fragment) = fragment {
            out.push("#").map_err(|Full| beyond())?;
            fill_in(fragment, fill, in_url, &mut out).map_err(|fault| fault.of("url", beyond))?;
        }
        let text = out.into_text();
        if text == template {
            return Ok((text.into(), self.planned.clone()));
        }
        let there = Url::parse(&text).map_err(|_| Error::Url)?;
        if there.scheme() != self.planned.scheme() || there.authority() != self.planned.authority()
        {
            return Err(Error::Url);
        }
        // The parser takes `.` and `..` out: one in the middle leaves fewer segments, and one at the
        // end an empty one.
        let segment = |place: &usize| there.path_segments().and_then(|mut all| all.nth(*place));
        if depth(&there) != self.depth || self.filled.iter().any(|place| segment(place) == Some(""))
        {
            return Err(Error::Path);
        }
        Ok((text.into(), there))
    }

    /// Whether requests of its method may have a body.
    fn takes_body(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Whether the body is the job's data.
    fn sends_data(&self) -> bool {
        self.target.body.is_none() && self.takes_body() && self.method != Method::DELETE
    }

    /// The body, and whether it is JSON.
    fn body(&self, fill: &Fill<'_>) -> Result<(Bytes, bool), Error> {
        let beyond = || Error::TooLong(Bound::Body(self.max_body));
        let mut out = Bounded::new(self.max_body);
        match &self.target.body {
            _ if !self.takes_body() => {}
            None if !self.sends_data() => {}
            None => out.push(fill.data).map_err(|Full| beyond())?,
            Some(template) => {
                // In a body that is JSON as written, what is filled in stands in its strings, and
                // stays there.
                let place = if self.json { Place::Json } else { Place::Plain };
                fill_in(template, fill, (Place::Plain, place), &mut out)
                    .map_err(|fault| fault.of("body", beyond))?;
            }
        }
        let body = Bytes::from(out.into_text());
        let own = self.json && self.target.body.is_some() && self.takes_body();
        let json = own || (!body.is_empty() && is_json(&body));
        Ok((body, json))
    }
}

/// A URL up to its fragment, and that.
fn parts(url: &str) -> (&str, Option<&str>) {
    url.split_once('#').map_or((url, None), |(rest, fragment)| (rest, Some(fragment)))
}

fn depth(url: &Url) -> usize {
    url.path_segments().map_or(0, Iterator::count)
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

fn authorization(auth: &Auth, opened: &Opened) -> Result<Option<HeaderValue>, Error> {
    let secret = || opened.secret.as_ref().ok_or(Error::Secret);
    let line = match auth {
        Auth::None => return Ok(None),
        Auth::Basic { username, .. } => {
            let pair = Zeroizing::new(format!("{username}:{}", secret()?.as_str()));
            Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        }
        Auth::Bearer { .. } => Zeroizing::new(format!("Bearer {}", secret()?.as_str())),
    };
    let wrong = |_| Error::Header(AUTHORIZATION.to_string());
    let mut line = HeaderValue::from_str(&line).map_err(wrong)?;
    line.set_sensitive(true);
    Ok(Some(line))
}

/// What stands in double braces in a template and is nothing that can be filled in.
pub fn unknown(template: &str) -> Vec<&str> {
    let unknown = |piece| match piece {
        Piece::Text(_) => None,
        Piece::Name(name) => Some(name).filter(|n| *n != OPEN && !PLACEHOLDERS.contains(n)),
        Piece::Unclosed(rest) => Some(rest),
    };
    pieces(template).filter_map(unknown).collect()
}

#[cfg(test)]
mod tests;
