//! The login on another device (RFC 8628): the person opens a link anywhere, and enters a code. For
//! machines without a browser.

use anyhow::bail;
use serde::Deserialize;

use super::device_polling::{Polling, Unanswered};
use super::provider_error::ProviderError;
use super::request::LoginRequest;
use super::session::Tokens;
use super::token_answer::TokenAnswer;
use crate::cli::output::say;
use crate::clock::{Clock as _, SystemClock};
use crate::secret::SecretText;

/// The answer to the request for a code (section 3.2).
#[derive(Deserialize)]
struct DeviceCode {
    #[serde(rename = "device_code")]
    code: String,
    user_code: String,
    /// Some say `verification_url`, as an early draft did.
    #[serde(alias = "verification_url")]
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

/// Logs in on another device.
///
/// # Errors
///
/// Sentences for people: the provider has no such flow, refuses, or the code is over.
pub(super) async fn log_in(request: &LoginRequest) -> anyhow::Result<Tokens> {
    let Some(endpoint) = &request.metadata.device_authorization_endpoint else {
        bail!(
            "the provider {} has no device flow: log in without --device, or switch the flow on \
             there",
            request.provider.issuer()
        );
    };
    let fields = [("scope", request.scope.as_str())];
    let code = request.provider.post(endpoint, &request.client, &fields).await?;
    let code: DeviceCode = serde_json::from_value(code).map_err(|e| {
        // The message of the parser names fields, not values.
        request.provider.unusable(format!("answers something else than a device code: {e}"))
    })?;
    say(&format!(
        "open this on any device, and enter the code {}:\n\n  {}\n",
        code.user_code, code.verification_uri
    ));
    if let Some(whole) = &code.verification_uri_complete {
        say(&format!("or open this, and compare the code:\n\n  {whole}\n"));
    }
    let polling = Polling::begin(code.interval, code.expires_in, SystemClock.boot());
    let answer = poll(request, &SecretText::from(code.code), polling).await?;
    request.accept(answer, None)
}

/// Asks until somebody has entered the code.
async fn poll(
    request: &LoginRequest,
    device_code: &str,
    mut polling: Polling,
) -> anyhow::Result<TokenAnswer> {
    let mut pause = polling.first_pause();
    loop {
        tokio::time::sleep(pause).await;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device_code),
        ];
        let error = match request.ask(&fields).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let said = match error.code() {
            Some("authorization_pending") => Unanswered::Pending,
            Some("slow_down") => Unanswered::TooFast,
            _ if error.is_passing() => Unanswered::Nothing,
            _ => return Err(error.into()),
        };
        pause = match polling.next_pause(said, SystemClock.boot()) {
            Some(pause) => pause,
            None if said == Unanswered::Nothing => return Err(error.into()),
            None => return Err(ProviderError::refused("expired_token", None).into()),
        };
    }
}
