//! The fields of a template's payload as a table. `show` calls it.

use maud::{Markup, html};

use crate::app::Error;
use crate::app::templates::TemplateForm;
use crate::model::template::Template;
use crate::ui::context::Page;
use crate::ui::mask::{HIDDEN, is_secret};
use crate::ui::parts::{card, clipped, empty, table};
use crate::ui::templates::controls::{Control, Kind, controls};
use crate::ui::words::cut;

/// The rows of the table. All fields are in the folded rules of the page.
const MOST: usize = 100;
/// The longest value, in characters.
const LONGEST: usize = 80;

/// The card of the fields.
pub(super) fn field_card(page: &Page, template: &Template) -> Result<Markup, Error> {
    let form = TemplateForm::of(template, page.context.now)?;
    let body = match controls(&form, page.context.zone_for(None)) {
        None => empty("Entered as JSON", "The rules below say what it may hold.", html! {}),
        Some(controls) if controls.is_empty() => {
            empty("No payload", "Its jobs carry nothing that somebody chooses.", html! {})
        }
        Some(controls) => table(
            "Fields of the payload",
            &["Field", "Name", "Type", "Needed", "Begins with"],
            html! { @for one in flat(&controls).into_iter().take(MOST) { (row(one)) } },
        ),
    };
    Ok(card("Payload", html! {}, body))
}

/// The inputs with those of their groups.
fn flat(controls: &[Control]) -> Vec<&Control> {
    let mut all = Vec::new();
    for one in controls {
        all.push(one);
        if let Kind::Group(inner) = &one.kind {
            all.extend(flat(inner));
        }
    }
    all
}

fn row(one: &Control) -> Markup {
    let begins = if is_secret(&one.name) && !one.begins.is_empty() {
        HIDDEN.to_owned()
    } else {
        one.begins.join(", ")
    };
    html! {
        tr {
            td.lead data-label="Field" { (clipped(&one.label, 48)) }
            td data-label="Name" { code.break { (one.path) } }
            td data-label="Type" {
                @if !matches!(one.kind, Kind::Number { .. }) { (one.type_words()) }
                @match &one.kind {
                    Kind::Number { .. } => (one.rule().trim_end_matches('.')),
                    Kind::Options { options, .. } => { " " span.muted { (cut(&options.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join(", "), LONGEST)) } },
                    Kind::Json => {},
                    _ if one.rule().is_empty() => {},
                    _ => { br; span.hint { (cut(&one.rule(), 160)) } },
                }
            }
            td data-label="Needed" { @if one.required { "yes" } @else { span.muted { "no" } } }
            td data-label="Begins with" { @if begins.is_empty() { span.muted { "–" } } @else { code.break { (cut(&begins, LONGEST)) } } }
        }
    }
}
