//! The errors of a provider, each as a sentence with the way out. No message has a token in it.

/// The longest text of a provider that is shown, in characters.
const LONGEST_TEXT: usize = 300;

/// The reason why a provider gave no tokens.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ProviderError {
    /// It may answer later.
    #[error(
        "the provider {issuer} cannot be reached: {reason}; is this its address, and does the way \
         there need a proxy (HTTPS_PROXY) or a certificate authority (SSL_CERT_FILE)?"
    )]
    NoAnswer {
        /// The provider.
        issuer: String,
        /// The innermost cause.
        reason: String,
    },
    /// It refuses the request (RFC 6749, sections 4.1.2.1 and 5.2; RFC 8628, section 3.5).
    #[error("the provider says error={error}{description}: {}", way_out(.error))]
    Refused {
        /// The code.
        error: String,
        /// Its own words in parentheses after a blank, or nothing.
        description: String,
    },
    /// It answers what no provider may.
    #[error("the provider {issuer} {what}")]
    Unusable {
        /// The provider.
        issuer: String,
        /// What it does, and the way out.
        what: String,
    },
}

impl ProviderError {
    /// A refusal with the provider's own words, if it has some.
    pub(super) fn refused(error: &str, description: Option<&str>) -> Self {
        let short = |text: &str| text.chars().take(LONGEST_TEXT).collect::<String>();
        let description = description.filter(|text| !text.is_empty());
        let description = description.map(|text| format!(" ({})", short(text)));
        Self::Refused { error: short(error), description: description.unwrap_or_default() }
    }

    /// Returns whether the same request may succeed later.
    pub(in crate::cli) fn is_passing(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { error, .. } => {
                matches!(error.as_str(), "server_error" | "temporarily_unavailable")
            }
            Self::Unusable { .. } => false,
        }
    }

    /// The code of a refusal.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { error, .. } => Some(error),
            Self::NoAnswer { .. } | Self::Unusable { .. } => None,
        }
    }
}

/// What to do about the code of an error.
fn way_out(error: &str) -> &'static str {
    match error {
        "access_denied" => {
            "you, or a rule of the provider, said no; log in again and allow it, or ask who runs \
             the provider to let you use this client"
        }
        "invalid_client" | "unauthorized_client" => {
            "it does not know this client, or not for this flow; check --client-id and \
             --client-secret-file, and how the client is registered (docs/login.md)"
        }
        "redirect_uri_mismatch" | "invalid_redirect_uri" | "invalid_request" => {
            "check how the client is registered: it needs the redirect URI \
             http://localhost:5556/callback (with the port of --port)"
        }
        "unsupported_response_type" | "unsupported_grant_type" => {
            "switch this flow on for the client at the provider, or take the other one (--device, \
             or without it)"
        }
        "invalid_scope" => "name scopes that the provider gives to this client, with --scope",
        "invalid_grant" => {
            "what was sent is used up, revoked or too old; log in again (and compare the clocks, if \
             it happens each time)"
        }
        "expired_token" => "nobody entered the code in time; log in again, and enter the new code",
        "server_error" | "temporarily_unavailable" => "it is its own fault; try again later",
        _ => "the provider's log or documentation says what it means",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let said = ProviderError::refused("access_denied", Some("no way")).to_string();
        let begin = "the provider says error=access_denied (no way): you, or a rule";
        assert!(said.starts_with(begin), "{said}");
        let said = ProviderError::refused("invalid_request", None).to_string();
        assert!(said.contains("http://localhost:5556/callback"), "{said}");
        let long = ProviderError::refused(&"e".repeat(9_999), Some(&"d".repeat(9_999)));
        assert!(long.to_string().len() < 1_000);
        assert!(ProviderError::refused("x", Some("")).to_string().contains("error=x:"));
    }
}
