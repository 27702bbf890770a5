//! An issuer of access tokens as the configuration names it. `oidc` reads it, `auth::oidc` verifies
//! tokens by it.

use url::{Host, Url};

/// The claims with scopes where an entry names none: RFC 9068 2.2.3, and what others use.
const SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];

/// An issuer whose access tokens are accepted, and the terms under which they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcIssuer {
    /// The issuer identifier. `iss` of a token, and `issuer` of the discovery document, must be
    /// this text, byte by byte (OpenID Connect Discovery 1.0, 4.3).
    pub issuer: String,
    /// A token is for this node where one of its `aud` is among these ...
    pub audiences: Vec<String>,
    /// ... or where the client that it was issued to (`azp`, else `client_id`) is among these. One
    /// of both lists has an entry.
    pub clients: Vec<String>,
    /// The claims that hold scopes; at least one.
    pub scope_claims: Vec<String>,
    /// The claims that hold roles, as paths (`realm_access.roles`).
    pub role_claims: Vec<String>,
    /// The client by which the command line signs in.
    pub client_id: Option<String>,
    /// Whether tokens may have the scopes of the cluster.
    pub allow_cluster: bool,
}

impl OidcIssuer {
    /// An issuer with these terms, and the usual claims.
    pub fn new(issuer: impl Into<String>, audiences: Vec<String>, clients: Vec<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audiences,
            clients,
            scope_claims: SCOPE_CLAIMS.map(str::to_owned).to_vec(),
            role_claims: Vec::new(),
            client_id: None,
            allow_cluster: false,
        }
    }

    /// The address of something of an issuer, if keys may be fetched there: https, or http on the
    /// loopback, without a name and a password in it.
    pub fn address(text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let is_local = match url.host()? {
            Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        };
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
        let is_plain = url.username().is_empty() && url.password().is_none();
        (is_safe && is_plain && url.fragment().is_none()).then_some(url)
    }
}
