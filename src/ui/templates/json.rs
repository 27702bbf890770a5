//! A template as the JSON of the API, for pages: the text of each field, in its own order and with
//! all digits of its numbers. The editor, the page of a template and its versions read it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::api::template_view::TemplateView;
use crate::model::template::Template;
use crate::ui::context::Page;

/// The fields of a template as the API shows them, each as JSON. No secret is among them.
pub(super) fn fields_of(page: &Page, template: &Template) -> BTreeMap<String, String> {
    let view = TemplateView::of(template.clone(), &page.ui.app);
    members(&serde_json::to_string(&view).unwrap_or_default())
}

/// The members of an object by name, each as JSON; none of another text.
pub(super) fn members(json: &str) -> BTreeMap<String, String> {
    let read: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
    read.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn members_are_text_and_another_text_has_none() {
        let members = super::members("{\"b\": [1.0,  2], \"a\": null}");
        assert_eq!(members["b"], "[1.0,  2]");
        assert_eq!(members.len(), 2);
        assert!(super::members("[1]").is_empty() && super::members("{").is_empty());
    }
}
