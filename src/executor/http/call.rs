//! A call: a ready request with its limits and checks. The worker makes it; `executor` carries it
//! out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use super::tls::Identity;
use crate::delivery::call_checks::{BeforeSend, Unwanted};
use crate::delivery::destination::Limits;
use crate::model::ProjectId;

/// A ready request.
pub struct Call {
    /// `POST` unless the target names another one.
    pub method: Method,
    /// The URL: `http` or `https`.
    pub url: Arc<str>,
    /// The same URL, where it is parsed already.
    pub parsed: Option<Url>,
    /// The lines that [`headers::headers`](super::headers::headers) made, and the signature.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A payload chunk, or what was rendered; empty for none.
    pub body: Bytes,
    /// The project of its jobs. A destination may ask one project to wait and not another.
    pub project: ProjectId,
    /// Whether it goes out although its destination keeps failing.
    pub probe: bool,
    /// The limits of the target.
    pub limits: Limits,
    /// Overrides the timeout of the executor.
    pub timeout: Option<Duration>,
    /// The statuses that count as success; empty means 2xx.
    pub success_codes: Arc<[u16]>,
    /// Whether it is for several jobs. Its answer may name some of them, so all of it is wanted.
    pub batch: bool,
    /// The TLS of the target; `None` for that of the machine.
    pub tls: Option<Arc<Identity>>,
    /// The lease check.
    pub before_send: BeforeSend,
    /// Ends the call while it hangs, where its jobs are deleted.
    pub unwanted: Option<Unwanted>,
}

impl Call {
    /// A POST with the timeout of the executor, for which a 2xx is a success.
    pub fn new(
        url: Arc<str>,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        before_send: impl FnMut() -> bool + Send + 'static,
    ) -> Self {
        Self {
            method: Method::POST,
            url,
            parsed: None,
            headers,
            body,
            project: 0,
            probe: false,
            limits: Limits::default(),
            timeout: None,
            success_codes: Arc::default(),
            batch: false,
            tls: None,
            before_send: Box::new(before_send),
            unwanted: None,
        }
    }
}
