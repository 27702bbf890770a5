//! Reading of settings that a request gives: whole, or as a patch of those that are there.

use serde_json::Value;

use crate::app::error::Error;
use crate::app::targets::settings::{merge, names};
use crate::delivery::executor::{Fault, Invalid, SharedExecutor};
use crate::secret::SecretJson;

/// The settings that a request makes of old ones, validated by their kind. `given` has the names of
/// the request; a patch (`merges`) is put over what clients see of the old settings.
///
/// # Errors
///
/// The kind's own, with its field; `Invalid` where a name is given twice.
pub(crate) fn read(
    executor: &SharedExecutor,
    kind: &'static str,
    given: &SecretJson,
    old: Option<&Value>,
    merges: bool,
) -> Result<Value, Error> {
    let whole =
        if merges { patched(executor, kind, given, old)? } else { named(executor, kind, given)? };
    Ok(executor.validate(&whole, old)?)
}

/// The whole settings that a patch makes of old ones, of which it has what clients see.
pub(crate) fn patched(
    executor: &SharedExecutor,
    kind: &'static str,
    patch: &SecretJson,
    old: Option<&Value>,
) -> Result<SecretJson, Error> {
    let patch = named(executor, kind, patch)?.into_value();
    let shown = old.map(|old| executor.show(old));
    Ok(merge::merged(shown, patch, executor.client_fields()).into())
}

/// The settings with their names in camelCase.
fn named(
    executor: &SharedExecutor,
    kind: &'static str,
    given: &SecretJson,
) -> Result<SecretJson, Error> {
    let mut given = given.clone();
    names::make_camel(kind, given.value_mut(), executor.client_fields())?;
    Ok(given)
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        let Invalid { field, message, fault } = invalid;
        match fault {
            Fault::Value => Self::invalid(field, message),
            Fault::Unfit => Self::unprocessable(message).field(field),
            Fault::NotAllowed => Self::target_not_allowed(field, message),
            Fault::TooLarge => Self::too_large(message).field(field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::ErrorKind;

    #[test]
    fn the_fault_of_a_setting_decides_the_kind_of_the_error() {
        for (invalid, kind) in [
            (Invalid::new("a.b", "a.b is wrong"), ErrorKind::Invalid),
            (Invalid::unfit("a.b", "a.b is wrong"), ErrorKind::Unprocessable),
            (Invalid::too_large("a.b", "a.b is wrong"), ErrorKind::TooLarge),
        ] {
            let error = Error::from(invalid);
            assert_eq!((error.kind(), error.field_name()), (kind, Some("a.b")));
            assert_eq!(error.message(), "a.b is wrong");
        }
    }
}
