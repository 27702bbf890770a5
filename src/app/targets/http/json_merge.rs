//! JSON Merge Patch (RFC 7396) of one object: the step that all patches of objects share. It knows
//! no field.

use serde_json::{Map, Value};

use crate::app::fields::canonical;

/// Says whether two names are one field, whatever their casing.
pub(crate) fn same_name(known: &str, name: &str) -> bool {
    let (mut one, mut other) = ([0; 24], [0; 24]);
    canonical(known, &mut one).is_some_and(|known| canonical(name, &mut other) == Some(known))
}

/// The members of `old` with those of a patch put over them. `same` decides whether two names are
/// one.
pub(crate) fn over(
    old: Option<Value>,
    patch: Map<String, Value>,
    same: impl Fn(&str, &str) -> bool,
) -> Value {
    let mut object = match old {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    for (name, value) in patch {
        take(&mut object, |known| same(known, &name));
        if !value.is_null() {
            object.insert(name, value);
        }
    }
    object.into()
}

/// Takes the member of a name out of an object.
pub(crate) fn take(object: &mut Map<String, Value>, same: impl Fn(&str) -> bool) -> Option<Value> {
    let name = object.keys().find(|known| same(known)).cloned()?;
    object.remove(&name)
}
