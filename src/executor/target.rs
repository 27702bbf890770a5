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

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::de::IgnoredAny;
use url::Url;
use zeroize::Zeroizing;

use crate::model::target::{Auth, HttpTarget};
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};

/// What is filled in at sending, by name.
pub const PLACEHOLDERS: [&str; 5] = ["executionId", "jobId", "scheduledAt", "attempt", "data"];

/// What stands for a literal `{{`.
pub const LITERAL: &str = "{{{{}}";

/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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

/// What was sealed in the target: the password or the token of its `auth`, in the clear.
#[derive(Clone, Default)]
pub struct Opened {
    /// `None` where `auth` is none.
    pub secret: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("secret", &self.secret.is_some()).finish()
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

/// Why a target cannot be rendered. No message shows what was filled in, or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A method that HTTP does not have.
    #[error("http.method is not valid: use GET, POST, PUT, PATCH, DELETE or HEAD")]
    Method,
    /// Something in double braces that nobody fills in.
    #[error("http.{field}: nobody fills in {{{{{name}}}}}")]
    Placeholder {
        /// The part of the target.
        field: &'static str,
        /// What stands in the braces.
        name: String,
    },
    /// Not a URL, or a placeholder in its host.
    #[error("http.url is not valid: it must be a URL with placeholders in path and query only")]
    Url,
    /// What was filled in is `.` or `..`, and would lead elsewhere.
    #[error("http.url: what is filled in would leave its place in the path")]
    Path,
    /// A header that cannot be sent.
    #[error("http.headers: {0} would not be one line of text")]
    Header(String),
    /// A target with `auth`, and no secret to it.
    #[error("http.auth: its secret could not be opened")]
    Secret,
}

/// A target, and what is the same in all its requests: made once for those that go out together.
#[derive(Debug)]
pub struct Template<'t> {
    target: &'t HttpTarget,
    method: Method,
    /// The URL up to its fragment, with the placeholders as they stand ...
    planned: Url,
    /// ... and how many segments its path has.
    depth: usize,
    /// Whether the body, as it is written, is JSON.
    json: bool,
}

impl<'t> Template<'t> {
    /// Reads a target.
    pub fn new(target: &'t HttpTarget) -> Result<Self, Error> {
        let method = match target.method.as_str() {
            "" => Method::POST,
            name => Method::from_bytes(name.to_ascii_uppercase().as_bytes())
                .map_err(|_| Error::Method)?,
        };
        let (url, _) = parts(&target.url);
        // With a placeholder in its host the template is no URL.
        let planned = Url::parse(url).map_err(|_| Error::Url)?;
        let json = target.body.as_deref().is_some_and(|body| is_json(body.as_bytes()));
        Ok(Self { target, method, depth: depth(&planned), planned, json })
    }

    /// Fills it in.
    pub fn render(&self, fill: &Fill<'_>, opened: &Opened) -> Result<Rendered, Error> {
        let target = self.target;
        let (url, parsed) = self.url(fill)?;
        let (body, json) = self.body(fill)?;
        let mut headers = Vec::with_capacity(target.headers.len() + 2);
        for (name, value) in &target.headers {
            let wrong = || Error::Header(name.clone());
            let value = filled("headers", value, fill, plain)?;
            let line = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            headers.push((line, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?));
        }
        let typed = |name: &String| name.eq_ignore_ascii_case("content-type");
        if !body.is_empty() && !target.headers.keys().any(typed) {
            let kind = if json { "application/json" } else { "text/plain; charset=utf-8" };
            headers.push((CONTENT_TYPE, HeaderValue::from_static(kind)));
        }
        if let Some(line) = authorization(&target.auth, opened)? {
            headers.push((AUTHORIZATION, line));
        }
        Ok(Rendered { method: self.method.clone(), url, parsed, headers, body })
    }

