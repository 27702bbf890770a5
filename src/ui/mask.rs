//! Secrets in texts that a page shows: data of jobs, answers of targets, settings. Values of names
//! that say what they are (`password`, `apiToken`) are masked, in JSON, in forms, in headers and in
//! XML, also where the text was cut in the middle. Pure; pages call [`masked`].

use serde_json::Value;

/// Parts of names whose values a page does not show, in small letters without marks between words.
const SECRET_NAMES: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "authorization",
    "apikey",
    "privatekey",
    "accesskey",
    "signingkey",
    "credential",
    "cookie",
    "session",
];
/// A name that is secret as a whole, and common as a part.
const SECRET_NAME: &str = "key";
/// The text in the place of a value that is not shown.
pub(crate) const HIDDEN: &str = "••••••";

/// A text with the values of secret names masked.
pub(crate) fn masked(text: &str) -> String {
    if let Ok(mut value) = serde_json::from_str::<Value>(text)
        && matches!(value, Value::Object(_) | Value::Array(_))
    {
        // A text without such a name is shown as it is, so that no number changes its form.
        let shown = mask(&mut value).then(|| serde_json::to_string_pretty(&value).ok());
        return shown.flatten().unwrap_or_else(|| text.to_owned());
    }
    scanned(text)
}

/// Says whether a value of this name is not shown.
pub(crate) fn is_secret(name: &str) -> bool {
    let plain = name.to_ascii_lowercase().replace(['-', '_', '.', ' '], "");
    plain == SECRET_NAME || SECRET_NAMES.iter().any(|secret| plain.contains(secret))
}

fn mask(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => {
            let mut found = false;
            for (name, value) in fields {
                // A truth value only says whether a secret is set.
                if is_secret(name) && !value.is_boolean() {
                    *value = HIDDEN.into();
                    found = true;
                } else {
                    found |= mask(value);
                }
            }
            found
        }
        Value::Array(list) => list.iter_mut().fold(false, |found, one| mask(one) | found),
        Value::String(text) => {
            let shown = scanned(text);
            let found = shown != *text;
            *text = shown;
            found
        }
        _ => false,
    }
}

/// A text that is no JSON, or only the begin of one: what follows a secret name and a `:`, `=` or
/// the end of its tag is masked.
fn scanned(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut done, mut at) = (0, 0);
    while let Some(found) = text[at..].find([':', '=', '>']) {
        let sign = at + found;
        at = sign + 1;
        let before = &text[done..sign];
        if !name_before(before, &text[sign..at]).is_some_and(is_secret) {
            continue;
        }
        let is_json = before.trim_end().ends_with('"');
        let rest = &text[at..];
        let begin = at + rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let end = begin + value_length(&text[begin..], &text[sign..at], is_json);
        let value = text[begin..end].trim();
        if value.is_empty() || matches!(value, "true" | "false" | "null") {
            continue;
        }
        out.push_str(&text[done..begin]);
        out.push_str(HIDDEN);
        (done, at) = (end, end);
    }
    out.push_str(&text[done..]);
    out
}

/// The name that a text ends with, before one of these signs.
fn name_before<'t>(text: &'t str, sign: &str) -> Option<&'t str> {
    let is_part =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']' | '%' | '\\');
    let bare = text.trim_end_matches([' ', '\t', '"', '\'']);
    let begin = bare
        .rfind(|c: char| !is_part(c))
        .map_or(0, |place| place + bare[place..].chars().next().map_or(0, char::len_utf8));
    let is_tag = bare[..begin].ends_with('<');
    // The end of a tag and of a comparison look alike.
    (begin < bare.len() && (sign != ">" || is_tag)).then(|| &bare[begin..])
}

