//! A secret in the clear, while a request is carried out. Input and results of `app` hold it.

use std::ops::Deref;

use zeroize::Zeroizing;

/// A secret text. It is wiped from memory when it is dropped, and `Debug` does not print it. It has
/// no `Display` and is not serialised: whoever shows it must ask for the text.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Deref for SecretText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<Zeroizing<String>> for SecretText {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_text_is_not_printed() {
        let secret = SecretText::from("hunter2".to_owned());
        assert_eq!(&*secret, "hunter2");
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "SecretText(..) Some(SecretText(..))"
        );
    }
}
