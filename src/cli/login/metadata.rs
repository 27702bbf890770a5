//! The metadata of a provider (OpenID Connect Discovery 1.0, section 3; RFC 8414; RFC 8628, section
//! 4), as far as a login needs them. Pure: `provider` fetches them.

use serde::Deserialize;

use super::endpoint::endpoint;

/// The metadata of a provider, checked: each endpoint is https, or http on this machine.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) device_authorization_endpoint: Option<String>,
    pub(super) revocation_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    /// It names itself in its answers to the browser (RFC 9207).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// The URL of the metadata of an issuer.
    pub(super) fn url(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }

    /// Reads the metadata of an issuer.
    ///
    /// # Errors
    ///
    /// A half sentence that says what is wrong, and the way out.
    pub(super) fn read(issuer: &str, json: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(json).map_err(|e| {
            format!(
                "has no metadata of OpenID Connect at {} ({e}): check --issuer",
                Self::url(issuer)
            )
        })?;
        if read.issuer != issuer {
            return Err(format!(
                "calls itself {:?}: use exactly that text as --issuer and in the node's OidcIssuers",
                read.issuer
            ));
        }
        let optional = [&read.device_authorization_endpoint, &read.revocation_endpoint];
        let endpoints = [&read.authorization_endpoint, &read.token_endpoint];
        for url in endpoints.into_iter().chain(optional.into_iter().flatten()) {
            endpoint(url).map_err(|what| format!("has an endpoint that is not safe: {what}"))?;
        }
        let methods = read.code_challenge_methods_supported.as_ref();
        if methods.is_some_and(|known| !known.iter().any(|method| method == "S256")) {
            let what = "does not know PKCE with S256, which a login needs: switch it on there";
            return Err(what.to_owned());
        }
        Ok(read)
    }

    /// Returns whether the secret of a client goes into the form: only where the provider names its
    /// methods, and Basic authorization, which is the default, is not among them.
    pub(super) fn wants_secret_in_form(&self) -> bool {
        let known = &self.token_endpoint_auth_methods_supported;
        !known.is_empty() && !known.iter().any(|method| method == "client_secret_basic")
    }

    /// The `scope` of a request: the given ones, else those of a session that can be refreshed.
    /// `openid` is always among them, since the `id_token` comes by it.
    pub(super) fn scope(&self, given: &[String]) -> String {
        let mut all = vec!["openid"];
        if given.is_empty() {
            let wanted = ["profile", "offline_access"];
            let is_known = |scope: &&str| self.scopes_supported.iter().any(|known| known == scope);
            all.extend(wanted.into_iter().filter(is_known));
        }
        all.extend(given.iter().map(String::as_str).filter(|scope| *scope != "openid"));
        all.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.example.com/realms/a";

    fn read(change: &Value) -> Result<Metadata, String> {
        let mut all = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.com/auth",
            "token_endpoint": "https://id.example.com/token",
        });
        let change = change.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(change);
        Metadata::read(ISSUER, all.to_string().as_bytes())
    }

    #[test]
    fn metadata_of_another_issuer_or_with_plain_endpoints_are_refused() {
        let url = "https://id.example.com/realms/a/.well-known/openid-configuration";
        assert_eq!(Metadata::url(ISSUER), url);
        assert_eq!(Metadata::url(&format!("{ISSUER}/")), url);
        assert!(read(&json!({})).is_ok());
        for (change, wanted) in [
            (json!({"issuer": "https://id.example.com/realms/a/"}), "use exactly that text"),
            (json!({"token_endpoint": "http://id.example.com/token"}), "https://"),
            (json!({"revocation_endpoint": "http://id.example.com/r"}), "https://"),
            (json!({"device_authorization_endpoint": "x"}), "no URL"),
            (json!({"token_endpoint": null}), "no metadata"),
            (json!({"code_challenge_methods_supported": ["plain"]}), "S256"),
        ] {
            let said = read(&change).unwrap_err();
            assert!(said.contains(wanted), "{change}: {said}");
        }
        assert!(read(&json!({"code_challenge_methods_supported": ["plain", "S256"]})).is_ok());
    }

    #[test]
    fn scopes_are_those_that_the_provider_has_or_the_given_ones() {
        let known = read(&json!({"scopes_supported": ["openid", "offline_access", "email"]}));
        let known = known.unwrap();
        assert_eq!(known.scope(&[]), "openid offline_access");
        assert_eq!(known.scope(&["jobs:read".into(), "openid".into()]), "openid jobs:read");
        assert_eq!(read(&json!({})).unwrap().scope(&[]), "openid");
    }

    #[test]
    fn a_secret_goes_as_basic_authorization_unless_the_provider_takes_it_in_the_form_only() {
        let wants = |methods: Value| {
            read(&json!({"token_endpoint_auth_methods_supported": methods}))
                .unwrap()
                .wants_secret_in_form()
        };
        assert!(!wants(json!([])) && !wants(json!(["client_secret_post", "client_secret_basic"])));
        assert!(wants(json!(["client_secret_post"])));
    }
}
