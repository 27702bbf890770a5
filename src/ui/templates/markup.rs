//! The inputs of a payload as HTML: each with its label, what it takes, and its error. `run` and
//! the preview of the editor show them.

use maud::{Markup, html};

use crate::app::Error;
use crate::app::templates::{Choice, Format};
use crate::ui::error::sentence;
use crate::ui::form::Form;
use crate::ui::templates::controls::{Control, Kind, is_typed};
use crate::ui::templates::payload::ZONE;

/// The most options that stand beside each other. More of them are in a list to choose from.
const FEW: usize = 4;
/// The longest name of a field in an error, in characters.
const LONGEST_NAME: usize = 100;

/// A form as it is shown.
#[derive(Clone, Copy, Default)]
pub(super) struct Shown<'a> {
    /// What was entered; `None` before.
    pub(super) sent: Option<&'a Form>,
    /// What is wrong with it.
    pub(super) problem: Option<&'a Error>,
}

impl<'a> Shown<'a> {
    /// The error of an input.
    fn error(&self, control: &Control) -> Option<&'a str> {
        self.problem?.fields().get(&error_name(control)).map(String::as_str)
    }

    /// The inputs that are wrong, in their order, with their errors.
    pub(super) fn wrong<'c>(&self, controls: &'c [Control]) -> Vec<(&'c Control, &'a str)> {
        let of = |one: &'c Control| {
            let own = self.error(one).map(|error| (one, error));
            let inner = match &one.kind {
                Kind::Group(inner) => self.wrong(inner),
                _ => Vec::new(),
            };
            own.into_iter().chain(inner).collect::<Vec<_>>()
        };
        controls.iter().flat_map(of).collect()
    }

    /// The texts of an input: what was entered, or what it begins with.
    fn texts<'t>(&self, control: &'t Control) -> Vec<&'t str>
    where
        'a: 't,
    {
        match self.sent {
            Some(form) => form.each(&control.input).collect(),
            None => control.begins.iter().map(String::as_str).collect(),
        }
    }
}

/// The name of a field in errors, which cut it.
pub(super) fn error_name(control: &Control) -> String {
    control.path.chars().take(LONGEST_NAME).collect()
}

/// The id of an input, for links to it.
pub(super) fn id(control: &Control) -> String {
    format!("f-{}", control.input)
}

/// Inputs with all that belongs to them. The first one that is wrong gets the focus.
pub(super) fn inputs(controls: &[Control], shown: Shown<'_>) -> Markup {
    let first = shown.wrong(controls).first().map(|(one, _)| one.input.clone());
    html! { @for one in controls { (field(one, shown, first.as_deref())) } }
}

fn field(control: &Control, shown: Shown<'_>, first: Option<&str>) -> Markup {
    let error = shown.error(control);
    let name = html! {
        (control.label) @if !control.required { span.muted { " optional" } }
    };
    let hint = html! {
        @match error {
            Some(error) => strong.error { (control.label) " " (sentence_end(error)) },
            None => {
                @if let Some(help) = &control.help { (sentence(help)) " " }
                (control.rule())
            },
        }
    };
    let (id, label, described) =
        (id(control), format!("l-{}", control.input), format!("e-{}", control.input));
    match &control.kind {
        Kind::Group(inner) => html! {
            fieldset.card id=(id) {
                legend { (name) }
                p.hint { (hint) }
                @for one in inner { (field(one, shown, first)) }
            }
        },
        Kind::Options { options, many }
            if !is_typed(options) && (*many || options.len() <= FEW) =>
        {
            html! {
                div.field.wrong[error.is_some()] role=(if *many { "group" } else { "radiogroup" })
                    aria-labelledby=(label) aria-describedby=(described) {
                    span.name id=(label) { (name) }
                    (choices(control, options, *many, shown, first))
                    p.hint id=(described) { (hint) }
                }
            }
        }
        _ => html! {
            div.field.wrong[error.is_some()] {
                label for=(id) { (name) }
                (input(control, shown, error.is_some(), first == Some(&control.input)))
                p.hint id=(described) { (hint) }
            }
        },
    }
}

/// An error with a full stop, to go behind the name of its field.
pub(super) fn sentence_end(error: &str) -> String {
    if error.ends_with(['.', '"', '!', '?']) { error.to_owned() } else { format!("{error}.") }
}

/// Options that stand beside each other.
fn choices(
    control: &Control,
    options: &[Choice],
    many: bool,
    shown: Shown<'_>,
    first: Option<&str>,
) -> Markup {
    let texts = shown.texts(control);
    let is_first = first == Some(&control.input);
    html! {
        div.choices id=(id(control)) {
            @for (at, one) in options.iter().enumerate() {
                label.choice {
                    input.pick[many] type=(if many { "checkbox" } else { "radio" }) name=(control.input) value=(one.text)
                        checked[texts.contains(&one.text.as_str())] autofocus[is_first && at == 0];
                    span { (one.text) }
                }
            }
        }
    }
}

/// The input of one value.
fn input(control: &Control, shown: Shown<'_>, is_wrong: bool, is_first: bool) -> Markup {
    let (id, name) = (id(control), &control.input);
    let described = format!("e-{name}");
    let texts = shown.texts(control);
    let text = texts.last().copied().unwrap_or_default();
    let wrong = is_wrong.then_some("true");
    let area = |rows: u8| {
        html! {
            // A browser drops the first line end of a text area.
            textarea id=(id) name=(name) rows=(rows) spellcheck="false" aria-describedby=(described)
                aria-invalid=[wrong] autofocus[is_first] { "\n" (text) }
        }
    };
    let line = |kind: &str, bounds: (Option<&str>, Option<&str>, Option<&str>)| {
        let (min, max, step) = bounds;
        html! {
            input id=(id) name=(name) value=(text) type=(kind) min=[min] max=[max] step=[step]
                autocomplete="off" aria-describedby=(described) aria-invalid=[wrong] autofocus[is_first];
        }
    };
    match &control.kind {
        Kind::Number { min, max, whole } => {
            let step = if *whole { "1" } else { "any" };
            line("number", (min.as_deref(), max.as_deref(), Some(step)))
        }
        Kind::Text { lines: true, .. } => area(2),
        Kind::Text { format, .. } => {
            let kind = match format {
                Some(Format::Email) => "email",
                Some(Format::Uri) => "url",
                Some(Format::Uuid) | None => "text",
            };
            line(kind, (None, None, None))
        }
        Kind::Flag => html! {
            // A box that is not ticked sends nothing, so that this stands before it.
            input type="hidden" name=(name) value="false";
            div.choices { label.choice {
                input.pick id=(id) type="checkbox" name=(name) value="true" checked[text == "true"]
                    aria-describedby=(described) aria-invalid=[wrong] autofocus[is_first];
                span { "Yes" }
            } }
        },
        Kind::Options { options, many } if is_typed(options) => {
            if *many {
                area(4)
            } else {
                line("text", (None, None, None))
            }
        }
        Kind::Options { options, .. } => html! {
            select id=(id) name=(name) aria-describedby=(described) aria-invalid=[wrong] autofocus[is_first] {
                option value="" { "–" }
                @for one in options { option value=(one.text) selected[one.text == text] { (one.text) } }
            }
        },
        Kind::Instant { zone, local, .. } => html! {
            (line("datetime-local", (None, None, Some("any"))))
            @if !local { input type="hidden" name={ (ZONE) (name) } value=(zone.name()); }
        },
        Kind::Json | Kind::Group(_) => area(4),
    }
}
