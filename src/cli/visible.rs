//! Makes text from elsewhere harmless for a terminal: characters that would move the cursor or hide
//! other text are escaped. `output` and `ask` pass everything that they write through here; it
//! knows nothing of the meaning of the text.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// Characters that are invisible or change how others are shown: control characters (Unicode's
/// `Cc`: C0 with ESC, DEL, C1), format characters (`Cf`: zero width, direction of writing, tags),
/// the separators of lines and paragraphs (`Zl`, `Zp`), and others that are shown as nothing
/// (`Default_Ignorable_Code_Point`) but for the variation selectors of emoji.
const INVISIBLE: &[(char, char)] = &[
    ('\u{0000}', '\u{001f}'),
    ('\u{007f}', '\u{009f}'),
    ('\u{00ad}', '\u{00ad}'),
    ('\u{034f}', '\u{034f}'),
    ('\u{0600}', '\u{0605}'),
    ('\u{061c}', '\u{061c}'),
    ('\u{06dd}', '\u{06dd}'),
    ('\u{070f}', '\u{070f}'),
    ('\u{0890}', '\u{0891}'),
    ('\u{08e2}', '\u{08e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Returns whether a character has to be escaped.
fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let place = INVISIBLE.partition_point(|(_, last)| *last < c);
    INVISIBLE.get(place).is_some_and(|(first, _)| *first <= c)
}

/// Escapes a text of one line, line ends too.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    written_out(text, |_| false)
}

/// Escapes a text of several lines and keeps their ends.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    written_out(text, |c| c == '\n')
}

fn written_out(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_invisible(c) && !stays(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !is_invisible(c) || stays(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// A value as JSON that means the same and has nothing invisible in it; over several lines if
/// `indented`.
pub(super) fn json(value: &Value, indented: bool) -> String {
    let text = if indented { format!("{value:#}") } else { value.to_string() };
    // Control characters below U+0020 are escaped by JSON's own rules; a line end is its layout.
    if !text.chars().any(|c| is_invisible(c) && c != '\n') {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut units = [0; 2];
    for c in text.chars() {
        if !is_invisible(c) || c == '\n' {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_or_hide_is_written_out() {
        for (text, shown) in [
            ("plain, with \"quotes\" and \\", "plain, with \"quotes\" and \\"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\u{7f}b", "a\\u{7f}b"),
            ("invoice\u{202e}fdp.exe", "invoice\\u{202e}fdp.exe"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("pay\u{200b}pal\u{feff}", "pay\\u{200b}pal\\u{feff}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("a\tb\r\nc", "a\\tb\\r\\nc"),
            ("größe 日本語 עברית ❤\u{fe0f} e\u{301}", "größe 日本語 עברית ❤\u{fe0f} e\u{301}"),
        ] {
            assert_eq!(one_line(text), shown);
        }
        assert_eq!(lines("a\nb\u{1b}c\r\n"), "a\nb\\u{1b}c\\r\n");
        assert!(matches!(one_line("as it is"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same_and_hides_nothing() {
        let value = json!({"a\u{202e}": "x\u{1b}y\u{9b}\n\u{7f}", "b": ["\u{e0041}", "ä"]});
        for indented in [false, true] {
            let text = json(&value, indented);
            assert!(!text.chars().any(|c| is_invisible(c) && c != '\n'), "{text}");
            assert!(text.contains("\\u202e") && text.contains("\\udb40\\udc41"), "{text}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
        assert_eq!(json(&json!({"a": 1}), false), "{\"a\":1}");
    }

    #[test]
    fn the_table_is_in_order_and_has_all_control_characters() {
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
        assert!(INVISIBLE.is_sorted_by(|(_, last), (first, _)| last < first));
        for c in '\0'..=char::MAX {
            assert!(!c.is_control() || is_invisible(c), "{:x}", u32::from(c));
        }
    }
}
