//! A request as it goes out: the parts of a call, and the lines that HTTP wants beside them.
//! `client` makes it anew each time that it is sent. Nothing here knows of connections.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT,
};
use hyper::http::uri::InvalidUri;
use hyper::{Method, Request, Uri};
use url::{Position, Url};

use super::deferred_body::DeferredBody;
use crate::delivery::call_checks::SendCheck;
use crate::executor::outbound::guard::TargetGuard;
use crate::model::ProjectId;

const PRODUCT: HeaderValue =
    HeaderValue::from_static(concat!("Scheduler0/", env!("CARGO_PKG_VERSION")));

/// The request of a call.
pub(super) struct OutgoingRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    /// The lines of the call.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    pub(super) project: ProjectId,
    /// Where it may go.
    pub(super) guard: TargetGuard,
    pub(super) check: Arc<SendCheck>,
}

/// The request line and the host: the same each time that a request is sent.
pub(super) struct RequestLine {
    uri: Uri,
    host: HeaderValue,
}

impl OutgoingRequest {
    /// The request line and the host; `whole` writes the URL as a proxy wants it (RFC 9112 3.2.2).
    pub(super) fn line(&self, whole: bool) -> Result<RequestLine, InvalidUri> {
        let from = if whole { Position::BeforeScheme } else { Position::BeforePath };
        let uri = Uri::try_from(&self.url[from..Position::AfterQuery])?;
        let host = &self.url[Position::BeforeHost..Position::AfterPort];
        // The host of a URL is a valid header value.
        let host = HeaderValue::from_str(host).unwrap_or_else(|_| HeaderValue::from_static(""));
        Ok(RequestLine { uri, host })
    }

    /// The request. It makes the lease check before its first byte, each time that it is sent.
    pub(super) fn request(
        &self,
        line: &RequestLine,
        credentials: Option<&HeaderValue>,
    ) -> Request<DeferredBody> {
        // These methods state a length, even if it is 0.
        let states_length = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        let body = DeferredBody::new(self.body.clone(), states_length, Arc::clone(&self.check));
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = line.uri.clone();
        *request.headers_mut() = self.lines(line, credentials);
        request
    }

    fn lines(&self, line: &RequestLine, credentials: Option<&HeaderValue>) -> HeaderMap {
        // Room for the lines below, and for the length that HTTP/1 adds.
        let mut lines = HeaderMap::with_capacity(self.headers.len() + 5);
        lines.insert(HOST, line.host.clone());
        for (name, value) in &self.headers {
            lines.insert(name.clone(), value.clone());
        }
        lines.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        lines.entry(USER_AGENT).or_insert(PRODUCT);
        if let Some(credentials) = credentials {
            lines.insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        lines
    }
}
