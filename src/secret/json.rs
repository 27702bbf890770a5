//! JSON that may hold secrets in the clear, while a request is carried out. Input of `app` holds
//! it, such as the settings of a target with a password in it.

use std::ops::Deref;

use serde_json::Value;
use zeroize::Zeroize;

/// A JSON value with secrets in it. Its texts are wiped from memory when it is dropped, and `Debug`
/// prints none of it.
#[derive(Clone, PartialEq)]
pub struct SecretJson(Value);

impl SecretJson {
    /// The value, to be changed in place.
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// The value itself, whose secrets are not wiped any more: the caller puts it into another one.
    pub fn into_value(mut self) -> Value {
        self.0.take()
    }
}

impl std::fmt::Debug for SecretJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretJson(..)")
    }
}

impl Deref for SecretJson {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl From<Value> for SecretJson {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites the texts of a value. Names are the API's or known to everybody, and stay.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(object) => object.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secret_json_is_not_printed_and_its_texts_are_wiped() {
        let given = json!({"url": "amqp://me:hunter2@a", "list": [{"b": "hunter3"}, 1, null]});
        let secret = SecretJson::from(given.clone());
        assert_eq!(format!("{secret:?}"), "SecretJson(..)");
        assert_eq!(secret["url"], "amqp://me:hunter2@a");
        assert_eq!(secret.clone().into_value(), given);
        let mut wiped = given;
        wipe(&mut wiped);
        assert_eq!(wiped, json!({"url": "", "list": [{"b": ""}, 1, null]}));
    }
}
