//! The change of one field that an edit asks for.

/// The change of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// The edit does not name the field.
    #[default]
    Keep,
    /// The edit clears the field.
    Clear,
    /// The new value.
    Set(T),
}

impl<T> Patch<T> {
    /// The value of the field after the edit.
    pub fn apply_to(self, old: Option<T>) -> Option<T> {
        match self {
            Self::Keep => old,
            Self::Clear => None,
            Self::Set(new) => Some(new),
        }
    }
}
