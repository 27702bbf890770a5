//! An executor in words, and its settings without secrets.

use serde_json::Value;

use crate::api::executor_view::view;
use crate::model::target::{Executor, WEBHOOK_URL};
use crate::ui::context::Page;
use crate::ui::jobs::describe::kind_words;

/// The kind of an executor in words.
pub(super) fn kind(executor: &Executor) -> String {
    match (&executor.http, executor.kind.as_str()) {
        (Some(_), _) => "a call each".to_owned(),
        (None, WEBHOOK_URL) => "URL, in batches".to_owned(),
        (None, other) => kind_words(other).to_owned(),
    }
}

/// The place where the calls of an executor go.
pub(super) fn place(executor: &Executor) -> String {
    if let Some(http) = &executor.http {
        return format!("{} {}", http.method, http.url);
    }
    if !executor.webhook_url.is_empty() {
        return executor.webhook_url.clone();
    }
    let text = |name: &str| {
        let settings = executor.settings.as_deref()?;
        settings.get(name)?.as_str().filter(|text| !text.is_empty())
    };
    let parts = ["bus", "exchange", "routingKey", "queue"].into_iter().filter_map(text);
    parts.collect::<Vec<_>>().join(", ")
}

/// The settings of an executor that has more than a URL, as the API shows them: under their name,
/// without their secrets.
pub(super) fn settings(page: &Page, executor: &Executor) -> Option<(String, Value)> {
    let app = &page.ui.app;
    let shown = serde_json::to_value(view(executor.clone(), app, app.now())).ok()?;
    let name = if executor.http.is_some() { "http" } else { executor.kind.as_str() };
    let value = shown.get(name).filter(|value| value.is_object())?;
    Some((name.to_owned(), value.clone()))
}
