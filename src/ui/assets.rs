//! The files beside the pages: one stylesheet, one script, one icon, all in the binary. Their
//! addresses hold their hashes, so that browsers keep them for ever and still get a new version at
//! once.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// Where the files are.
pub(crate) const FOLDER: &str = "/ui/assets/";

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");
const ICON: &str = include_str!("assets/icon.svg");

/// A file, by the name that holds its hash.
struct Asset {
    name: String,
    kind: &'static str,
    text: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("style", "css", "text/css; charset=utf-8", squeezed(STYLE)),
        Asset::new("script", "js", "text/javascript; charset=utf-8", trimmed(SCRIPT)),
        Asset::new("icon", "svg", "image/svg+xml", ICON.to_owned()),
    ]
});

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, text: String) -> Self {
        let hash = hex::encode(&Sha256::digest(&text)[..6]);
        Self { name: format!("{stem}-{hash}.{ending}"), kind, text }
    }
}

/// A stylesheet without its comments and the spaces that mean nothing, and with short names of its
/// custom properties. Spaces around an operator of `calc` stay.
fn squeezed(style: &str) -> String {
    let mut out = String::with_capacity(style.len());
    let mut pieces = style.split("/*");
    let first = pieces.next().unwrap_or_default();
    let rest = pieces.filter_map(|piece| piece.split_once("*/")).map(|(_, after)| after);
    let is_mark = |c: char| matches!(c, '{' | '}' | ';' | ',' | ':');
    for word in std::iter::once(first).chain(rest).flat_map(str::split_whitespace) {
        let joins = word.starts_with(['{', '}']) || out.ends_with(is_mark) || out.is_empty();
        if !joins {
            out.push(' ');
        }
        out.push_str(word);
    }
    shortened(&out.replace(";}", "}").replace(" > ", ">"))
}

/// A stylesheet whose custom properties have short names: they are nowhere but in it.
fn shortened(style: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut names: Vec<&str> = Vec::new();
    let mut out = String::with_capacity(style.len());
    let mut pieces = style.split("--");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_at(piece.find(|c| !is_part(c)).unwrap_or(piece.len()));
        let known = names.iter().position(|known| *known == name);
        let place = known.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        // Two letters for the 27th and those after it.
        let letter = |at: usize| char::from(b'a' + (at % 26) as u8);
        out.push_str("--");
        if place >= 26 {
            out.push(letter(place / 26 - 1));
        }
        out.push(letter(place));
        out.push_str(rest);
    }
    out
}

/// A script without its comments and indentation. No text of it goes over several lines, and no
/// line of one begins as a comment does.
fn trimmed(script: &str) -> String {
    let lines = script.lines().map(str::trim);
    let kept = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// The address of the stylesheet.
pub(crate) fn style() -> String {
    format!("{FOLDER}{}", ASSETS[0].name)
}

/// The address of the script.
pub(crate) fn script() -> String {
    format!("{FOLDER}{}", ASSETS[1].name)
}

/// The address of the icon.
pub(crate) fn icon() -> String {
    format!("{FOLDER}{}", ASSETS[2].name)
}

/// `GET /ui/assets/{name}`.
pub(crate) async fn get_asset(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    let kind = HeaderValue::from_static(asset.kind);
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], asset.text.as_str())
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_small() {
        let most = [22 * 1_024, 14 * 1_024, 2_048];
        for (asset, most) in ASSETS.iter().zip(most) {
            assert!(asset.text.len() <= most, "{}: {} bytes", asset.name, asset.text.len());
        }
    }

    #[test]
    fn a_stylesheet_is_squeezed_without_a_change_of_meaning() {
        let style = "/* x */\n.a, .b > i {\n  top: calc(100% + 4px);\n}\n.c .d:hover { left: 0 }\n";
        assert_eq!(squeezed(style), ".a,.b>i{top:calc(100% + 4px)}.c .d:hover{left:0}");
        let style = ":root { --bad: red; --bad-soft: pink }\n.a { color: var(--bad); background: var(--bad-soft) }";
        let short = ":root{--a:red;--b:pink}.a{color:var(--a);background:var(--b)}";
        assert_eq!(squeezed(style), short);
    }

    #[test]
    fn a_script_loses_its_comments_and_nothing_else() {
        let script = "// x\n\"use strict\";\n  const a = \"https://x\"; // b\n\n  a();\n";
        assert_eq!(trimmed(script), "\"use strict\";\nconst a = \"https://x\"; // b\na();\n");
    }
}
