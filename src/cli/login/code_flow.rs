//! The login in a browser: the authorization code flow (RFC 6749, section 4.1) with a proof key
//! (RFC 7636), `state` and `nonce`. The browser comes back to a port of this machine (RFC 8252).

use std::time::Duration;

use anyhow::{anyhow, bail};
use url::Url;

use super::callback::{Callback, CallbackPort};
use super::proof::{challenge, random_text};
use super::provider_error::ProviderError;
use super::request::LoginRequest;
use super::session::Tokens;
use crate::cli::browser;
use crate::cli::output::say;
use crate::secret::SecretText;

/// The longest time that a person may take.
const BROWSER_TIMEOUT: Duration = Duration::from_mins(3);

/// The values that the answer must fit.
struct Sent {
    state: SecretText,
    nonce: SecretText,
    verifier: SecretText,
    redirect_uri: String,
}

/// How the browser is used.
pub(super) struct BrowserLogin<'a> {
    /// The port that it comes back to; 0 is any free one.
    pub(super) port: u16,
    /// It is opened; else only the link is shown.
    pub(super) opens: bool,
    /// What the provider asks the person (OpenID Connect Core 1.0, section 3.1.2.1).
    pub(super) prompt: Option<&'a str>,
}

/// Logs in by a browser.
///
/// # Errors
///
/// Sentences for people: the port is taken, nobody came back, the provider refuses, or the answer
/// does not fit the request.
pub(super) async fn log_in(
    request: &LoginRequest,
    browser: &BrowserLogin<'_>,
) -> anyhow::Result<Tokens> {
    let mut port = CallbackPort::open(browser.port).await?;
    let redirect_uri = port.redirect_uri();
    let sent =
        Sent { state: random_text(), nonce: random_text(), verifier: random_text(), redirect_uri };
    let link = link(request, &sent, browser.prompt)?;
    if browser.opens && browser::open(link.as_str()) {
        say(&format!("opened in the browser (if not, open it yourself):\n\n  {link}\n"));
    } else {
        say(&format!("open this in a browser of this machine:\n\n  {link}\n"));
    }
    let answered = tokio::time::timeout(BROWSER_TIMEOUT, port.answer()).await;
    let Some(callback) = answered.ok().flatten() else {
        bail!(
            "nobody came back from the provider within {} minutes: log in again; where no browser \
             of this machine can be used, take --device",
            BROWSER_TIMEOUT.as_secs() / 60
        );
    };
    let outcome = finish(request, &sent, &callback).await;
    callback.show(&match &outcome {
        Ok(_) => "The provider has let you in. Go on in the terminal; you may close this page."
            .to_owned(),
        Err(error) => format!("The login has failed: {error:#}"),
    });
    port.close().await;
    outcome
}

/// The link to the provider.
fn link(request: &LoginRequest, sent: &Sent, prompt: Option<&str>) -> anyhow::Result<Url> {
    let mut link = Url::parse(&request.metadata.authorization_endpoint)?;
    link.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", request.client.id.as_str()),
        ("redirect_uri", sent.redirect_uri.as_str()),
        ("scope", request.scope.as_str()),
        ("state", &*sent.state),
        ("nonce", &*sent.nonce),
        ("code_challenge", challenge(&sent.verifier).as_str()),
        ("code_challenge_method", "S256"),
    ]);
    link.query_pairs_mut().extend_pairs(prompt.map(|prompt| ("prompt", prompt)));
    Ok(link)
}

/// Checks the answer, and exchanges its code for tokens.
async fn finish(
    request: &LoginRequest,
    sent: &Sent,
    callback: &Callback,
) -> anyhow::Result<Tokens> {
    let code = code(request, &sent.state, |name| callback.parameter(name))?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", sent.redirect_uri.as_str()),
        ("code_verifier", &*sent.verifier),
    ];
    request.accept(request.ask(&fields).await?, Some(&sent.nonce))
}

