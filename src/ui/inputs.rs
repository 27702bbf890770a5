//! The inputs of forms: each with its label, its hint, and the error that is about it. Nothing that
//! was entered is lost. Every form of the UI is made of them; they read nothing.

#![expect(
    clippy::needless_pass_by_value,
    reason = "markup is made where it is passed, and becomes a part of other markup"
)]

use std::cell::Cell;

use maud::{Markup, html};

use crate::app::Error;
use crate::ui::error::sentence;
use crate::ui::form::Form;
use crate::ui::lists::Projects;
use crate::ui::parts::banner;

/// A random key, by which a form that is sent twice is carried out once.
pub(crate) fn idempotency_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The inputs of one form.
pub(crate) struct Inputs<'a> {
    pub(crate) form: &'a Form,
    problems: Vec<Problem>,
}

/// What is wrong with one input.
struct Problem {
    /// The name of the input, empty where there is none.
    input: String,
    /// The place within what was entered, where several may be wrong.
    path: Option<String>,
    /// The error in a sentence.
    text: String,
    /// It was shown at its input.
    is_placed: Cell<bool>,
}

impl Problem {
    fn markup(&self) -> Markup {
        html! { @if let Some(path) = &self.path { code { (path) } " " } (self.text) }
    }
}

impl<'a> Inputs<'a> {
    /// The inputs of a form, with an error; `input_of` names the input of a field of the API, or
    /// gives an empty text.
    pub(crate) fn new(
        form: &'a Form,
        problem: Option<&Error>,
        input_of: impl Fn(&str) -> &str,
    ) -> Self {
        let all = problem.map(Error::fields).filter(|fields| !fields.is_empty());
        let one = problem.filter(|_| all.is_none()).map(|error| {
            let input = error.field_name().map(&input_of).unwrap_or_default().to_owned();
            Problem {
                input,
                path: None,
                text: sentence(error.detail()),
                is_placed: Cell::default(),
            }
        });
        let each = all.into_iter().flatten().map(|(field, error)| {
            let end = if error.ends_with(['.', '"']) { "" } else { "." };
            Problem {
                input: input_of(field).to_owned(),
                path: Some(field.clone()),
                text: format!("{error}{end}"),
                is_placed: Cell::default(),
            }
        });
        Self { form, problems: one.into_iter().chain(each).collect() }
    }

    /// The errors that have no input of their own, for above the form.
    pub(crate) fn loose_problem(&self) -> Markup {
        html! { @for problem in self.errors("") { (banner("bad", problem.markup())) } }
    }

    /// The errors that no input has shown, for above a form that was made before and
    /// that does not always have every input.
    pub(crate) fn unplaced_problem(&self) -> Markup {
        let unplaced = self.problems.iter().filter(|problem| !problem.is_placed.get());
        html! { @for problem in unplaced { (banner("bad", problem.markup())) } }
    }

    /// The hidden fields of every form: its key, and the version it was made from where there is
    /// one.
    pub(crate) fn hidden(&self) -> Markup {
        let key = self.form.text("key").map_or_else(idempotency_key, str::to_owned);
        html! {
            input type="hidden" name="key" value=(key);
            @if let Some(version) = self.form.text("version") {
                input type="hidden" name="version" value=(version);
            }
        }
    }

    /// An input of one line.
    pub(crate) fn text(
        &self,
        name: &str,
        label: &str,
        example: &str,
        hint: Option<&str>,
    ) -> Markup {
        self.labelled(name, label, self.bare(name, example, None), hint)
    }

    /// An input of one line that proposes values, the first of them as the reader's own.
    pub(crate) fn listed(
        &self,
        (name, label): (&str, &str),
        example: &str,
        (own, list): (Option<&str>, &[&str]),
        hint: &str,
    ) -> Markup {
        let id = format!("l-{name}");
        let input = html! {
            (self.bare(name, example, Some(&id)))
            datalist id=(id) {
                @if let Some(own) = own { option value=(own) { "yours" } }
                @for one in list { option value=(one) {} }
            }
        };
        self.labelled(name, label, input, Some(hint))
    }