/// The length of the value that a text begins with, in bytes. A value without an end goes on to the
/// end of the text.
fn value_length(text: &str, sign: &str, is_json: bool) -> usize {
    let to = |end: Option<usize>| end.unwrap_or(text.len());
    if sign == ">" {
        return to(text.find('<'));
    }
    for quote in ["\\\"", "\"", "'"] {
        if let Some(inner) = text.strip_prefix(quote) {
            return closing(inner, quote).map_or(text.len(), |end| end + 2 * quote.len());
        }
    }
    if text.starts_with(['{', '[']) {
        return balanced(text);
    }
    match sign {
        "=" => {
            to(text.find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '<')))
        }
        _ if is_json => to(text.find([',', '}', ']', '\n'])),
        // A header, or a line of YAML.
        _ => to(text.find(['\n', '\r'])),
    }
}

/// The place of the quote that closes a text; one behind a backslash does not.
fn closing(text: &str, quote: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let place = from + text[from..].find(quote)?;
        let slashes = text[..place].len() - text[..place].trim_end_matches('\\').len();
        if quote.starts_with('\\') || slashes.is_multiple_of(2) {
            return Some(place);
        }
        from = place + quote.len();
    }
}

/// The length of a list or an object in brackets.
fn balanced(text: &str) -> usize {
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => in_text = !in_text,
            '{' | '[' if !in_text => depth += 1,
            '}' | ']' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_names_are_masked_and_other_texts_stay() {
        let shown =
            masked(r#"{"user":"a","Pass-word":1,"password":"hunter2","in":[{"apiToken":"x"}]}"#);
        assert!(!shown.contains("hunter2") && !shown.contains("\"x\""), "{shown}");
        assert!(shown.contains("\"user\": \"a\""), "{shown}");
        for plain in [
            "hello",
            r#"{"n": 1.0}"#,
            "[1,  2]",
            "\"token\"",
            r#"{"routingKey": "a", "idempotencyKey": 1.0}"#,
            "a => b, c > d",
            r#"{"tokenSet": true, "n": 1.0, "cut": "#,
            "time: 12:30:00\nurl=http://a/?b=c",
        ] {
            assert_eq!(masked(plain), plain);
        }
    }

    #[test]
    fn a_text_that_was_cut_or_is_no_json_hides_its_secrets_too() {
        let profile = "x".repeat(1_000);
        for (text, hidden) in [
            (format!(r#"{{"access_token": "eyJ\"abc", "profile": {{"a": "{profile}"#), "abc"),
            (r#"{"a": 1, "client_secret":"hun"#.to_owned(), "hun"),
            (r#"{"session": {"id": "s3", "n": [1, 2]}, "open": "#.to_owned(), "s3"),
            (r#"{"tokens": ["s3", "s4"#.to_owned(), "s4"),
            (r#"{"pin_token": 4711, "open": "#.to_owned(), "4711"),
            (r#"{"body": "{\"password\":\"s3\",\"a\":1}", "open": "#.to_owned(), "s3"),
            ("user=a&password=hunter2&x=1".to_owned(), "hunter2"),
            ("grant=1;refresh_token=abc def".to_owned(), "abc"),
            ("HTTP\nAuthorization: Bearer abc\nX: 1".to_owned(), "abc"),
            ("private_key: 's3'".to_owned(), "s3"),
            ("accessKey = s3\nsigning-key=s4".to_owned(), "s4"),
            ("<a><password>s3</password><b>1</b></a>".to_owned(), "s3"),
            ("Set-Cookie: id=s3; Path=/".to_owned(), "s3"),
            ("api.key=s3".to_owned(), "s3"),
        ] {
            let shown = masked(&text);
            assert!(!shown.contains(hidden) && shown.contains(HIDDEN), "{text}\n{shown}");
        }
        let form = masked("user=a&password=hunter2&x=1");
        assert_eq!(form, format!("user=a&password={HIDDEN}&x=1"), "the rest stays");
        let inner = masked(r#"{"body": "token=abc", "n": 1}"#);
        assert!(!inner.contains("abc"), "a text in JSON is looked into: {inner}");
    }
}