    /// The URL with its query; the host never comes from a placeholder.
    fn url(&self, fill: &Fill<'_>) -> Result<(Arc<str>, Url), Error> {
        let (template, fragment) = parts(&self.target.url);
        let mut text = filled("url", template, fill, encode)?;
        let mut mark = if template.contains('?') { '&' } else { '?' };
        for (name, value) in &self.target.query {
            let value = filled("query", value, fill, plain)?;
            text.push(mark);
            // Writing to a String cannot fail.
            let _ = write!(text, "{}={}", encode(name), encode(&value));
            mark = '&';
        }
        if let Some(fragment) = fragment {
            text.push('#');
            text.push_str(&filled("url", fragment, fill, encode)?);
        }
        if text == template {
            return Ok((text.into(), self.planned.clone()));
        }
        let there = Url::parse(&text).map_err(|_| Error::Url)?;
        if there.scheme() != self.planned.scheme() || there.authority() != self.planned.authority()
        {
            return Err(Error::Url);
        }
        if depth(&there) != self.depth {
            return Err(Error::Path);
        }
        Ok((text.into(), there))
    }

    /// The body, and whether it is JSON.
    fn body(&self, fill: &Fill<'_>) -> Result<(Bytes, bool), Error> {
        if matches!(self.method, Method::GET | Method::HEAD) {
            return Ok((Bytes::new(), false));
        }
        let body: Bytes = match &self.target.body {
            None if self.method == Method::DELETE => return Ok((Bytes::new(), false)),
            None => Bytes::copy_from_slice(fill.data.as_bytes()),
            // What is filled in stands in its strings, and stays there.
            Some(template) if self.json => {
                return Ok((filled("body", template, fill, inside_json)?.into(), true));
            }
            Some(template) => filled("body", template, fill, plain)?.into(),
        };
        let json = is_json(&body);
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

fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, ENCODED).into()
}

