//! The fields of a project that requests give, and their rules.

use crate::app::error::Error;
use crate::app::projects::pause::PauseInput;
use crate::app::projects::settings::SettingsInput;

/// The longest name, in bytes.
pub const LONGEST_NAME: usize = 256;
/// The longest description, in bytes.
pub const LONGEST_DESCRIPTION: usize = 4_096;
/// The longest name of a caller, in bytes.
pub const LONGEST_BY: usize = 256;

/// A project that is to be made.
#[derive(Clone, Debug)]
pub struct ProjectInput {
    /// Its name, checked by [`required`].
    pub name: String,
    /// Its description, checked by [`required`].
    pub description: String,
    /// The defaults of its jobs.
    pub settings: SettingsInput,
    /// Its pause from the beginning.
    pub pause: PauseInput,
    /// The name that the caller gives itself.
    pub by: Option<String>,
}

impl ProjectInput {
    /// A project with a name and nothing else.
    ///
    /// # Errors
    ///
    /// `Invalid` where the name is blank or too long.
    pub fn named(name: &str, by: Option<String>) -> Result<Self, Error> {
        if name.len() > LONGEST_NAME {
            let message = format!("name must have at most {LONGEST_NAME} bytes");
            return Err(Error::invalid("name", message));
        }
        let name = required(Some(name.to_owned()), "name")?;
        let (settings, pause) = (SettingsInput::none(), PauseInput::none());
        // A description is required, and people can see where this project comes from.
        Ok(Self { description: "made in the web UI".to_owned(), name, settings, pause, by })
    }
}

/// A change of a project. What it does not name stays.
#[derive(Clone, Debug)]
pub struct ProjectEdit {
    /// The new name, checked by [`new_name`].
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// The changes of the settings.
    pub settings: SettingsInput,
    /// The change of the pause.
    pub pause: PauseInput,
    /// The name that the caller gives itself.
    pub by: Option<String>,
}

/// Checks a field that a new project must have.
///
/// # Errors
///
/// `Invalid` where the text is missing or blank.
pub fn required(text: Option<String>, field: &'static str) -> Result<String, Error> {
    let filled = text.filter(|text| !text.trim().is_empty());
    filled.ok_or_else(|| Error::invalid(field, format!("{field} field is required")))
}

/// Checks the new name of a project. An empty one counts as not given.
///
/// # Errors
///
/// `Invalid` where it is blank.
pub fn new_name(text: Option<String>) -> Result<Option<String>, Error> {
    let name = text.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Error::invalid("name", "name must not be blank"));
    }
    Ok(name)
}
