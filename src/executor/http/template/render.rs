//! The rendering of a request: each part of the target is filled in within its bound. The worker
//! makes a [`RequestTemplate`] once for the requests that go out together. It never logs what it
//! fills in.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use url::Url;
use zeroize::Zeroizing;

use super::error::{Bound, Error};
use super::{MAX_HEADER, MAX_HEADERS, MAX_URL};
use crate::executor::template::{Bounded, Fill, Full, Place, fill_in, is_json};
use crate::model::target::{Auth, HttpTarget};

/// The secrets of a target, in the clear.
#[derive(Clone, Default)]
pub struct Opened {
    /// The password or the token of its `auth`; `None` where it has none.
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

/// A rendered request, without the headers that all requests carry: see
/// [`overlay`](crate::executor::headers::overlay).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: String,
    /// The same URL, parsed.
    pub parsed: Url,
    /// The lines of the target, `content-type` (JSON or plain text, as the body is) and
    /// `authorization`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body. `GET` and `HEAD` never have one, `DELETE` only one of its own.
    pub body: Bytes,
}

/// A target, with the facts that are the same for all its requests.
#[derive(Debug)]
pub struct RequestTemplate<'t> {
    target: &'t HttpTarget,
    method: Method,
    /// The URL up to its fragment, with the placeholders as they stand.
    planned: Url,
    /// The number of segments of its path.
    depth: usize,
    /// The segments that something is filled into.
    pub(super) filled: Vec<usize>,
    /// Whether the body, as it is written, is JSON.
    pub(super) json: bool,
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
        // With a placeholder in its host the text is no URL.
        let planned = Url::parse(url).map_err(|_| Error::Url)?;
        let json = target.body.as_deref().is_some_and(|body| is_json(body.as_bytes()));
        let segments = planned.path_segments().into_iter().flatten().enumerate();
        // The parser has encoded the braces.
        let filled = segments.filter(|(_, text)| text.contains("%7B%7B")).map(|(i, _)| i);
        let (depth, filled) = (depth(&planned), filled.collect());
        Ok(Self { target, method, planned, depth, filled, json, max_body })
    }

    /// Renders the request of an occurrence.
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

    /// The headers of the target, and that of its `auth`.
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
                .map_err(|fault| Error::filling("headers", fault, beyond))?;
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

    /// The URL with its query. The host never comes from a placeholder.
    pub(super) fn url(&self, fill: &Fill<'_>) -> Result<(String, Url), Error> {
        let beyond = || Error::TooLong(Bound::Url);
        let (template, fragment) = parts(&self.target.url);
        let in_url = (Place::Plain, Place::Url);
        let mut out = Bounded::new(MAX_URL);
        fill_in(template, fill, in_url, &mut out)
            .map_err(|fault| Error::filling("url", fault, beyond))?;
        let mut mark = if template.contains('?') { "&" } else { "?" };
        for (name, value) in &self.target.query {
            let begun = |out: &mut Bounded| {
                out.push(mark)?;
                Place::Url.write(name, out)?;
                out.push("=")
            };
            begun(&mut out).map_err(|Full| beyond())?;
            fill_in(value, fill, (Place::Url, Place::Url), &mut out)
                .map_err(|fault| Error::filling("query", fault, beyond))?;
            mark = "&";
        }
        if let Some(fragment) = fragment {
            out.push("#").map_err(|Full| beyond())?;
            fill_in(fragment, fill, in_url, &mut out)
                .map_err(|fault| Error::filling("url", fault, beyond))?;
        }
        let text = out.into_text();
        if text == template {
            return Ok((text, self.planned.clone()));
        }
        let there = Url::parse(&text).map_err(|_| Error::Url)?;
        if there.scheme() != self.planned.scheme() || there.authority() != self.planned.authority()
        {
            return Err(Error::Url);
        }
        // The parser takes `.` and `..` out. In the middle this leaves fewer segments, at the end
        // an empty one.
        let segment = |place: &usize| there.path_segments().and_then(|mut all| all.nth(*place));
        if depth(&there) != self.depth || self.filled.iter().any(|place| segment(place) == Some(""))
        {
            return Err(Error::Path);
        }
        Ok((text, there))
    }

    /// Whether requests of the method may have a body.
    pub(super) fn takes_body(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Whether the body is the data of the job.
    pub(super) fn sends_data(&self) -> bool {
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
                // In a body that is JSON as written, placeholders stand in its strings.
                let place = if self.json { Place::Json } else { Place::Plain };
                fill_in(template, fill, (Place::Plain, place), &mut out)
                    .map_err(|fault| Error::filling("body", fault, beyond))?;
            }
        }
        let body = Bytes::from(out.into_text());
        let own = self.json && self.target.body.is_some() && self.takes_body();
        let json = own || (!body.is_empty() && is_json(&body));
        Ok((body, json))
    }
}

/// A URL up to its fragment, and the fragment.
pub(super) fn parts(url: &str) -> (&str, Option<&str>) {
    url.split_once('#').map_or((url, None), |(rest, fragment)| (rest, Some(fragment)))
}

fn depth(url: &Url) -> usize {
    url.path_segments().map_or(0, Iterator::count)
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
