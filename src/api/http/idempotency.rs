//! `Idempotency-Key`: a request that is sent twice is carried out once. The header is read here;
//! `app::idempotency` has what follows.

use axum::http::HeaderMap;

use crate::api::http::error::Error;
use crate::app::Actor;
use crate::app::idempotency::Key;

const HEADER: &str = "idempotency-key";
/// The longest key, in bytes.
const LONGEST: usize = 255;

/// The key of a request, if it has one. `route` is a fixed text without the prefix.
pub(crate) fn key(
    headers: &HeaderMap,
    actor: &Actor,
    route: &str,
    body: &[u8],
) -> Result<Option<Key>, Error> {
    let Some(given) = headers.get(HEADER) else { return Ok(None) };
    let given = given.as_bytes();
    if given.is_empty() || given.len() > LONGEST {
        let message = format!("Idempotency-Key must have 1 to {LONGEST} characters");
        return Err(Error::bad_request(message));
    }
    Ok(Some(Key::new(actor, route, given, body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Caller;
    use crate::model::scope::Scopes;

    #[test]
    fn keys_of_different_callers_routes_and_bodies_differ() {
        let headers =
            |key: &str| HeaderMap::from_iter([(HEADER.parse().unwrap(), key.parse().unwrap())]);
        let client = |id| Actor::from(Caller::client_of_all(id, 1, Scopes::NONE));
        let operator = Actor::from(Caller::Operator);
        let of = |given: &str, actor: Actor, route, body: &str| {
            key(&headers(given), &actor, route, body.as_bytes()).unwrap().unwrap()
        };
        let one = of("k", client(1), "POST /jobs", "[]");
        assert_eq!(one, of("k", client(1), "POST /jobs", "[]"));
        let other_body = of("k", client(1), "POST /jobs", "[1]");
        assert!(one.key == other_body.key && one.body != other_body.body);
        for other in [
            of("k", client(2), "POST /jobs", "[]"),
            of("k", operator.clone(), "POST /jobs", "[]"),
            of("k", client(1), "POST /projects", "[]"),
            of("l", client(1), "POST /jobs", "[]"),
        ] {
            assert_ne!(one.key, other.key);
        }
        // The digests are in the logs of clusters: another form would carry a request out twice
        // that is sent again after an upgrade.
        let begins = |key: Key| (key.key[..8].to_vec(), key.body[..8].to_vec());
        let client = begins(of("k", client(7), "POST /jobs", "[]"));
        assert_eq!(client.0, 0xf33a_b9e7_3245_7f17_u64.to_be_bytes());
        assert_eq!(client.1, 0x4f53_cda1_8c2b_aa0c_u64.to_be_bytes());
        let operators = begins(of("k", operator.clone(), "POST /projects", "{}"));
        assert_eq!(operators.0, 0xfa94_4871_eb35_f14d_u64.to_be_bytes());
        assert_eq!(key(&HeaderMap::new(), &operator, "", b"").unwrap(), None);
        assert!(key(&headers(""), &operator, "", b"").is_err());
        assert!(key(&headers(&"k".repeat(256)), &operator, "", b"").is_err());
    }
}
