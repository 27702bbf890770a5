//! The browser of the desktop that a command runs on. Used by `ui` and `login`.

use std::env;
use std::process::{Command, Stdio};

/// Returns whether there is a desktop that could show a browser.
pub(super) fn has_desktop() -> bool {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some());
    cfg!(target_os = "macos") || has_display
}

/// Asks the desktop to open a link; `false` where there is no desktop, or nothing that opens links.
pub(super) fn open(link: &str) -> bool {
    if !has_desktop() {
        return false;
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // The browser may stay for hours: it is not waited for.
    command.spawn().is_ok()
}