    /// An input of several lines.
    pub(crate) fn area(
        &self,
        (name, label): (&str, &str),
        rows: usize,
        example: &str,
        hint: Option<&str>,
    ) -> Markup {
        // A browser drops the first line end of a text area.
        let input = html! {
            textarea id={ "f-" (name) } name=(name) rows=(rows) spellcheck="false"
                placeholder=(example) aria-describedby={ "e-" (name) } aria-invalid=[self.invalid(name)] {
                "\n" (self.form.raw(name).unwrap_or_default())
            }
        };
        self.labelled(name, label, input, hint)
    }

    /// A choice of one of these values, each with its words.
    pub(crate) fn select(
        &self,
        name: &str,
        label: &str,
        options: &[(String, String)],
        hint: Option<&str>,
    ) -> Markup {
        let chosen = self.form.text(name).unwrap_or_default();
        let input = html! {
            select id={ "f-" (name) } name=(name) aria-describedby={ "e-" (name) } aria-invalid=[self.invalid(name)] {
                @for (value, words) in options {
                    option value=(value) selected[value == chosen] { (words) }
                }
                // A list is bounded: what was chosen stays, or the first one would be sent.
                @if !chosen.is_empty() && options.iter().all(|(value, _)| value != chosen) {
                    option value=(chosen) selected { (chosen) }
                }
            }
        };
        self.labelled(name, label, input, hint)
    }

    /// An input with what belongs to it.
    pub(crate) fn labelled(
        &self,
        name: &str,
        label: &str,
        input: Markup,
        hint: Option<&str>,
    ) -> Markup {
        let errors: Vec<_> = self.errors(name).collect();
        html! {
            div.field.wrong[!errors.is_empty()] {
                label for={ "f-" (name) } { (label) }
                (input)
                p.hint id={ "e-" (name) } {
                    @for (at, problem) in errors.iter().enumerate() {
                        @if at > 0 { br; }
                        strong.error { (problem.markup()) }
                    }
                    @if let Some(hint) = hint.filter(|_| errors.is_empty()) { (hint) }
                }
            }
        }
    }

    fn bare(&self, name: &str, example: &str, list: Option<&str>) -> Markup {
        html! {
            input id={ "f-" (name) } name=(name) value=(self.form.raw(name).unwrap_or_default())
                placeholder=(example) list=[list] spellcheck="false" autocomplete="off"
                aria-describedby={ "e-" (name) } aria-invalid=[self.invalid(name)];
        }
    }

    fn errors(&self, name: &str) -> impl Iterator<Item = &Problem> {
        let of_input = self.problems.iter().filter(move |problem| problem.input == name);
        of_input.inspect(|problem| problem.is_placed.set(true))
    }

    fn invalid(&self, name: &str) -> Option<&'static str> {
        self.errors(name).next().map(|_| "true")
    }
}

/// The control that names a project. `all` are the words for none of them; a value that is not
/// among the projects stays what it is. Where there are more projects than a page reads, the number
/// is entered, with those that were read as proposals.
pub(crate) fn project_choice(projects: &Projects, chosen: &str, all: Option<&str>) -> Markup {
    let is_known = |id| projects.0.contains_key(&id);
    let is_there = chosen.is_empty() || chosen.parse().is_ok_and(is_known);
    html! {
        @if projects.is_cut() {
            input #f-project name="project" value=(chosen) list="l-project" inputmode="numeric"
                placeholder=(all.unwrap_or("number")) autocomplete="off" aria-describedby="e-project";
            datalist #l-project {
                @for (id, record) in &projects.0 { option value=(id) { (record.project.name) } }
            }
        } @else {
            select #f-project name="project" {
                @if let Some(all) = all { option value="" { (all) } }
                @for (id, record) in &projects.0 {
                    option value=(id) selected[chosen == id.to_string()] { (record.project.name) }
                }
                @if !is_there { option value=(chosen) selected { "project " (chosen) } }
            }
        }
    }
}

/// One of several choices, of which one is taken.
pub(crate) fn choice(name: &str, value: &str, label: &str, chosen: &str) -> Markup {
    html! {
        label.choice {
            input type="radio" name=(name) value=(value) checked[value == chosen];
            span { (label) }
        }
    }
}
