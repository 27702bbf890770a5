//! The terms of a key in forms and in the list of keys: scopes, end, networks and rate. `keys` has
//! the pages.

use maud::{Markup, html};

use crate::app::credentials::{Expiry, LONGEST_NAME, TermsInput};
use crate::app::patch::Patch;
use crate::app::{ActorKind, Error};
use crate::model::credential::Credential;
use crate::model::key_terms::KeyTerms;
use crate::model::reach::Listed;
use crate::model::scope::{Scope, Scopes};
use crate::model::time::{parse_rfc3339, rfc3339};
use crate::ui::context::Page;
use crate::ui::form::Form;
use crate::ui::parts::clipped;

/// The fields of the terms. A box for each scope that the actor may give.
pub(super) fn fields(page: &Page, terms: &KeyTerms) -> Markup {
    let given = match &page.actor.kind {
        ActorKind::Operator => Scopes::ALL,
        ActorKind::Client { .. } | ActorKind::Token(_) => page.actor.scopes,
    };
    // What the key has already stays where it is not taken away.
    let offered = given | terms.scopes.unwrap_or_default();
    let has = |scope| terms.scopes.is_some_and(|scopes| scopes.has(scope));
    let allowed: Vec<_> = terms.allowed.iter().map(ToString::to_string).collect();
    let projects: Vec<_> = terms.projects.iter().flatten().map(u64::to_string).collect();
    html! {
        label { span { "Name" } input name="name" value=[terms.name.as_deref()] maxlength=(LONGEST_NAME) autocomplete="off"; }
        fieldset {
            legend { "What it may do" }
            div.terms {
                @for scope in offered.iter() {
                    label.term { input.pick type="checkbox" name="scope" value=(scope.name()) checked[has(scope)]; (scope.name()) }
                }
            }
            p.hint { "None: all of jobs, runs, projects, executors and credentials." }
        }
        label { span { "It ends" } input name="expires" value=[terms.expires.map(rfc3339)] placeholder="2027-01-31, or empty for never" autocomplete="off"; }
        label { span { "Which projects" } input name="projects" value=(projects.join(", ")) placeholder="1, 2, or empty for all" autocomplete="off"; }
        label { span { "From where" } input name="allowed" value=(allowed.join(", ")) placeholder="10.0.0.0/8, 192.0.2.7, or empty for anywhere" autocomplete="off"; }
        label { span { "Requests a second" } input name="rate" value=[terms.rate] inputmode="numeric" placeholder="empty for as many as the node allows" autocomplete="off"; }
    }
}

/// The terms that a form gives: an empty field takes a bound away.
pub(super) fn read(form: &Form) -> Result<TermsInput, Error> {
    let scopes: Vec<_> = form.each("scope").map(str::to_owned).collect();
    let allowed: Vec<_> = form.text("allowed").unwrap_or_default().split([',', ' ']).collect();
    let allowed: Vec<_> =
        allowed.into_iter().filter(|text| !text.is_empty()).map(str::to_owned).collect();
    let set = |list: Vec<String>| if list.is_empty() { Patch::Clear } else { Patch::Set(list) };
    let expires = match form.text("expires") {
        None => Patch::Clear,
        Some(text) => {
            let whole =
                if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
            let at = parse_rfc3339(&whole).ok_or_else(|| {
                let message = "the end must be a date such as 2027-01-31, or an instant such as \
                               2027-01-31T12:00:00Z";
                Error::invalid("expiresAt", message)
            })?;
            Patch::Set(Expiry::At(at))
        }
    };
    let name = match form.text("name") {
        Some(name) if name.len() > LONGEST_NAME => {
            let message = format!("the name must have at most {LONGEST_NAME} bytes");
            return Err(Error::invalid("name", message));
        }
        Some(name) => Patch::Set(name.to_owned()),
        None => Patch::Clear,
    };
    let projects = read_projects(form.text("projects").unwrap_or_default())?;
    let rate = match form.text("rate") {
        None => Patch::Clear,
        Some(text) => Patch::Set(text.trim().parse().map_err(|_| {
            Error::invalid("ratePerSecond", "the requests a second must be a whole number")
        })?),
    };
    Ok(TermsInput { name, scopes: set(scopes), expires, allowed: set(allowed), projects, rate })
}

/// The projects that a form names by their ids.
fn read_projects(text: &str) -> Result<Patch<Vec<u64>>, Error> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let ids: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>().map_err(|_| {
        let message = "projects must be numbers of projects with commas between them, such as 1, 2";
        Error::invalid("projects", message)
    })?;
    Ok(if ids.is_empty() { Patch::Clear } else { Patch::Set(ids) })
}

/// The scopes of a key in a list.
pub(super) fn scopes(terms: &KeyTerms) -> Markup {
    let Some(scopes) = terms.scopes else { return html! { span.muted { "as every key" } } };
    let names: Vec<_> = scopes.iter().map(Scope::name).collect();
    clipped(&names.join(", "), 48)
}

/// The end of a key, its networks, its projects and its rate in a list.
pub(super) fn bounds(page: &Page, terms: &KeyTerms) -> Markup {
    let allowed: Vec<_> = terms.allowed.iter().map(ToString::to_string).collect();
    html! {
        @match terms.expires { Some(at) => (page.context.brief(at, None)), None => span.muted { "never" } }
        @if !allowed.is_empty() { " " span.muted { "from " (clipped(&allowed.join(", "), 32)) } }
        @if let Some(ids) = &terms.projects {
            " " span.muted { (clipped(&Listed(ids).to_string(), 32)) }
        }
        @if let Some(rate) = terms.rate { " " span.muted { (rate) "/s" } }
    }
}

/// The last use of a key in a list.
pub(super) fn last_use(page: &Page, one: &Credential) -> Markup {
    let Some(used) = one.last_use else { return html! { span.muted { "–" } } };
    html! {
        (page.context.brief(used.at(), None))
        @if let Some(from) = used.from { " " span.muted { "from " (from) } }
    }
}
