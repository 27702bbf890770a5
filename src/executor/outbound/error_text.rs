//! The text of an error for people. Clients of all kinds ask.

/// An error and its sources, each said once.
pub(in crate::executor) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(e) = next {
        let part = e.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        next = e.source();
    }
    let end = text.floor_char_boundary(crate::model::attempt::MAX_ERROR);
    text.truncate(end);
    text
}
