//! `ui`: opens the web UI of a node, signed in as its operator. The link has a token that is made
//! of the node's own secrets; the node is not asked.

use std::io::{self, IsTerminal as _};

use clap::Args;

use super::output::{Output, line, say};
use super::{Global, browser};
use crate::auth::{LINK_SECONDS, link_token};
use crate::clock::{Clock as _, SystemClock};
use crate::secret::Keys;

/// Flags of `ui`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  scheduler0 ui\n  scheduler0 ui --print --server http://10.0.0.7:9091"
)]
pub struct Ui {
    /// Prints the link only, and opens no browser
    #[arg(long)]
    print: bool,
}

/// The link into the web UI of the node at `url`, good for a minute.
pub(super) fn link(url: &str, keys: &Keys) -> String {
    format!("{}/ui/enter#{}", url.trim_end_matches('/'), link_token(keys, SystemClock.wall()))
}

/// Prints the link, and opens it where there is a desktop.
pub(super) fn run(flags: &Ui, global: &Global, output: Output) -> anyhow::Result<()> {
    let config = global.load_for_client()?;
    let keys = global.keys(&config)?;
    // Where the cookies want https, the browser has to come that way.
    let public = config.public_url.as_ref().filter(|_| global.server.is_none());
    let url = public.map_or_else(|| global.url(&config), ToString::to_string);
    let link = link(&url, &keys);
    if output.is_json() {
        output.json(&serde_json::json!({ "url": link, "seconds": LINK_SECONDS }))?;
    } else {
        line(&link)?;
    }
    if !flags.print && io::stderr().is_terminal() && browser::open(&link) {
        say("opened in the browser");
    } else {
        say(&format!("the link signs in as the operator, once, within {LINK_SECONDS} seconds"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_in_the_fragment() {
        let keys = Keys::new(&"ab".repeat(32), "node", "pass").unwrap();
        let link = link("http://127.0.0.1:9091/", &keys);
        let token = link.strip_prefix("http://127.0.0.1:9091/ui/enter#").unwrap();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        assert!(token.len() > 40 && token.chars().all(is_plain), "{link}");
    }
}
