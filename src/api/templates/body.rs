//! A body in which some fields are JSON of the client's own: their text is kept as it is, in its
//! order and with all digits of its numbers. The other fields are read as everywhere.

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::app::fields::canonical;
use crate::app::patch::Patch;
use crate::app::templates::fields::ordered::{Ordered, object};

/// The fields of a body.
pub(crate) struct Body<'a> {
    /// The fields with JSON of the client's own, by canonical names.
    own: Vec<(String, &'a str)>,
    /// The others.
    pub(crate) fields: Fields,
}

impl<'a> Body<'a> {
    /// Reads a body whose fields of these names are the client's own JSON. An empty one counts as
    /// `{}`.
    pub(crate) fn read(body: &'a [u8], own: &[&str]) -> Result<Self, Error> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Error::bad_request("the request's body is not valid UTF-8"))?;
        let text = if text.trim_ascii().is_empty() { "{}" } else { text };
        Self::of(text, own)
    }

    /// The fields of an object.
    pub(crate) fn of(text: &'a str, own: &[&str]) -> Result<Self, Error> {
        let given = object_of(text)?;
        let plain = |name: &str| canonical(name, &mut [0; 32]).map(str::to_owned);
        let wanted: Vec<_> = own.iter().filter_map(|name| plain(name)).collect();
        let (mut kept, mut others) = (Vec::new(), Vec::new());
        for (name, json) in &given.0 {
            match plain(name).filter(|name| wanted.contains(name)) {
                Some(name) => {
                    kept.retain(|(known, _)| *known != name);
                    kept.push((name, *json));
                }
                None => others.push((name.as_str(), *json)),
            }
        }
        let fields = Fields::parse(object(others.into_iter()).as_bytes())?;
        Ok(Self { own: kept, fields })
    }

    /// Takes the JSON of a field; `Clear` where it is null.
    pub(crate) fn take(&mut self, name: &str) -> Patch<&'a str> {
        let wanted = canonical(name, &mut [0; 32]).map(str::to_owned);
        let place = self.own.iter().position(|(known, _)| Some(known) == wanted.as_ref());
        match place.map(|place| self.own.swap_remove(place).1) {
            None => Patch::Keep,
            Some("null") => Patch::Clear,
            Some(json) => Patch::Set(json),
        }
    }

    /// The JSON of a field; `None` where it is absent or null.
    pub(crate) fn json(&mut self, name: &str) -> Option<&'a str> {
        match self.take(name) {
            Patch::Set(json) => Some(json),
            Patch::Keep | Patch::Clear => None,
        }
    }
}

/// The fields of an object in the order of its text.
pub(crate) fn object_of(text: &str) -> Result<Ordered<'_>, Error> {
    Ordered::read(text).map_err(|why| {
        let message = format!("the request's body {why}");
        if why.starts_with("must be") {
            Error::unprocessable(message)
        } else {
            Error::bad_request(message)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_own_json_stays_text_and_the_rest_are_fields() {
        let text = br#"{"z":1,"payload_schema":{"b":1.0,"a":2},"payload":null,"type":"x"}"#;
        let mut body = Body::read(text, &["payloadSchema", "payload", "job"]).unwrap();
        assert_eq!(body.take("payloadSchema"), Patch::Set(r#"{"b":1.0,"a":2}"#));
        assert_eq!((body.take("payload"), body.take("job")), (Patch::Clear, Patch::Keep));
        assert_eq!(body.fields.text("type", 9).unwrap().as_deref(), Some("x"));
        assert_eq!(body.fields.warnings().first_unknown(), Some("z"));
        assert!(Body::read(b"", &[]).is_ok());
        for (body, status) in [("[]", 422), ("{", 400), ("7", 422)] {
            assert_eq!(
                Body::read(body.as_bytes(), &[]).err().map(|e| e.status().as_u16()),
                Some(status),
                "{body}"
            );
        }
    }
}
