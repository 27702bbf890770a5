//! Two edits of one job at the same time. A form carries the values that it was made from, so that
//! the page can tell what the other changed from what was entered here. Pure; `edit` calls it.

use maud::{Markup, html};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::ui::form::Form;
use crate::ui::parts::{clipped, table};

/// The hidden input with the values that the form was made from.
pub(crate) const BASE: &str = "base";
/// A longer value is carried as its digest.
const LONGEST: usize = 400;
/// The characters of a value that the table shows.
const SHOWN: usize = 60;

/// The inputs with their words.
const INPUTS: [(&str, &str); 22] = [
    ("project", "Project"),
    ("name", "Name"),
    ("data", "Data"),
    ("when", "When"),
    ("spec", "Schedule"),
    ("at", "At"),
    ("after", "After"),
    ("timezone", "Time zone"),
    ("where", "Where"),
    ("url", "Callback URL"),
    ("method", "Method"),
    ("call_url", "URL"),
    ("executor", "Executor"),
    ("retries", "Retries"),
    ("retry_delay", "First retry after"),
    ("timeout", "Timeout of an attempt"),
    ("overlap", "Overlap"),
    ("jitter", "Jitter"),
    ("run_timeout", "Longest run"),
    ("start", "Not before"),
    ("end", "Not after"),
    ("labels", "Labels"),
];

/// A value that somebody else has changed meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    label: &'static str,
    /// `None` where only the digest is known, or nothing.
    was: Option<String>,
    now: String,
    /// What was entered here, where that is another value again: it stays in the form.
    yours: Option<String>,
}

/// The values of a form as one text for its hidden input.
pub(crate) fn base(form: &Form) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (name, _) in INPUTS {
        if let Some(value) = form.raw(name) {
            text.append_pair(name, &mark(&plain(value)));
        }
    }
    text.finish()
}

/// What was entered (`yours`) on top of what the job is now (`theirs`), and what the others
/// changed. A value that only they changed is taken over; one that was changed here stays.
pub(crate) fn merged(yours: &Form, theirs: &Form) -> (Form, Vec<Difference>) {
    let base = yours.raw(BASE).map(read);
    let (mut form, mut found) = (yours.clone(), Vec::new());
    for (name, label) in INPUTS {
        let now = plain(theirs.raw(name).unwrap_or_default());
        let entered = yours.raw(name).map(plain);
        let was = base.as_ref().map(|base| base.raw(name).unwrap_or_default().to_owned());
        if was.is_none() && entered.is_none() {
            continue;
        }
        if was.as_ref().is_some_and(|was| *was == mark(&now)) || entered.as_ref() == Some(&now) {
            continue;
        }
        let own = entered.filter(|entered| was.as_ref() != Some(&mark(entered)));
        if own.is_none() {
            form = form.with(name, theirs.raw(name).unwrap_or_default());
        }
        let was = was.filter(|was| !was.starts_with(DIGEST));
        found.push(Difference { label, was, now, yours: own });
    }
    (form, found)
}

/// The differences as a table.
pub(crate) fn differences(found: &[Difference]) -> Markup {
    let text = |text: &str| match text {
        "" => html! { span.muted { "empty" } },
        text => html! { code.break { (clipped(text, SHOWN)) } },
    };
    html! {
        div.card.flush {
            (table("Changes meanwhile", &["Field", "It was", "It is now", "Yours"], html! {
                @for one in found {
                    tr {
                        td.lead data-label="Field" { (one.label) }
                        td data-label="It was" { @match &one.was { Some(was) => (text(was)), None => span.muted { "–" } } }
                        td data-label="It is now" { (text(&one.now)) }
                        td data-label="Yours" {
                            @match &one.yours {
                                Some(yours) => { (text(yours)) " " span.warned { "stays in the form" } },
                                None => span.muted { "taken over into the form" },
                            }
                        }
                    }
                }
            }))
        }
    }
}

const DIGEST: &str = "sha256:";

/// A value as the base carries it.
fn mark(value: &str) -> String {
    if value.len() <= LONGEST {
        return value.to_owned();
    }
    format!("{DIGEST}{}", hex::encode(Sha256::digest(value)))
}

fn read(text: &str) -> Form {
    Form::of(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
}

/// A value without what browsers make of line ends.
fn plain(value: &str) -> String {
    value.replace("\r\n", "\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form::of(fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn what_only_the_others_changed_is_taken_over_and_what_was_entered_stays() {
        let long = "x".repeat(LONGEST + 1);
        let first =
            [("spec", "@daily"), ("url", "http://a/"), ("labels", "a=1\nb=2"), ("timeout", "")];
        let mut first = first.to_vec();
        first.push(("data", &long));
        let first = form(&first);
        let kept = base(&first);
        assert!(kept.len() < LONGEST, "long data is carried as a digest");
        let yours = first.with("spec", "@hourly").with("labels", "a=1\r\nb=2").with(BASE, &kept);
        let theirs = first.with("spec", "@weekly").with("url", "http://b/").with("timeout", "5s");
        let (merged, found) = merged(&yours, &theirs);
        let values = ["spec", "url", "timeout", "data"].map(|name| merged.raw(name).unwrap());
        assert_eq!(values, ["@hourly", "http://b/", "5s", &long]);
        let of = |label: &str| found.iter().find(|one| one.label == label);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(of("Schedule").unwrap().yours.as_deref(), Some("@hourly"));
        assert_eq!(of("Callback URL").unwrap().was.as_deref(), Some("http://a/"));
        assert_eq!(of("Callback URL").unwrap().yours, None);
    }

    #[test]
    fn without_a_base_nothing_that_was_entered_is_replaced() {
        let (merged, found) = merged(&form(&[("spec", "@hourly")]), &form(&[("spec", "@daily")]));
        assert_eq!(merged.raw("spec"), Some("@hourly"));
        assert_eq!((found.len(), found[0].was.as_ref()), (1, None));
    }
}