/// The code of an answer.
fn code<'c>(
    request: &LoginRequest,
    state: &str,
    parameter: impl Fn(&str) -> Option<&'c str>,
) -> anyhow::Result<SecretText> {
    if parameter("state") != Some(state) {
        bail!(
            "the browser brought the answer to another login (its state differs): close old pages \
             of the provider, and log in again with the new link"
        );
    }
    // RFC 9207, section 2.4: otherwise one provider could pass off the code of another.
    let issuer = request.provider.issuer();
    let is_named = request.metadata.authorization_response_iss_parameter_supported;
    match parameter("iss") {
        Some(named) if named != issuer => bail!(
            "the answer is of the provider {named:?}, not of {issuer}: log in again, and report it \
             to who runs the provider if it stays so"
        ),
        None if is_named => bail!(
            "the answer does not name its provider, though {issuer} says that it does so (RFC \
             9207): log in again"
        ),
        _ => {}
    }
    if let Some(error) = parameter("error") {
        return Err(ProviderError::refused(error, parameter("error_description")).into());
    }
    let code = parameter("code").filter(|code| !code.is_empty());
    let code = code.ok_or_else(|| {
        anyhow!("the provider {issuer} sent the browser back without a code: log in again")
    })?;
    Ok(code.to_owned().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::metadata::Metadata;
    use super::super::provider::Provider;
    use super::super::session::OauthClient;
    use super::*;

    const ISSUER: &str = "https://id.example.com";

    fn request(names_itself: bool) -> LoginRequest {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metadata = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.com/auth?tenant=1",
            "token_endpoint": "https://id.example.com/token",
            "authorization_response_iss_parameter_supported": names_itself,
        });
        LoginRequest {
            provider: Provider::new(ISSUER).unwrap(),
            metadata: Metadata::read(ISSUER, metadata.to_string().as_bytes()).unwrap(),
            client: OauthClient { id: "cli".to_owned(), secret: None, secret_in_form: false },
            scope: "openid jobs:read".to_owned(),
        }
    }

    #[test]
    fn the_link_keeps_the_query_of_the_endpoint_and_shows_the_challenge_only() {
        let sent = Sent {
            state: "st".to_owned().into(),
            nonce: "no".to_owned().into(),
            verifier: "secret-verifier".to_owned().into(),
            redirect_uri: "http://localhost:5556/callback".to_owned(),
        };
        let asking = link(&request(false), &sent, Some("consent")).unwrap();
        assert!(asking.as_str().ends_with("&prompt=consent"), "{asking}");
        let link = link(&request(false), &sent, None).unwrap();
        let text = link.as_str();
        assert!(!text.contains("prompt"), "{text}");
        assert!(text.starts_with("https://id.example.com/auth?tenant=1&response_type=code"));
        for part in ["client_id=cli", "scope=openid+jobs%3Aread", "state=st", "nonce=no", "=S256"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("secret-verifier"), "{text}");
    }

    #[test]
    fn an_answer_to_another_request_or_of_another_provider_is_refused() {
        type Case<'a> = (bool, &'a [(&'a str, &'a str)], Result<&'a str, &'a str>);
        let table: &[Case<'_>] = &[
            (false, &[("state", "s"), ("code", "c")], Ok("c")),
            (true, &[("state", "s"), ("code", "c"), ("iss", ISSUER)], Ok("c")),
            (false, &[("state", "t"), ("code", "c")], Err("state differs")),
            (false, &[("code", "c")], Err("state differs")),
            (false, &[("state", "t"), ("error", "access_denied")], Err("state differs")),
            (false, &[("state", "s"), ("error", "access_denied")], Err("error=access_denied")),
            (false, &[("state", "s"), ("code", "c"), ("iss", "https://x")], Err("https://x")),
            (true, &[("state", "s"), ("code", "c")], Err("RFC 9207")),
            (false, &[("state", "s")], Err("without a code")),
            (false, &[("state", "s"), ("code", "")], Err("without a code")),
        ];
        for (names_itself, given, wanted) in table {
            let find = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            match (code(&request(*names_itself), "s", find), wanted) {
                (Ok(code), Ok(wanted)) => assert_eq!(&*code, *wanted),
                (Err(error), Err(wanted)) => {
                    assert!(error.to_string().contains(wanted), "{error}");
                }
                (found, _) => panic!("{given:?}: {:?}", found.map(|code| code.to_string())),
            }
        }
    }
}
