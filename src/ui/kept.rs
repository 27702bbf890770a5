//! A form that came after the session of its sender was over. It waits in the page that asks to
//! sign in, and is sent again from the page behind that, so that nothing that was entered is lost.
//! `sign_in` calls it; nothing is kept on the node.

use maud::{Markup, html};
use url::form_urlencoded;

use crate::ui::context::own_path;
use crate::ui::form::Form;

/// The longest form that is kept, in bytes as it was sent. It comes back within another form, from
/// somebody who has not signed in.
pub(crate) const LONGEST_KEPT: usize = 16 * 1_024;

/// The hidden inputs: where the form goes, and its fields.
const TO: &str = "to";
const KEPT: &str = "kept";

/// A form, and the path that it was sent to.
pub(crate) struct Kept {
    to: String,
    form: Form,
}

impl Kept {
    /// A form that was sent to this path.
    pub(crate) fn new(to: &str, form: Form) -> Self {
        Self { to: to.to_owned(), form }
    }

    /// The form within the form of somebody who signs in, if there is one.
    pub(crate) fn read(form: &Form) -> Option<Self> {
        let (to, kept) = (form.text(TO)?, form.raw(KEPT)?);
        let fields = form_urlencoded::parse(kept.as_bytes()).into_owned().collect();
        (own_path(to) == to).then(|| Self::new(to, Form::of(fields)))
    }

    /// The hidden inputs that carry it on.
    pub(crate) fn hidden(&self) -> Markup {
        let mut kept = form_urlencoded::Serializer::new(String::new());
        kept.extend_pairs(self.form.fields());
        html! {
            input type="hidden" name=(TO) value=(self.to);
            input type="hidden" name=(KEPT) value=(kept.finish());
        }
    }

    /// The form as it was, to be sent by one click.
    pub(crate) fn again(&self) -> Markup {
        html! {
            form.card.stack.pad method="post" action=(self.to) {
                @for (name, value) in self.form.fields() {
                    @if value.contains(['\n', '\r']) {
                        // A hidden input would lose the line ends.
                        textarea hidden name=(name) { "\n" (value) }
                    } @else {
                        input type="hidden" name=(name) value=(value);
                    }
                }
                p { "What you entered before the session was over is still here, and was not carried out." }
                div.actions {
                    button.button.primary { "Send it now" }
                    a.button href="/ui" { "Leave it" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_through_the_sign_in_as_it_was_and_goes_to_no_other_site() {
        let fields = [("data", "a\r\nb=\"c\"&d"), ("id", "1"), ("id", "2"), ("empty", "")];
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let kept = Kept::new("/ui/jobs/new", Form::of(fields.iter().map(own).collect()));
        let hidden = kept.hidden().into_string();
        let value = |name: &str| {
            let input = hidden.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
            input.split('"').next().unwrap().replace("&amp;", "&")
        };
        let sent = [("to", value("to")), ("kept", value("kept"))];
        let sent = Form::of(sent.map(|(name, value)| (name.to_owned(), value)).to_vec());
        let back = Kept::read(&sent).unwrap();
        assert!(back.form.fields().eq(fields));
        assert!(back.again().into_string().contains("action=\"/ui/jobs/new\""));
        assert!(Kept::read(&sent.with("to", "//evil.example")).is_none());
        assert!(Kept::read(&Form::default()).is_none());
    }
}
