//! `logout`: deletes sessions, and revokes their tokens at the provider (RFC 7009).

use anyhow::bail;
use clap::Args;

use super::provider::Provider;
use super::session::{Session, Tokens};
use super::session_file::{LockedSessions, SessionFile, server_name};
use crate::cli::Global;
use crate::cli::output::say;

/// Flags of `logout`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  scheduler0 logout\n  scheduler0 logout --server https://cron.example.com\n  scheduler0 logout --all"
)]
pub struct Logout {
    /// Ends the sessions at all servers
    #[arg(long)]
    all: bool,
}

/// Carries it out. The sessions are deleted first, so that nothing uses them any more.
///
/// # Errors
///
/// A provider does not revoke its tokens; the session is deleted all the same.
pub(in crate::cli) async fn run(flags: &Logout, global: &Global) -> anyhow::Result<()> {
    let server = server_name(&global.url(&global.load_for_client()?));
    let removed = match SessionFile::of_process() {
        Some(file) => remove(flags, &server, file.lock().await?)?,
        None => Vec::new(),
    };
    if removed.is_empty() {
        let at = if flags.all { "anywhere" } else { &server };
        say(&format!("you are not logged in at {at}"));
        return Ok(());
    }
    let mut alive = 0;
    for (server, session) in &removed {
        let Session::Tokens(tokens) = session else {
            say(&format!("logged out of {server}; its key pair goes on working elsewhere"));
            continue;
        };
        match revoke(tokens).await {
            Ok(true) => say(&format!("logged out of {server}")),
            Ok(false) => say(&format!(
                "logged out of {server}; {} revokes no tokens: they work until they end",
                tokens.issuer
            )),
            Err(error) => {
                alive += 1;
                say(&format!("logged out of {server}, but its tokens were not revoked: {error:#}"));
            }
        }
    }
    if alive > 0 {
        bail!(
            "tokens of {alive} sessions were not revoked and work until they end: end those \
             sessions at the provider, in its pages of your account"
        );
    }
    Ok(())
}

fn remove(
    flags: &Logout,
    server: &str,
    mut locked: LockedSessions,
) -> anyhow::Result<Vec<(String, Session)>> {
    let servers: Vec<_> = locked.servers().map(str::to_owned).collect();
    let mut removed = Vec::new();
    for name in servers.into_iter().filter(|name| flags.all || name == server) {
        removed.extend(locked.remove(&name)?.map(|session| (name, session)));
    }
    Ok(removed)
}

/// Revokes the tokens of a session; `false` where the provider has no way to do so.
async fn revoke(tokens: &Tokens) -> anyhow::Result<bool> {
    let Some(endpoint) = &tokens.revocation_endpoint else { return Ok(false) };
    let provider = Provider::new(&tokens.issuer)?;
    if let Some(token) = &tokens.refresh_token {
        let fields = [("token", &**token), ("token_type_hint", "refresh_token")];
        provider.post(endpoint, &tokens.client, &fields).await?;
    }
    let fields = [("token", &*tokens.access_token), ("token_type_hint", "access_token")];
    match provider.post(endpoint, &tokens.client, &fields).await {
        // Section 2: access tokens that the provider cannot revoke end by themselves.
        Err(error) if error.code() == Some("unsupported_token_type") => Ok(true),
        Err(error) if tokens.refresh_token.is_none() => Err(error.into()),
        // Without its refresh token it ends soon, if it did not end with it.
        Ok(_) | Err(_) => Ok(true),
    }
}
