//! Questions on the terminal. They are written to stderr and answered on stdin, so that stdout
//! stays clean and a script can pipe the answers in. Used by the commands that make files and by
//! those that delete.

use std::io::{self, IsTerminal, Write};

use zeroize::Zeroizing;

use super::{Failure, visible};

/// Asks for a line; an empty one means the default.
pub(super) fn line(question: &str, default: &str) -> anyhow::Result<String> {
    prompt(&format!("{question} [{default}]: "))?;
    let answer = read()?;
    Ok(if answer.is_empty() { default.to_owned() } else { answer.to_string() })
}

/// Asks for a secret without showing it; an empty answer means `None`. With `twice` it is asked for
/// again on a terminal.
pub(super) fn secret(question: &str, twice: bool) -> anyhow::Result<Option<Zeroizing<String>>> {
    if !io::stdin().is_terminal() {
        prompt(&format!("{question}: "))?;
        let answer = read()?;
        return Ok((!answer.is_empty()).then_some(answer));
    }
    loop {
        let answer = Zeroizing::new(rpassword::prompt_password(format!("{question}: "))?);
        if answer.is_empty() {
            return Ok(None);
        }
        if !twice || *answer == rpassword::prompt_password("Once more: ")? {
            return Ok(Some(answer));
        }
        prompt("These differ. Try again.\n")?;
    }
}

/// Asks whether to go on; only "y" and "yes" do.
pub(super) fn is_yes(question: &str) -> anyhow::Result<bool> {
    prompt(&format!("{question} [y/N]: "))?;
    Ok(matches!(read()?.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks before an action that cannot be undone, if stdin is a terminal and `yes` is not set. A
/// script is never asked. The error says that nothing was changed.
pub(super) fn confirm(yes: bool, question: &str) -> anyhow::Result<()> {
    if yes || !io::stdin().is_terminal() || is_yes(question)? {
        return Ok(());
    }
    Err(Failure::Usage("nothing was changed".to_owned()).into())
}

/// Returns whether [`confirm`] would ask.
pub(super) fn will_ask(yes: bool) -> bool {
    !yes && io::stdin().is_terminal()
}

fn prompt(text: &str) -> io::Result<()> {
    let text = visible::lines(text);
    let mut err = io::stderr().lock();
    err.write_all(text.as_bytes())?;
    err.flush()
}

fn read() -> anyhow::Result<Zeroizing<String>> {
    let mut answer = Zeroizing::new(String::new());
    if io::stdin().read_line(&mut answer)? == 0 {
        prompt("\n")?;
        let message = "no answer: stdin is at its end; use flags (see --help)".to_owned();
        return Err(Failure::Usage(message).into());
    }
    Ok(Zeroizing::new(answer.trim().to_owned()))
}
