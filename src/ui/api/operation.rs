//! `/ui/api/{id}`: one operation, with a form that sends it.

use axum::extract::{Extension, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use crate::api::openapi::{Operation, document};
use crate::listen::Connection;
use crate::ui::api::request::{
    Answered, Asked, InProcess, example, example_body, field, is_dry_run, parameters,
};
use crate::ui::api::schema::{folded, kind, reached, words};
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, LongForm};
use crate::ui::icons::icon;
use crate::ui::parts::{banner, card, chip, fact};
use crate::ui::shell::Place;
use crate::ui::words::length;

/// The field by which a person says that an operation with lasting effects is meant.
const MEANT: &str = "meant";
/// The ends of paths whose operations change many records, or what cannot be had back.
const LASTING: [&str; 15] = [
    "archive",
    "cleanup-old-logs",
    "delete",
    "drain",
    "edit",
    "end",
    "import",
    "leader",
    "pause",
    "purge",
    "replay",
    "restore",
    "resume",
    "rotate",
    "rotate-secret",
];

/// `GET /ui/api/{id}?example=`: the form of a read has the example in it. That of a change is
/// empty, so that no click changes a record that nobody named: its example is in the placeholders,
/// and its body is filled in on demand.
pub(crate) async fn show_operation(
    page: Page,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let operation = find(&id)?;
    let whole = examples(operation);
    let is_body_wanted = is_dry_run(operation)
        || (page.context.parameter("example").is_some() && !is_lasting(operation));
    let form = match operation.method {
        "GET" => whole.clone(),
        _ if is_body_wanted => Form::of(vec![("body".to_owned(), example_body(operation))]),
        _ => Form::default(),
    };
    Ok(shown(&page, operation, (&form, &whole), &html! {}))
}

/// The example of an operation as a form.
fn examples(operation: &Operation) -> Form {
    let parameters = parameters(operation).iter().map(|one| (field(one), example(one)));
    Form::of(parameters.chain([("body".to_owned(), example_body(operation))]).collect())
}

/// Says whether an operation replaces or removes what cannot be had back, or changes many records.
fn is_lasting(operation: &Operation) -> bool {
    let end = operation.path.rsplit('/').next().unwrap_or_default();
    matches!(operation.method, "DELETE" | "PUT") || LASTING.contains(&end)
}

/// `POST /ui/api/{id}`: sends the request of the form, and shows its answer.
pub(crate) async fn try_operation(
    Extension(InProcess(api)): Extension<InProcess>,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
    page: Page,
    Path(id): Path<String>,
    LongForm(form): LongForm,
) -> Result<Response, PageError> {
    let operation = find(&id)?;
    if !may_try(&page, operation) {
        let refused = crate::app::Error::forbidden("This operation cannot be tried here.");
        return Err(refused.into());
    }
    if is_lasting(operation) && form.text(MEANT).is_none() {
        let told = "Nothing was sent: tick the box above the button first.";
        let mut response = shown(&page, operation, (&form, &form), &banner("bad", told));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    }
    let connection = connection.map(|Extension(connection)| connection);
    let answered = Asked::of(operation, &form).send(api, &headers, connection).await;
    Ok(shown(&page, operation, (&form, &form), &answer(answered.as_ref())))
}

fn find(id: &str) -> Result<&'static Operation, PageError> {
    document().operation(id).ok_or_else(PageError::no_page)
}

/// Says whether who has signed in may send it from here: a stream does not end on a page.
fn may_try(page: &Page, operation: &Operation) -> bool {
    !operation.is_stream && operation.action.is_none_or(|action| page.may(action))
}

/// The page with a form, and with the request of another form as a command.
fn shown(
    page: &Page,
    operation: &Operation,
    (form, command): (&Form, &Form),
    answer: &Markup,
) -> Response {
    let json = operation.json();
    let origin = page.ui.app.config().public_url.as_ref().map_or_else(
        || page.ui.app.config().local_url(),
        |url| url.to_string().trim_end_matches('/').to_owned(),
    );
    let curl = Asked::of(operation, command).curl(&origin, operation.is_for_operators());
    let body = &json["requestBody"]["content"]["application/json"]["schema"];
    let responses = json["responses"].as_object();
    let answers: Vec<&Value> = responses.into_iter().flat_map(|all| all.values()).collect();
    let answer_schemas: Vec<_> = answers.iter().map(|one| data_of(one)).collect();
    let of_body = if body.is_null() { Vec::new() } else { reached(&[body]) };
    let of_answers = reached(&answer_schemas);
    let markup = html! {
        nav.crumbs aria-label="Path" { a href="/ui/api" { "API" } (icon("right")) span { (operation.tag) } }
        div.page-head { h1 { (words(&operation.summary)) } }
        p.lead-line {
            span.target { span.method { (operation.method) } code.break { "/api/v1" (operation.path) } }
        }
        @if let Some(about) = json["description"].as_str() { p.lead-line { span { (words(about)) } } }
        div.split {
            div.wide-column {
                (answer)
                (request(page, operation, form))
                @for name in &of_body { (folded(name, Some(name) == of_body.first())) }
            }
            div.side-column {
                (card("As a command", html! {}, html! { pre.pad data-copy { (curl) } }))
                (card("Answers", html! {}, statuses(operation)))
            }
        }
        @for name in of_answers.iter().filter(|name| !of_body.contains(name)) {
            (folded(name, Some(name) == of_answers.first()))
        }
    };
    page.document(Place::Elsewhere, &operation.summary.replace('`', ""), markup)
}

