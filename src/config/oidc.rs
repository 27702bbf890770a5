//! The issuers of access tokens: `OidcIssuers`, or `OidcIssuer` with `OidcAudience` and
//! `OidcClientId` where there is one. `build` reads them, `auth::oidc` verifies tokens by them. It
//! asks no issuer and knows no key.

use serde_yaml::Value;

use super::reader::{Reader, describe};
use super::{Error, OidcIssuer};

const KEY: &str = "OidcIssuers";
/// The names that an entry may have, in the casing of the file; read without regard to case and
/// `_`.
const NAMES: [&str; 7] =
    ["Issuer", "Audiences", "Clients", "ScopeClaims", "RoleClaims", "ClientId", "AllowCluster"];
/// The most issuers.
const MOST_ISSUERS: usize = 16;
/// The most texts of a list of an entry.
const MOST_TEXTS: usize = 32;
/// The longest text of an entry, in bytes.
const LONGEST: usize = 512;

/// Reads the issuers of both forms.
pub(super) fn read(r: &Reader) -> Result<Vec<OidcIssuer>, Error> {
    let mut issuers = Vec::new();
    for (index, entry) in entries(r)?.iter().enumerate() {
        let new = entry_of(r, index, entry)?;
        if issuers.iter().any(|known: &OidcIssuer| known.issuer == new.issuer) {
            return Err(r.fail(KEY, format!("{} is there twice", new.issuer)));
        }
        issuers.push(new);
    }
    if issuers.len() > MOST_ISSUERS {
        return Err(r.fail(KEY, format!("at most {MOST_ISSUERS} issuers")));
    }
    if let Some(one) = read_one(r)? {
        if !issuers.is_empty() {
            let message = "OidcIssuers is set as well: name all issuers there";
            return Err(r.fail("OidcIssuer", message));
        }
        issuers.push(one);
    }
    Ok(issuers)
}

/// The issuer of `OidcIssuer`.
fn read_one(r: &Reader) -> Result<Option<OidcIssuer>, Error> {
    const ISSUER: &str = "OidcIssuer";
    let issuer = r.text(ISSUER)?;
    let (audience, client) = (r.text("OidcAudience")?, r.text("OidcClientId")?);
    if issuer.is_empty() {
        for (key, value) in [("OidcAudience", &audience), ("OidcClientId", &client)] {
            if !value.is_empty() {
                let message = "it belongs to OidcIssuer, which is not set; an entry of OidcIssuers \
                               has Audiences and ClientId of its own";
                return Err(r.fail(key, message));
            }
        }
        return Ok(None);
    }
    check_issuer(&issuer).map_err(|message| r.fail(ISSUER, message))?;
    for (key, value) in [("OidcAudience", &audience), ("OidcClientId", &client)] {
        check_text(value).map_err(|message| r.fail(key, message))?;
    }
    if audience.is_empty() && client.is_empty() {
        return Err(r.fail(ISSUER, without_audience("OidcAudience", "OidcClientId")));
    }
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let (audiences, clients) = (given(&audience), given(&client));
    let terms =
        OidcIssuer::new(issuer, audiences.into_iter().collect(), clients.into_iter().collect());
    Ok(Some(OidcIssuer { client_id: given(&client), ..terms }))
}

fn without_audience(audience: &str, client: &str) -> String {
    format!(
        "set {audience} (what tokens have as aud) or {client} (what they have as azp or \
         client_id): without either, tokens for any service of the issuer would be accepted"
    )
}

fn check_issuer(text: &str) -> Result<(), String> {
    let is_issuer = OidcIssuer::address(text).is_some_and(|url| url.query().is_none());
    if is_issuer && text.len() <= LONGEST {
        return Ok(());
    }
    Err(format!(
        "expected the https URL of an issuer (http for the loopback only), as its tokens have it in \
         iss, of at most {LONGEST} bytes, found {text:?}"
    ))
}

