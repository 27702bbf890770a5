//! The defaults of a template: its `payload`. Forms begin with them, and absent fields are filled
//! by them. Whether one fits its rule is asked elsewhere.

use super::ordered::Ordered;

/// The values that fill a form, or an absent field, by name and as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults(pub Vec<(String, String)>);

impl Defaults {
    /// Reads the defaults of a template; an empty text has none.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let given = Ordered::read(text)?;
        Ok(Self(given.0.into_iter().map(|(name, json)| (name, json.to_owned())).collect()))
    }

    /// The JSON of a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, json)| json.as_str())
    }
}
