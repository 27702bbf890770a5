//! The page that the browser shows at the end of a login. It loads nothing, runs nothing, and names
//! no token.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};

/// The headers of the page: nothing of it is kept, and its URL, which has the code, goes nowhere.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::CONNECTION, "close"),
];

/// The page with this sentence.
pub(super) fn page(sentence: &str) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Scheduler0: login" }
            }
            body {
                h1 { "Scheduler0" }
                p { (sentence) }
            }
        }
    };
    (HEADERS, page.into_string()).into_response()
}