/// The schema of the data in an answer; null where there is none.
fn data_of(answer: &Value) -> &Value {
    &answer["content"]["application/json"]["schema"]["properties"]["data"]
}

fn request(page: &Page, operation: &Operation, form: &Form) -> Markup {
    let body = &operation.json()["requestBody"]["content"]["application/json"]["schema"];
    let may_try = may_try(page, operation);
    let class = if operation.method == "DELETE" { "button danger" } else { "button primary" };
    let has_example = !body.is_null()
        && operation.method != "GET"
        && form.raw("body").is_none()
        && !is_lasting(operation);
    let more = html! {
        span.grow {}
        @if operation.is_for_operators() { span.muted { "for operators" } }
        @if has_example { a href={ "/ui/api/" (operation.id) "?example=yes" } { "Fill in the example" } }
    };
    let inputs = html! {
        form.folded-body method="post" action={ "/ui/api/" (operation.id) } {
            @for parameter in parameters(operation) { (input(parameter, form)) }
            @if !body.is_null() {
                div.field {
                    label for="f-body" { "Body: " (kind(body)) }
                    textarea #f-body name="body" rows="10" spellcheck="false" placeholder=(example_body(operation)) { "\n" (form.raw("body").unwrap_or_default()) }
                }
            }
            @if may_try {
                @if is_lasting(operation) {
                    label.choice { input.pick type="checkbox" name=(MEANT) value="yes" required; span { "I mean it" } }
                }
                button class=(class) { "Send " (operation.method) }
                @if operation.method != "GET" { p.hint { "It is carried out as the API does: this changes what is stored." } }
            } @else if operation.is_stream {
                p.hint { "Its answer is too long for a page: use the command." }
            } @else {
                p.hint { "It needs the name and password of this cluster’s operator." }
            }
        }
    };
    card("Request", more, inputs)
}

fn input(parameter: &Value, form: &Form) -> Markup {
    let name = field(parameter);
    let about = parameter["description"].as_str().unwrap_or_default();
    let is_required = parameter["required"] == true;
    html! {
        div.field {
            label for={ "f-" (name) } {
                (parameter["name"].as_str().unwrap_or_default()) " "
                span.muted { (parameter["in"].as_str().unwrap_or_default()) ", " (kind(&parameter["schema"])) }
            }
            input id={ "f-" (name) } name=(name) value=(form.raw(&name).unwrap_or_default())
                placeholder=(example(parameter)) required[is_required] spellcheck="false" autocomplete="off" aria-describedby={ "e-" (name) };
            p.hint id={ "e-" (name) } { (words(about)) }
        }
    }
}

fn statuses(operation: &Operation) -> Markup {
    let components = &document().json["components"]["responses"];
    html! {
        dl.facts {
            @for (status, response) in operation.json()["responses"].as_object().into_iter().flatten() {
                @let named = response["$ref"].as_str().and_then(|name| name.rsplit('/').next());
                @let response = named.map_or(response, |name| &components[name]);
                (fact(status, html! {
                    (words(response["description"].as_str().unwrap_or_default()))
                    @let data = data_of(response);
                    @if !data.is_null() { div { (kind(data)) } }
                }))
            }
        }
    }
}

fn answer(answered: Option<&Answered>) -> Markup {
    let Some(answered) = answered else {
        return banner("bad", "There was no answer in time, or the request cannot be made.");
    };
    let class = if answered.status < 400 { "delivered" } else { "dead" };
    let took = length(i64::try_from(answered.took.as_millis()).unwrap_or(i64::MAX));
    let more = html! {
        (chip(class, &answered.status.to_string()))
        span.muted { "after " (took) }
    };
    let body = html! {
        dl.facts { @for (name, value) in &answered.headers { (fact(name, html! { code.break { (value) } })) } }
        @if answered.body.is_empty() { p.muted.pad { "There is no body." } }
        @else { pre.pad tabindex="0" aria-label="Body" data-copy { (answered.body) } }
        @if answered.is_cut { p.muted.pad { "There is more: the page shows the first 64 KB." } }
    };
    card("Answer", more, body)
}