fn plain(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

/// A text as it stands within a JSON string.
fn inside_json(text: &str) -> Cow<'_, str> {
    let quoted = serde_json::Value::from(text).to_string();
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
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

/// A template with its placeholders replaced, each as `place` writes it.
fn filled(
    field: &'static str,
    template: &str,
    fill: &Fill<'_>,
    place: impl Fn(&str) -> Cow<'_, str>,
) -> Result<String, Error> {
    let unknown = |name: &str| {
        let name = name.chars().take(40).collect();
        Err(Error::Placeholder { field, name })
    };
    let mut text = String::with_capacity(template.len() + 32);
    for piece in pieces(template) {
        let name = match piece {
            Piece::Text(plain) => {
                text.push_str(plain);
                continue;
            }
            Piece::Name(name) => name,
            Piece::Unclosed(rest) => return unknown(rest),
        };
        match name {
            OPEN => text.push_str(&place(OPEN)),
            "executionId" => text.push_str(&place(fill.execution_id)),
            "jobId" => text.push_str(&place(&fill.job.to_string())),
            "scheduledAt" => text.push_str(&place(&rfc3339(fill.scheduled))),
            "attempt" => text.push_str(&place(&fill.attempt.to_string())),
            "data" => text.push_str(&place(fill.data)),
            _ => return unknown(name),
        }
    }
    Ok(text)
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

const OPEN: &str = "{{";

/// A part of a template.
enum Piece<'t> {
    /// As it stands.
    Text(&'t str),
    /// What is in double braces.
    Name(&'t str),
    /// What follows double braces that are not closed.
    Unclosed(&'t str),
}

/// A template's pieces, in order.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
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
    use super::*;
    use crate::model::target::Sealed;

    const FILL: Fill<'_> = Fill {
        execution_id: "c1-4d-19aa0",
        job: 77,
        scheduled: 1_763_700_000_000,
        attempt: 2,
        data: "a/b \"q\"\n?",
    };

    fn render(target: &HttpTarget, fill: &Fill<'_>, with: &Opened) -> Result<Rendered, Error> {
        let done = Template::new(target)?.render(fill, with)?;
        assert_eq!(done.parsed, Url::parse(&done.url).unwrap());
        Ok(done)
    }

    fn to(url: &str) -> HttpTarget {
        HttpTarget { method: "POST".to_owned(), url: url.to_owned(), ..HttpTarget::default() }
    }

    fn rendered(target: &HttpTarget) -> Rendered {
        render(target, &FILL, &Opened::default()).unwrap()
    }

    fn refused(target: &HttpTarget, data: &str) -> Error {
        render(target, &Fill { data, ..FILL }, &Opened::default()).unwrap_err()
    }

    fn lines<const N: usize>(of: [(&str, &str); N]) -> std::collections::BTreeMap<String, String> {
        of.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn a_url_is_filled_in_piece_by_piece_and_its_query_appended() {
        for (url, expected) in [
            ("http://h/x", "http://h/x?k%26=v%20c1-4d-19aa0"),
            ("http://h/x?a=b", "http://h/x?a=b&k%26=v%20c1-4d-19aa0"),
            ("http://h:8/{{data}}", "http://h:8/a%2Fb%20%22q%22%0A%3F?k%26=v%20c1-4d-19aa0"),
            (
                "http://h?at={{scheduledAt}}",
                "http://h?at=2025-11-21T04%3A40%3A00Z&k%26=v%20c1-4d-19aa0",
            ),
            ("http://h/{{jobId}}.{{attempt}}#a", "http://h/77.2?k%26=v%20c1-4d-19aa0#a"),
        ] {
            let mut target = to(url);
            target.query = lines([("k&", "v {{executionId}}")]);
            assert_eq!(&*rendered(&target).url, expected, "{url}");
        }
    }

    #[test]
    fn what_is_filled_in_leads_nowhere_else() {
        assert_eq!(refused(&to("http://h/a/{{data}}/b"), ".."), Error::Path);
        assert_eq!(refused(&to("http://h/a/{{data}}./b"), "."), Error::Path);
        assert!(
            render(&to("http://h/{{data}}/b"), &Fill { data: "...", ..FILL }, &Opened::default())
                .is_ok()
        );
        for url in ["http://{{data}}/", "http://h{{jobId}}/", "http://h:{{jobId}}/", "nonsense"] {
            assert_eq!(refused(&to(url), "evil.example"), Error::Url, "{url}");
        }
        // Not even by what looks like user information.
        let harmless = &to("http://h/{{data}}");
        let url = render(harmless, &Fill { data: "@evil.example/", ..FILL }, &Opened::default());
        assert_eq!(&*url.unwrap().url, "http://h/%40evil.example%2F");
    }

    #[test]
    fn a_body_that_is_json_stays_json_and_any_other_is_text() {
        for (template, expected) in [
            (r#"{"n":"{{attempt}}","t":"{{data}}"}"#, r#"{"n":"2","t":"a/b \"q\"\n?"}"#),
            (r#"{"n":{{attempt}}}"#, r#"{"n":2}"#),
            ("{{data}}!", "a/b \"q\"\n?!"),
            ("", ""),
        ] {
            let target = HttpTarget { body: Some(template.to_owned()), ..to("http://h") };
            assert_eq!(rendered(&target).body, expected, "{template}");
        }
        assert_eq!(rendered(&to("http://h")).body, FILL.data, "without one the data is sent");
    }

    #[test]
    fn the_content_type_says_what_the_body_is() {
        let kind = |target: &HttpTarget, data: &str| {
            let done = render(target, &Fill { data, ..FILL }, &Opened::default()).unwrap();
            let line = done.headers.iter().find(|(n, _)| *n == CONTENT_TYPE);
            line.map(|(_, v)| v.to_str().unwrap().to_owned())
        };
        let target = to("http://h");
        assert_eq!(kind(&target, "{\"a\":1}").as_deref(), Some("application/json"));
        assert_eq!(kind(&target, "a=1").as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(kind(&target, ""), None);
        let own = HttpTarget { headers: lines([("Content-Type", "text/csv")]), ..target };
        assert_eq!(kind(&own, "a;1").as_deref(), Some("text/csv"));
    }

    #[test]
    fn some_methods_have_no_body() {
        for (method, own, length) in [
            ("GET", true, 0),
            ("head", true, 0),
            ("DELETE", false, 0),
            ("DELETE", true, 1),
            ("PUT", true, 1),
        ] {
            let body = own.then(|| "x".to_owned());
            let target = HttpTarget { method: method.to_owned(), body, ..to("http://h") };
            let done = rendered(&target);
            assert_eq!((done.method.as_str(), done.body.len()), (&*method.to_uppercase(), length));
        }
        let odd = HttpTarget { method: "G ET".to_owned(), ..to("http://h") };
        assert_eq!(refused(&odd, ""), Error::Method);
    }

    #[test]
    fn header_lines_are_one_line() {
        let target = HttpTarget { headers: lines([("X-Data", "<{{data}}>")]), ..to("http://h/") };
        let done = render(&target, &Fill { data: "grün", ..FILL }, &Opened::default());
        assert!(done.is_ok_and(|d| d.headers.iter().any(|(n, v)| n == "x-data" && !v.is_empty())));
        for data in ["a\r\nhost: evil", "a\nb", "\0", "\u{7f}"] {
            assert_eq!(refused(&target, data), Error::Header("X-Data".to_owned()), "{data:?}");
        }
    }

    #[test]
    fn the_secret_goes_into_one_line_and_nowhere_else() {
        let sealed = || Sealed("sealed".to_owned());
        let opened = |s: &str| Opened { secret: Some(Zeroizing::new(s.to_owned())) };
        let basic = Auth::Basic { username: "Aladdin".to_owned(), password: sealed() };
        let basic = HttpTarget { auth: basic, ..to("http://h/") };
        let bearer = HttpTarget { auth: Auth::Bearer { token: sealed() }, ..to("http://h/") };
        for (target, secret, expected) in [
            (&basic, "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            (&bearer, "hunter2", "Bearer hunter2"),
        ] {
            let done = render(target, &FILL, &opened(secret)).unwrap();
            let line = done.headers.iter().find(|(n, _)| *n == AUTHORIZATION).unwrap();
            assert_eq!(line.1.to_str().unwrap(), expected);
            let shown = format!("{done:?} {:?}", opened(secret));
            assert!(!shown.contains(secret) && !shown.contains(expected), "{shown}");
            assert_eq!(refused(target, ""), Error::Secret);
        }
        let error = render(&bearer, &FILL, &opened("hunter2\n")).unwrap_err().to_string();
        assert!(error.contains("authorization") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn double_braces_can_be_meant_as_they_are() {
        let target = HttpTarget {
            body: Some(r#"{"t":"{{{{}}data}} {{data}} }} {{{{}}"}"#.to_owned()),
            headers: lines([("X-T", "{{{{}}{{attempt}}}}")]),
            query: lines([("q", "{{{{}}")]),
            ..to("http://h/{{{{}}/{{jobId}}")
        };
        let done = rendered(&target);
        assert_eq!(done.body, r#"{"t":"{{data}} a/b \"q\"\n? }} {{"}"#);
        assert_eq!(&*done.url, "http://h/%7B%7B/77?q=%7B%7B");
        assert!(done.headers.iter().any(|(n, v)| n == "x-t" && v == "{{2}}"), "{done:?}");
        assert_eq!(unknown("{{{{}} {{data}} }}"), [""; 0]);
        assert_eq!(unknown("{{a}}{{data}}{{ data }} {{{{}}x}} {{"), ["a", " data ", ""]);
    }

    #[test]
    fn what_nobody_fills_in_is_an_error() {
        let target = HttpTarget { body: Some("{{Data}}".to_owned()), ..to("http://h/") };
        let error = refused(&target, "");
        assert_eq!(error.to_string(), "http.body: nobody fills in {{Data}}");
        assert!(matches!(refused(&to("http://h/{{data"), ""), Error::Placeholder { .. }));
        for name in PLACEHOLDERS {
            let target = HttpTarget { body: Some(format!("{{{{{name}}}}}")), ..to("http://h/") };
            assert!(!rendered(&target).body.is_empty(), "{name}");
        }
    }
}
