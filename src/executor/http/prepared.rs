//! A request of the HTTP kind, ready to go. `renderers` writes it, `send` completes it and hands it
//! to `run`. Data only.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use super::parts::Parts;
use crate::executor::outbound::guard;
use crate::executor::outbound::tls::Identity;
use crate::model::target_pattern::TargetPattern;

/// A request.
pub struct HttpRequest {
    pub(super) parts: Arc<Parts>,
    /// The method.
    pub method: Method,
    /// The URL, or why it is none.
    pub url: Result<Url, guard::Error>,
    /// The lines of the target, and from `complete` on all lines.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A payload chunk, or what was rendered; empty for none.
    pub body: Bytes,
    /// Whether it is for several jobs. Its answer may name some of them, so all of it is wanted.
    pub batch: bool,
    /// The statuses that count as success; empty means 2xx.
    pub success_codes: Arc<[u16]>,
    /// The TLS of the target; `None` for that of the machine.
    pub tls: Option<Arc<Identity>>,
    /// Where jobs of its project may call; `None` for everywhere that the node allows.
    pub allowed: Option<Arc<[TargetPattern]>>,
}
