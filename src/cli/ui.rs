//! `ui`: opens the web UI of a node, signed in as its operator. The link has a token that is made
//! of the node's own secrets; the node is not asked.

use std::env;
use std::io::{self, IsTerminal as _};
use std::process::{Command, Stdio};

use clap::Args;

use super::Global;
use super::output::{Output, line, say};
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
    if !flags.print && io::stderr().is_terminal() && opened(&link) {
        say("opened in the browser");
    } else {
        say(&format!("the link signs in as the operator, once, within {LINK_SECONDS} seconds"));
    }
    Ok(())
}

/// Asks the desktop to open a link; `false` where there is none.
fn opened(link: &str) -> bool {
    let is_mac = cfg!(target_os = "macos");
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some());
    if !is_mac && !has_display {
        return false;
    }
    let program = if is_mac { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // The browser may stay for hours: it is not waited for.
    command.spawn().is_ok()
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
