//! `ETag` and `If-Match`: a record's version goes out with it, and a change may name the version that
//! it was made for. Who changed something that has changed since gets 412 and reads it again.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::error::Error;
use super::state::AppState;
use crate::command::{Rejection, RejectionKind};

/// The versions that a request is meant for; `None`: whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IfMatch(Option<Vec<u64>>);

impl IfMatch {
    /// Reads the header. A tag that no record can have is no version, and so matches nothing.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(header::IF_MATCH).iter().peekable();
        if given.peek().is_none() {
            return Self(None);
        }
        let mut versions = Vec::new();
        for tag in given.flat_map(|line| line.as_bytes().split(|b| *b == b',')) {
            let tag = tag.trim_ascii();
            if tag == b"*" {
                return Self(None);
            }
            // A proxy that compresses makes tags weak; a version is the same for all that.
            let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
            let tag = tag.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(tag);
            let number = std::str::from_utf8(tag).ok().and_then(|text| text.parse::<u64>().ok());
            versions.extend(number);
        }
        Self(Some(versions))
    }

    /// Whether the caller named versions at all: then a change since is the caller's to settle.
    pub(super) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// The version that a deletion is meant for, if it is meant for one: by the record as it is, which
    /// `version` reads.
    pub(super) async fn expect(
        &self,
        app: &AppState,
        version: impl Future<Output = Result<u64, Error>>,
    ) -> Result<Option<u64>, Error> {
        if !self.is_given() {
            return Ok(None);
        }
        app.cluster.linearize().await?;
        let version = version.await?;
        self.check(version)?;
        Ok(Some(version))
    }

    /// 412 unless the request is meant for this version.
    pub(super) fn check(&self, version: u64) -> Result<(), Error> {
        if self.0.as_ref().is_none_or(|versions| versions.contains(&version)) {
            return Ok(());
        }
        let message = format!(
            "it is at version {version} now, which If-Match does not name: read it again and \
             repeat the change"
        );
        Err(Rejection { kind: RejectionKind::Stale, message }.into())
    }
}

/// Puts a record's version on the answer that shows it.
pub(super) fn tag(mut response: Response, version: u64) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_goes_through_for_the_versions_it_names() {
        for (given, version, wanted) in [
            (&[][..], 3, true),
            (&["\"3\""], 3, true),
            (&["\"2\""], 3, false),
            (&["W/\"3\""], 3, true),
            (&["3"], 3, true),
            (&["\"1\", \"3\""], 3, true),
            (&["\"1\"", "\"3\""], 3, true),
            (&["*"], 9, true),
            (&["\"1\", *"], 9, true),
            (&[""], 3, false),
            (&["\"abc\""], 3, false),
            (&["\"-3\""], 3, false),
        ] {
            let headers = given.iter().map(|v| (header::IF_MATCH, HeaderValue::from_static(v)));
            let condition = IfMatch::of(&headers.collect());
            assert_eq!(condition.check(version).is_ok(), wanted, "{given:?}");
        }
        let stale = IfMatch(Some(vec![1])).check(2).unwrap_err();
        assert_eq!(stale.status(), 412);
        let response = tag(super::super::reply::no_content(), 7);
        assert_eq!(response.headers()[header::ETAG], "\"7\"");
    }
}
