//! Preferences of a browser: theme and zone, kept in cookies of its own. They change nothing of the
//! cluster.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::ui::context::{THEME, ZONE, own_path};
use crate::ui::form::Form;

/// The life of a preference, in seconds.
const YEAR: u32 = 365 * 86_400;

/// `POST /ui/preferences`.
pub(crate) async fn set_preferences(form: Form) -> Response {
    let to = own_path(form.text("back").unwrap_or("/ui"));
    let mut response = Redirect::to(to).into_response();
    let choices =
        [(THEME, "theme", ["system", "light", "dark"]), (ZONE, "zone", ["own", "utc", "job"])];
    for (cookie, field, values) in choices {
        let Some(value) = values.iter().find(|value| form.text(field) == Some(value)) else {
            continue;
        };
        let cookie = format!("{cookie}={value}; Path=/ui; Max-Age={YEAR}; HttpOnly; SameSite=Lax");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}
