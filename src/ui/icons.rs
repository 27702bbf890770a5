//! The icons: strokes on a grid of 16, in one sprite that each page carries once.

use maud::{Markup, PreEscaped, html};

/// The icons by name, as the data of a path.
const ICONS: [(&str, &str); 33] = [
    ("check", "M3 8.5l3.2 3.2L13 4.9"),
    ("retry", "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3"),
    ("dead", "M5.4 1.8h5.2l3.6 3.6v5.2l-3.6 3.6H5.4L1.8 10.6V5.4zM6 6l4 4M10 6l-4 4"),
    ("half", "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 2v12M10 3.5v9M12 5.5v5"),
    ("clock", "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8V8l2.2 1.6"),
    ("late", "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8v3.6M8 11v.1"),
    ("skip", "M3 4l4 4-4 4M8.5 4l4 4-4 4"),
    ("pause", "M5.5 3.5v9M10.5 3.5v9"),
    ("flag", "M4 14V2.5M4 3h8l-2 2.7L12 8.5H4"),
    ("dot", "M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z"),
    ("play", "M5 3.2v9.6L12.5 8z"),
    ("edit", "M10.8 2.8l2.4 2.4-7.6 7.6-3 .6.6-3zM9.2 4.4l2.4 2.4"),
    ("trash", "M2.8 4.3h10.4M6.3 4V2.5h3.4V4M4.2 4.5l.6 9h6.4l.6-9M6.7 7v4M9.3 7v4"),
    ("plus", "M8 3v10M3 8h10"),
    ("search", "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3l3.4 3.4"),
    ("x", "M4 4l8 8M12 4l-8 8"),
    ("down", "M4 6l4 4 4-4"),
    ("right", "M6 4l4 4-4 4"),
    ("left", "M10 4L6 8l4 4"),
    ("warn", "M8 2.2L14.5 13.5h-13zM8 6.3v3.4M8 11.6v.1"),
    ("info", "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 7.4v3.4M8 5.1v.1"),
    (
        "globe",
        "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM2.2 8h11.6M8 2c2 1.8 2.8 3.8 2.8 6S10 12.2 8 14C6 12.2 5.2 10.2 5.2 8S6 3.8 8 2z",
    ),
    ("theme", "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 2v12a6 6 0 0 0 0-12z"),
    (
        "user",
        "M8 2.5a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4zM2.8 13.8c.5-2.6 2.6-4 5.2-4s4.7 1.4 5.2 4",
    ),
    ("out", "M9.5 2.8H3.5v10.4h6M7 8h7M11.5 5.5L14 8l-2.5 2.5"),
    ("menu", "M2.5 4.5h11M2.5 8h11M2.5 11.5h11"),
    ("copy", "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3"),
    ("jobs", "M2.5 3.5h11M2.5 8h11M2.5 12.5h7"),
    ("activity", "M1.5 8.5h3l2-5.5 3 10 2-4.5h3"),
    ("node", "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5v.1M5 11v.1"),
    (
        "question",
        "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM6.2 6.3c.2-1.1 1-1.6 1.9-1.6 1 0 1.8.6 1.8 1.6 0 1.3-1.8 1.4-1.8 2.7M8 11.3v.1",
    ),
    ("calendar", "M2.5 3.5h11v10h-11zM2.5 6.5h11M5.5 2v3M10.5 2v3"),
    ("empty", "M2.5 9.5l2-6h7l2 6v4h-11zM2.5 9.5h3.2l1 1.7h2.6l1-1.7h3.2"),
];

/// The sprite, which the head of each page's body carries.
pub(crate) fn sprite() -> Markup {
    html! {
        svg.sprite width="0" height="0" aria-hidden="true" {
            defs {
                linearGradient id="logo-rim" x1="0" y1="0" x2="1" y2="1" {
                    stop offset="0" stop-color="#ff8a3d" {}
                    stop offset="1" stop-color="#e0354b" {}
                }
            }
            @for (name, path) in ICONS {
                (PreEscaped(format!("<symbol id=\"i-{name}\" viewBox=\"0 0 16 16\"><path d=\"{path}\"/></symbol>")))
            }
        }
    }
}

/// An icon beside a text, which says the same.
pub(crate) fn icon(name: &str) -> Markup {
    // In SVG an element may end itself. A list has hundreds of icons, and names are ours.
    let text = format!("<svg class=\"icon\" aria-hidden=\"true\"><use href=\"#i-{name}\"/></svg>");
    PreEscaped(text)
}

/// The mark of the product: a zero that is a clock, whose rim is three nodes.
pub(crate) fn mark() -> Markup {
    html! {
        svg.mark width="20" height="22" viewBox="0 0 20 22" aria-hidden="true" {
            ellipse cx="10" cy="11" rx="7.2" ry="8.5" fill="none" stroke="url(#logo-rim)"
                stroke-width="2.2" {}
            circle.node cx="10" cy="2.5" r="1.9" {}
            circle.node cx="16.2" cy="15.3" r="1.9" {}
            circle.node cx="3.8" cy="15.3" r="1.9" {}
            path.hand stroke="currentColor" d="M10 7v4.3l2.9 2" fill="none" stroke-width="1.6" stroke-linecap="round"
                stroke-linejoin="round" {}
        }
    }
}