fn check_text(text: &str) -> Result<(), String> {
    if text.len() <= LONGEST && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("expected a text of at most {LONGEST} bytes, without control characters"))
}

/// The list as the layer gave it: a YAML list, or JSON text.
fn entries(r: &Reader) -> Result<Vec<Value>, Error> {
    let (value, _) = r.layers.get(KEY);
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Sequence(entries) => Ok(entries.clone()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Sequence(entries)) => Ok(entries),
            Ok(_) => Err(r.fail(KEY, "expected a JSON array of issuers")),
            Err(e) => Err(r.fail(KEY, format!("expected a JSON array of issuers: {e}"))),
        },
        other => Err(r.fail(KEY, format!("expected a list of issuers, found {}", describe(other)))),
    }
}

fn entry_of(r: &Reader, index: usize, entry: &Value) -> Result<OidcIssuer, Error> {
    let fail = |message: String| Error::Invalid {
        key: format!("{KEY}[{index}]"),
        origin: r.origin(KEY).clone(),
        message,
    };
    let Value::Mapping(fields) = entry else {
        let found = describe(entry);
        return Err(fail(format!("expected Issuer and Audiences or Clients, found {found}")));
    };
    let mut found: [Option<&Value>; NAMES.len()] = [None; NAMES.len()];
    for (name, value) in fields {
        let given = name.as_str().unwrap_or_default();
        let plain = given.replace('_', "");
        let Some(place) = NAMES.iter().position(|n| n.eq_ignore_ascii_case(&plain)) else {
            let like = NAMES.iter().max_by(|a, b| {
                strsim::jaro_winkler(&plain, a).total_cmp(&strsim::jaro_winkler(&plain, b))
            });
            let nearest = like.map(|n| (*n).to_owned());
            let key = format!("{KEY}[{index}].{given}");
            return Err(Error::Unknown { key, origin: r.origin(KEY).clone(), nearest });
        };
        found[place] = Some(value);
    }
    let [issuer, audiences, clients, scope_claims, role_claims, client_id, allow_cluster] = found;
    let list =
        |value, name: &str| texts(value).map_err(|message| fail(format!("{name}: {message}")));
    let text = |value: Option<&Value>, name: &str| match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match check_text(text) {
            Ok(()) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(message) => Err(fail(format!("{name}: {message}"))),
        },
        Some(other) => Err(fail(format!("{name}: expected text, found {}", describe(other)))),
    };
    let Some(issuer) = text(issuer, "Issuer")? else {
        return Err(fail("Issuer is missing".to_owned()));
    };
    check_issuer(&issuer).map_err(|message| fail(format!("Issuer: {message}")))?;
    let terms = OidcIssuer::new(issuer, list(audiences, "Audiences")?, list(clients, "Clients")?);
    if terms.audiences.is_empty() && terms.clients.is_empty() {
        return Err(fail(without_audience("Audiences", "Clients")));
    }
    let named = list(scope_claims, "ScopeClaims")?;
    let scope_claims = if named.is_empty() { terms.scope_claims } else { named };
    let allow_cluster = match allow_cluster {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(other) => {
            let found = describe(other);
            return Err(fail(format!("AllowCluster: expected true or false, found {found}")));
        }
    };
    let role_claims = list(role_claims, "RoleClaims")?;
    let client_id = text(client_id, "ClientId")?;
    Ok(OidcIssuer { scope_claims, role_claims, client_id, allow_cluster, ..terms })
}

/// A list of texts; one text is a list of one.
fn texts(value: Option<&Value>) -> Result<Vec<String>, String> {
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Sequence(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    if list.len() > MOST_TEXTS {
        return Err(format!("expected at most {MOST_TEXTS} texts, found {}", list.len()));
    }
    let text = |value: &Value| match value {
        Value::String(text) if !text.trim().is_empty() => {
            check_text(text).map(|()| text.trim().to_owned())
        }
        other => Err(format!("expected a list of texts, found {} in it", describe(other))),
    };
    list.iter().map(text).collect()
}
