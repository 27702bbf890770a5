//! `ETag` and the preconditions of RFC 9110, section 13: answers show a record's version, and a
//! request may name the versions that it is meant for. Every route of a versioned record reads
//! them here; `app` checks them. There is no `Last-Modified`, so the two conditions on dates are
//! ignored, as the RFC says.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::Response;

use crate::api::http::error::Error;
use crate::app::conditions::{Conditions, NamedVersion, Versions};

/// The conditions that the headers of a request name. A tag that no record can have names no
/// version, and so matches nothing.
pub(crate) fn conditions(headers: &HeaderMap) -> Conditions {
    Conditions {
        if_match: versions(headers, &header::IF_MATCH),
        if_none_match: versions(headers, &header::IF_NONE_MATCH),
    }
}

/// The answer to a `GET`: the given response with its [`tag`], 304 where the client has that
/// version already, or 412.
pub(crate) fn answer(conditions: &Conditions, shown: Response) -> Result<Response, Error> {
    let Some(value) = shown.headers().get(header::ETAG).filter(|_| conditions.are_given()) else {
        return Ok(shown);
    };
    let Some(Listed::Tag(NamedVersion { version, .. })) = listed(value.as_bytes()).next() else {
        return Ok(shown);
    };
    conditions.check_match(Some(version))?;
    let known = conditions.if_none_match.as_ref().is_some_and(|tags| tags.include(version, false));
    Ok(if known { tag(StatusCode::NOT_MODIFIED.into_response(), version) } else { shown })
}

fn versions(headers: &HeaderMap, name: &HeaderName) -> Option<Versions> {
    let mut given = headers.get_all(name).iter().peekable();
    given.peek()?;
    let mut named = Vec::new();
    for listed in given.flat_map(|line| listed(line.as_bytes())) {
        match listed {
            Listed::Any => return Some(Versions::Any),
            Listed::Tag(tag) => named.push(tag),
        }
    }
    Some(Versions::Listed(named))
}

/// An element of a header's list.
enum Listed {
    /// `*`, without quotes.
    Any,
    /// A tag.
    Tag(NamedVersion),
}

/// The elements that a header's line lists, without tags that no record can have. Quotes may be
/// missing, as people forget them.
fn listed(line: &[u8]) -> impl Iterator<Item = Listed> + '_ {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_ascii_start();
            if let Some(next) = rest.strip_prefix(b",") {
                rest = next;
                continue;
            }
            if rest.is_empty() {
                return None;
            }
            let unweakened = rest.strip_prefix(b"W/");
            let text = unweakened.unwrap_or(rest);
            let quoted = text.strip_prefix(b"\"");
            let (opaque, end) = match quoted {
                Some(quoted) => {
                    let end = quoted.iter().position(|b| *b == b'"').unwrap_or(quoted.len());
                    (&quoted[..end], quoted.get(end + 1..).unwrap_or_default())
                }
                None => text.split_at(text.iter().position(|b| *b == b',').unwrap_or(text.len())),
            };
            rest = end;
            if opaque.trim_ascii() == b"*" && quoted.is_none() && unweakened.is_none() {
                return Some(Listed::Any);
            }
            let number = std::str::from_utf8(opaque.trim_ascii()).ok();
            if let Some(version) = number.and_then(|number| number.parse().ok()) {
                return Some(Listed::Tag(NamedVersion { version, weak: unweakened.is_some() }));
            }
        }
    })
}

/// Adds a record's version to the response that shows it.
pub(crate) fn tag(mut response: Response, version: u64) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ErrorKind;

    fn named(name: &HeaderName, given: &[&'static str]) -> Conditions {
        let headers = given.iter().map(|v| (name.clone(), HeaderValue::from_static(v)));
        conditions(&headers.collect())
    }

    #[test]
    fn a_write_goes_through_for_the_versions_it_names() {
        for (given, version, wanted) in [
            (&[][..], 3, true),
            (&["\"3\""], 3, true),
            (&["\"2\""], 3, false),
            (&["W/\"3\""], 3, false),
            (&["3"], 3, true),
            (&["\"1\", \"3\""], 3, true),
            (&["\"1\",W/\"2\" ,\"3\""], 3, true),
            (&["\"1\"", "\"3\""], 3, true),
            (&["*"], 9, true),
            (&["\"1\", *"], 9, true),
            (&["\"a\",* "], 9, true),
            (&["\"a,*,b\""], 9, false),
            (&["\"*\""], 9, false),
            (&["W/*"], 9, false),
            (&[""], 3, false),
            (&[",,"], 3, false),
            (&["\"abc\""], 3, false),
            (&["\"-3\""], 3, false),
            (&["\"a,3,b\""], 3, false),
            (&["\"3"], 3, true),
        ] {
            let condition = named(&header::IF_MATCH, given);
            assert_eq!(condition.check(Some(version)).is_ok(), wanted, "{given:?}");
            assert_eq!(condition.check(None).is_ok(), given.is_empty(), "{given:?}");
        }
        let stale = named(&header::IF_MATCH, &["\"1\""]).check(Some(2)).unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Stale);
    }

    #[test]
    fn a_write_that_wants_something_not_to_be_is_refused_where_it_is() {
        for (given, version, wanted) in [
            (&[][..], Some(3), true),
            (&["*"], Some(3), false),
            (&["*"], None, true),
            (&["\"3\""], Some(3), false),
            (&["W/\"3\""], Some(3), false),
            (&["\"2\", \"4\""], Some(3), true),
            (&["\"2\""], None, true),
            (&[""], Some(3), true),
        ] {
            let condition = named(&header::IF_NONE_MATCH, given);
            let checked = condition.check(version);
            assert_eq!(checked.is_ok(), wanted, "{given:?} {version:?}");
            assert!(checked.err().is_none_or(|error| error.kind() == ErrorKind::Stale));
        }
    }

    #[test]
    fn a_read_is_answered_by_the_order_of_the_rfc() {
        let shown = || tag(crate::api::http::respond::no_content(), 7);
        let answer = |conditions: &Conditions| match super::answer(conditions, shown()) {
            Ok(answer) => {
                assert_eq!(answer.headers()[header::ETAG], "\"7\"");
                answer.status().as_u16()
            }
            Err(error) => error.status().as_u16(),
        };
        for (if_match, if_none_match, status) in [
            (&[][..], &[][..], 204),
            (&[], &["\"7\""], 304),
            (&[], &["W/\"7\""], 304),
            (&[], &["*"], 304),
            (&[], &["\"6\""], 204),
            (&["\"7\""], &["\"7\""], 304),
            (&["\"6\""], &["\"7\""], 412),
            (&["\"7\""], &[], 204),
        ] {
            let both = Conditions {
                if_none_match: named(&header::IF_NONE_MATCH, if_none_match).if_none_match,
                ..named(&header::IF_MATCH, if_match)
            };
            assert_eq!(answer(&both), status, "{if_match:?} {if_none_match:?}");
        }
        let bare = crate::api::http::respond::no_content();
        let any = named(&header::IF_NONE_MATCH, &["*"]);
        assert_eq!(
            super::answer(&any, bare).unwrap().status(),
            204,
            "what has no version has no conditions"
        );
    }
}
