//! A request of a form to the API's own router, in this process: with the session of who sends the
//! form, so that it may do what they may. The answer is read up to a bound.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, header};
use futures_util::StreamExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tower::ServiceExt;
use url::form_urlencoded;

use crate::api::RoutePrefix;
use crate::api::openapi::Operation;
use crate::listen::Connection;
use crate::ui::form::Form;
use crate::ui::json_text::pretty;

/// The longest answer that is shown, in bytes.
const LONGEST: usize = 64 * 1_024;
/// The longest time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// The headers of the form's request by which the API knows who asks, and from where.
const HANDED_ON: [HeaderName; 4] =
    [header::COOKIE, header::HOST, header::ORIGIN, HeaderName::from_static("sec-fetch-site")];
/// The headers of an answer that are shown.
const SHOWN: [&str; 5] =
    ["content-type", "etag", "location", "retry-after", "x-scheduler0-warning"];

/// The router of the API, for requests in this process.
#[derive(Clone)]
pub(crate) struct InProcess(pub(crate) Router);

/// What a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    /// Path and query, with the prefix.
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// There is more than is shown.
    pub(crate) is_cut: bool,
    pub(crate) took: Duration,
}

/// The name of the field of a form for a parameter of the document.
pub(crate) fn field(parameter: &Value) -> String {
    let place = parameter["in"].as_str().unwrap_or_default();
    format!("{place}-{}", parameter["name"].as_str().unwrap_or_default())
}

/// The example of a parameter as text; empty where it has none.
pub(crate) fn example(parameter: &Value) -> String {
    match &parameter["example"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.first().and_then(Value::as_str).unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

/// The parameters of an operation.
pub(crate) fn parameters(operation: &Operation) -> &'static [Value] {
    operation.json()["parameters"].as_array().map_or(&[], Vec::as_slice)
}

/// The example body of an operation, indented.
pub(crate) fn example_body(operation: &Operation) -> String {
    let media = &operation.json()["requestBody"]["content"]["application/json"];
    if media["example"].is_null() { String::new() } else { format!("{:#}", media["example"]) }
}

/// Says whether the example of an operation only counts what it would change.
pub(crate) fn is_dry_run(operation: &Operation) -> bool {
    let media = &operation.json()["requestBody"]["content"]["application/json"];
    media["example"]["dryRun"] == true
}

impl Asked {
    /// The request of a form.
    pub(crate) fn of(operation: &Operation, form: &Form) -> Self {
        let mut path = operation.path.to_owned();
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut headers = Vec::new();
        for parameter in parameters(operation) {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = form.text(&field(parameter)).unwrap_or_default();
            match parameter["in"].as_str() {
                Some("path") => {
                    let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
                    path = path.replace(&format!("{{{name}}}"), &encoded);
                }
                _ if value.is_empty() => {}
                Some("query") => {
                    query.append_pair(name, value);
                }
                _ => headers.push((name.to_owned(), value.to_owned())),
            }
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let body = form.raw("body").unwrap_or_default().trim().replace("\r\n", "\n");
        let prefix = if path == "/" { "" } else { RoutePrefix::ApiV1.as_str() };
        Self {
            method: operation.method,
            uri: format!("{prefix}{path}{mark}{query}"),
            headers,
            body,
        }
    }

    /// The same request as a command, for a client or for an operator.
    pub(crate) fn curl(&self, origin: &str, is_for_operators: bool) -> String {
        let who = if is_for_operators {
            "-u 'NAME:PASSWORD' -H 'x-peer: cmd'"
        } else {
            "-H 'x-api-key: …' -H 'x-secret-key: …'"
        };
        let mut command = format!(
            "curl -X {} {} \\\n  {who}",
            self.method,
            quoted(&format!("{origin}{}", self.uri))
        );
        for (name, value) in &self.headers {
            command.push_str(" \\\n  -H ");
            command.push_str(&quoted(&format!("{}: {value}", name.to_ascii_lowercase())));
        }
        if !self.body.is_empty() {
            command.push_str(" \\\n  -H 'content-type: application/json' \\\n  -d ");
            command.push_str(&quoted(&self.body));
        }
        command
    }

    /// Sends it as whoever sent the form; `None` where there is no such request, or no answer in
    /// time.
    pub(crate) async fn send(
        self,
        api: Router,
        headers: &HeaderMap,
        connection: Option<Connection>,
    ) -> Option<Answered> {
        let mut request = Request::builder().method(self.method).uri(&self.uri);
        for name in HANDED_ON {
            for value in headers.get_all(&name) {
                request = request.header(&name, value);
            }
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(connection) = connection {
            request = request.extension(connection);
        }
        let request = request.body(Body::from(self.body)).ok()?;
        let begin = Instant::now();
        let answered = async {
            let response = api.oneshot(request).await.unwrap_or_else(|never| match never {});
            let (parts, body) = response.into_parts();
            let (body, is_cut) = begin_of(body).await;
            let header = |name: &'static str| {
                let value = parts.headers.get(name)?.to_str().ok()?;
                Some((name, value.to_owned()))
            };
            let headers = SHOWN.into_iter().filter_map(header).collect();
            let status = parts.status.as_u16();
            Answered { status, headers, body, is_cut, took: begin.elapsed() }
        };
        tokio::time::timeout(PATIENCE, answered).await.ok()
    }
}

/// The begin of a body as text, and whether there is more of it.
async fn begin_of(body: Body) -> (String, bool) {
    let mut pieces = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(Ok(piece)) = pieces.next().await {
        read.extend_from_slice(&piece);
        if read.len() > LONGEST {
            read.truncate(LONGEST);
            return (String::from_utf8_lossy(&read).into_owned(), true);
        }
    }
    (indented(&String::from_utf8_lossy(&read)), false)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// JSON with lines and spaces between its values; another text as it is.
fn indented(text: &str) -> String {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json { pretty(text, usize::MAX) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::openapi::document;

    fn form(fields: &[(&str, &str)]) -> Form {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Form::of(fields.iter().map(own).collect())
    }

    #[test]
    fn a_form_becomes_a_request_whatever_is_in_it() {
        let operation = document().operation("putJobByName").unwrap();
        let given = form(&[
            ("path-id", "1"),
            ("path-external", "../a?b"),
            ("header-If-None-Match", "*"),
            ("body", "{\"data\": \"it's\"}"),
        ]);
        let asked = Asked::of(operation, &given);
        assert_eq!(asked.uri, "/api/v1/projects/1/jobs/by-external-id/%2E%2E%2Fa%3Fb");
        assert_eq!(asked.headers, [("If-None-Match".to_owned(), "*".to_owned())]);
        let curl = asked.curl("http://a:1", false);
        assert!(curl.contains("-d '{\"data\": \"it'\\''s\"}'"), "{curl}");
        assert!(curl.starts_with("curl -X PUT 'http://a:1/api/v1/projects/1/"), "{curl}");
        let list = document().operation("listJobs").unwrap();
        let asked = Asked::of(list, &form(&[("query-label", "a=b&c"), ("query-status", "")]));
        assert_eq!(asked.uri, "/api/v1/jobs?label=a%3Db%26c");
    }

    #[test]
    fn json_is_indented_and_nothing_of_it_changes() {
        let text = r#"{"z":1.0,"a":[1,{}],"t":"a{,\"b: c","e":[]}"#;
        let shown = indented(text);
        assert_eq!(
            shown,
            "{\n  \"z\": 1.0,\n  \"a\": [\n    1,\n    {}\n  ],\n  \"t\": \"a{,\\\"b: c\",\n  \"e\": []\n}"
        );
        assert_eq!(indented("no json"), "no json");
    }
}
