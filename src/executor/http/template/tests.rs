//! Rendered requests: the values in their places, the errors, and the bounds.

use proptest::prelude::*;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use url::Url;
use zeroize::Zeroizing;

use super::*;
use crate::executor::template::{Fill, PLACEHOLDERS, unknown};
use crate::model::target::{Auth, HttpTarget, Sealed};
use crate::model::template::LONGEST_TYPE;

const FILL: Fill<'_> = Fill {
    execution_id: "c1-4d-19aa0",
    job: 77,
    scheduled: 1_763_700_000_000,
    attempt: 2,
    data: "a/b \"q\"\n?",
    template: "send_mail",
};

fn render(target: &HttpTarget, fill: &Fill<'_>, with: &Opened) -> Result<Rendered, Error> {
    let done = RequestTemplate::new(target, 2_000_000)?.render(fill, with)?;
    assert_eq!(done.parsed, Url::parse(&done.url).unwrap());
    Ok(done)
}

fn to(url: &str) -> HttpTarget {
    HttpTarget { method: "POST".to_owned(), url: url.to_owned(), ..HttpTarget::default() }
}

fn rendered(target: &HttpTarget) -> Rendered {
    render(target, &FILL, &Opened::default()).unwrap()
}

fn refused(target: &HttpTarget, data: &str) -> Error {
    render(target, &Fill { data, ..FILL }, &Opened::default()).unwrap_err()
}

fn lines<const N: usize>(of: [(&str, &str); N]) -> std::collections::BTreeMap<String, String> {
    of.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

#[test]
fn a_url_is_filled_in_piece_by_piece_and_its_query_appended() {
    for (url, expected) in [
        ("http://h/x", "http://h/x?k%26=v%20c1-4d-19aa0"),
        ("http://h/x?a=b", "http://h/x?a=b&k%26=v%20c1-4d-19aa0"),
        ("http://h:8/{{data}}", "http://h:8/a%2Fb%20%22q%22%0A%3F?k%26=v%20c1-4d-19aa0"),
        (
            "http://h?at={{scheduledAt}}",
            "http://h?at=2025-11-21T04%3A40%3A00Z&k%26=v%20c1-4d-19aa0",
        ),
        ("http://h/{{jobId}}.{{attempt}}#a", "http://h/77.2?k%26=v%20c1-4d-19aa0#a"),
    ] {
        let mut target = to(url);
        target.query = lines([("k&", "v {{executionId}}")]);
        assert_eq!(&*rendered(&target).url, expected, "{url}");
    }
}

#[test]
fn values_lead_to_no_other_host_or_path() {
    assert_eq!(refused(&to("http://h/a/{{data}}/b"), ".."), Error::Path);
    assert_eq!(refused(&to("http://h/a/{{data}}./b"), "."), Error::Path);
    assert!(
        render(&to("http://h/{{data}}/b"), &Fill { data: "...", ..FILL }, &Opened::default())
            .is_ok()
    );
    for url in ["http://{{data}}/", "http://h{{jobId}}/", "http://h:{{jobId}}/", "nonsense"] {
        assert_eq!(refused(&to(url), "evil.example"), Error::Url, "{url}");
    }
    // Not even by what looks like user information.
    let harmless = &to("http://h/{{data}}");
    let url = render(harmless, &Fill { data: "@evil.example/", ..FILL }, &Opened::default());
    assert_eq!(&*url.unwrap().url, "http://h/%40evil.example%2F");
}

#[test]
fn a_body_that_is_json_stays_json_and_any_other_is_text() {
    for (template, expected) in [
        (r#"{"n":"{{attempt}}","t":"{{data}}"}"#, r#"{"n":"2","t":"a/b \"q\"\n?"}"#),
        (r#"{"n":{{attempt}}}"#, r#"{"n":2}"#),
        ("{{data}}!", "a/b \"q\"\n?!"),
        ("", ""),
    ] {
        let target = HttpTarget { body: Some(template.to_owned()), ..to("http://h") };
        assert_eq!(rendered(&target).body, expected, "{template}");
    }
    assert_eq!(rendered(&to("http://h")).body, FILL.data, "without one the data is sent");
}

#[test]
fn the_content_type_says_what_the_body_is() {
    let kind = |target: &HttpTarget, data: &str| {
        let done = render(target, &Fill { data, ..FILL }, &Opened::default()).unwrap();
        let line = done.headers.iter().find(|(n, _)| *n == CONTENT_TYPE);
        line.map(|(_, v)| v.to_str().unwrap().to_owned())
    };
    let target = to("http://h");
    assert_eq!(kind(&target, "{\"a\":1}").as_deref(), Some("application/json"));
    assert_eq!(kind(&target, "a=1").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(kind(&target, ""), None);
    let own = HttpTarget { headers: lines([("Content-Type", "text/csv")]), ..target };
    assert_eq!(kind(&own, "a;1").as_deref(), Some("text/csv"));
}

#[test]
fn some_methods_have_no_body() {
    for (method, own, length) in [
        ("GET", true, 0),
        ("head", true, 0),
        ("DELETE", false, 0),
        ("DELETE", true, 1),
        ("PUT", true, 1),
    ] {
        let body = own.then(|| "x".to_owned());
        let target = HttpTarget { method: method.to_owned(), body, ..to("http://h") };
        let done = rendered(&target);
        assert_eq!((done.method.as_str(), done.body.len()), (&*method.to_uppercase(), length));
    }
    let odd = HttpTarget { method: "G ET".to_owned(), ..to("http://h") };
    assert_eq!(refused(&odd, ""), Error::Method);
}

#[test]
fn header_lines_are_one_line() {
    let target = HttpTarget { headers: lines([("X-Data", "<{{data}}>")]), ..to("http://h/") };
    let done = render(&target, &Fill { data: "grün", ..FILL }, &Opened::default());
    assert!(done.is_ok_and(|d| d.headers.iter().any(|(n, v)| n == "x-data" && !v.is_empty())));
    for data in ["a\r\nhost: evil", "a\nb", "\0", "\u{7f}"] {
        assert_eq!(refused(&target, data), Error::Header("X-Data".to_owned()), "{data:?}");
    }
}

#[test]
fn the_secret_goes_into_one_line_and_nowhere_else() {
    let sealed = || Sealed("sealed".to_owned());
    let opened =
        |s: &str| Opened { secret: Some(Zeroizing::new(s.to_owned())), ..Opened::default() };
    let basic = Auth::Basic { username: "Aladdin".to_owned(), password: sealed() };
    let basic = HttpTarget { auth: basic, ..to("http://h/") };
    let bearer = HttpTarget { auth: Auth::Bearer { token: sealed() }, ..to("http://h/") };
    for (target, secret, expected) in [
        (&basic, "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        (&bearer, "hunter2", "Bearer hunter2"),
    ] {
        let done = render(target, &FILL, &opened(secret)).unwrap();
        let line = done.headers.iter().find(|(n, _)| *n == AUTHORIZATION).unwrap();
        assert_eq!(line.1.to_str().unwrap(), expected);
        let shown = format!("{done:?} {:?}", opened(secret));
        assert!(!shown.contains(secret) && !shown.contains(expected), "{shown}");
        assert_eq!(refused(target, ""), Error::Secret);
    }
    let error = render(&bearer, &FILL, &opened("hunter2\n")).unwrap_err().to_string();
    assert!(error.contains("authorization") && !error.contains("hunter2"), "{error}");
}

#[test]
fn secret_headers_are_sent_as_they_are_and_shown_nowhere() {
    let secret_headers = [("X-Api-Key", "sealed"), ("Content-Type", "sealed")]
        .map(|(name, text)| (name.to_owned(), Sealed(text.to_owned())));
    let target = HttpTarget { secret_headers: secret_headers.into(), ..to("http://h/") };
    let values = [("X-Api-Key", "hunter2 {{data}}"), ("Content-Type", "text/hunter2")]
        .map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned())));
    let opened = Opened { headers: values.into(), ..Opened::default() };
    let done = render(&target, &FILL, &opened).unwrap();
    let lines: Vec<_> =
        done.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(lines, [("content-type", "text/hunter2"), ("x-api-key", "hunter2 {{data}}")]);
    let shown = format!("{done:?} {opened:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(refused(&target, ""), Error::Secret);
    for (value, error) in [
        ("x".repeat(MAX_HEADER), Error::TooLong(Bound::Header("X-Api-Key".to_owned()))),
        ("a\nb".to_owned(), Error::Header("X-Api-Key".to_owned())),
    ] {
        let mut opened = opened.clone();
        opened.headers.insert("X-Api-Key".to_owned(), value.into());
        assert_eq!(render(&target, &FILL, &opened).unwrap_err(), error);
    }
}

#[test]
fn double_braces_can_be_meant_as_they_are() {
    let target = HttpTarget {
        body: Some(r#"{"t":"{{{{}}data}} {{data}} }} {{{{}}"}"#.to_owned()),
        headers: lines([("X-T", "{{{{}}{{attempt}}}}")]),
        query: lines([("q", "{{{{}}")]),
        ..to("http://h/{{{{}}/{{jobId}}")
    };
    let done = rendered(&target);
    assert_eq!(done.body, r#"{"t":"{{data}} a/b \"q\"\n? }} {{"}"#);
    assert_eq!(&*done.url, "http://h/%7B%7B/77?q=%7B%7B");
    assert!(done.headers.iter().any(|(n, v)| n == "x-t" && v == "{{2}}"), "{done:?}");
    assert_eq!(unknown("{{{{}} {{data}} }}"), [""; 0]);
    assert_eq!(unknown("{{a}}{{data}}{{ data }} {{{{}}x}} {{"), ["a", " data ", ""]);
}

#[test]
fn unknown_placeholders_are_an_error() {
    let target = HttpTarget { body: Some("{{Data}}".to_owned()), ..to("http://h/") };
    let error = refused(&target, "");
    assert_eq!(error.to_string(), "http.body: nobody fills in {{Data}}");
    assert!(matches!(refused(&to("http://h/{{data"), ""), Error::Placeholder { .. }));
    for name in PLACEHOLDERS {
        let target = HttpTarget { body: Some(format!("{{{{{name}}}}}")), ..to("http://h/") };
        assert!(!rendered(&target).body.is_empty(), "{name}");
    }
}

#[test]
fn values_make_no_segment_that_leads_elsewhere() {
    for (url, data) in [
        ("http://h/tenants/{{data}}", ""),
        ("http://h/tenants/{{data}}", "."),
        ("http://h/tenants/{{data}}", ".."),
        ("http://h/tenants/{{data}}?x=1", ""),
        ("http://h/tenants/{{data}}#f", "."),
        ("http://h/tenants/{{data}}/", ""),
        ("http://h/tenants/{{data}}/x", ""),
        ("http://h/tenants/{{data}}/x", "."),
        ("http://h/{{data}}", ""),
        ("http://h/a/{{data}}{{data}}", "."),
        ("http://h/a/%2e{{data}}", ""),
        ("http://h/a/%2E{{data}}", "."),
        ("http://h/a/.{{data}}", ""),
        ("http://h\\a\\{{data}}", "."),
    ] {
        assert_eq!(refused(&to(url), data), Error::Path, "{url} {data:?}");
        let sizes = Sizes::new(&to(url)).unwrap();
        assert_eq!(
            sizes.check_data(&to(url), (data, FILL.template), 100),
            Err(Error::Path),
            "{url} {data:?}"
        );
    }
    for (url, data) in [
        ("http://h/tenants/{{data}}", "%2e%2e"),
        ("http://h/tenants/{{data}}", "/"),
        ("http://h/tenants/{{data}}", "..."),
        ("http://h/tenants/x{{data}}", ""),
        ("http://h/tenants/{{data}}{{jobId}}", ""),
        ("http://h/tenants/{{jobId}}/?q={{data}}", "."),
        ("http://h/?q={{data}}", ""),
        ("http://h/{{{{}}", ""),
    ] {
        let fill = Fill { data, ..FILL };
        assert!(render(&to(url), &fill, &Opened::default()).is_ok(), "{url} {data:?}");
        assert_eq!(
            Sizes::new(&to(url)).unwrap().check_data(&to(url), (data, FILL.template), 100),
            Ok(()),
            "{url}"
        );
    }
}

#[test]
fn the_type_of_a_template_is_filled_in_and_never_leads_elsewhere() {
    let target = HttpTarget {
        headers: lines([("X-Type", "<{{template}}>")]),
        body: Some(r#"{"type":"{{template}}"}"#.to_owned()),
        ..to("http://h/jobs/{{template}}?of={{template}}")
    };
    let done = rendered(&target);
    assert_eq!(done.url, "http://h/jobs/send_mail?of=send_mail");
    assert_eq!(done.body, r#"{"type":"send_mail"}"#);
    assert!(done.headers.iter().any(|(n, v)| n == "x-type" && v == "<send_mail>"), "{done:?}");
    let sizes = Sizes::new(&target).unwrap();
    // A job that no template made has no type.
    for template in ["", ".", ".."] {
        let filled = render(&target, &Fill { template, ..FILL }, &Opened::default());
        assert_eq!(filled.unwrap_err(), Error::Path, "{template:?}");
        assert_eq!(sizes.check_data(&target, ("x", template), 200), Err(Error::Path));
    }
    assert_eq!(sizes.check_data(&target, ("", "send_mail"), 200), Ok(()));
    let query = to("http://h/?of={{template}}");
    assert_eq!(Sizes::new(&query).unwrap().check_data(&query, ("", ""), 100), Ok(()));
    let longest = "x".repeat(LONGEST_TYPE);
    let url = to(&format!("http://h/{}{{{{template}}}}", "y".repeat(MAX_URL - 9 - LONGEST_TYPE)));
    assert_eq!(Sizes::new(&url).unwrap().check_data(&url, ("", &longest), 100), Ok(()));
    assert!(render(&url, &Fill { template: &longest, ..FILL }, &Opened::default()).is_ok());
}

#[test]
fn each_part_stops_at_its_bound() {
    let within = |target: &HttpTarget, data: &str| {
        let fill = Fill { data, ..FILL };
        let done = RequestTemplate::new(target, 1_000)?.render(&fill, &Opened::default())?;
        assert!(done.url.len() <= MAX_URL && done.body.len() <= 1_000);
        let all: Vec<_> = done.headers.iter().map(|(n, v)| n.as_str().len() + v.len()).collect();
        assert!(all.iter().all(|length| *length <= MAX_HEADER));
        Ok::<_, Error>(all.iter().sum::<usize>())
    };
    let x = |n: usize| "x".repeat(n);
    let in_query =
        HttpTarget { query: lines([("q", "{{data}}")]), body: Some(x(1)), ..to("http://h/") };
    let room = MAX_URL - "http://h/?q=".len();
    assert!(within(&in_query, &x(room)).is_ok());
    assert_eq!(within(&in_query, &x(room + 1)), Err(Error::TooLong(Bound::Url)));
    assert_eq!(within(&in_query, &"é".repeat(room / 6 + 1)), Err(Error::TooLong(Bound::Url)));
    let in_fragment = HttpTarget { body: Some(x(1)), ..to("http://h/#{{data}}") };
    assert_eq!(within(&in_fragment, &x(MAX_URL)), Err(Error::TooLong(Bound::Url)));
    let in_header =
        HttpTarget { headers: lines([("X-A", "{{data}}")]), body: Some(x(1)), ..to("http://h/") };
    assert!(within(&in_header, &x(MAX_HEADER - 3)).is_ok());
    let header = Error::TooLong(Bound::Header("X-A".to_owned()));
    assert_eq!(within(&in_header, &x(MAX_HEADER - 2)), Err(header.clone()));
    assert_eq!(
        header.to_string(),
        "http.headers: X-A would have more than 8192 bytes with what is filled in"
    );
    let names = ["x-a", "x-b", "x-c", "x-d", "x-e"];
    let headers = names.map(|name| (name, "{{data}}"));
    let in_headers = HttpTarget { headers: lines(headers), body: Some(x(1)), ..to("http://h/") };
    let each = MAX_HEADERS / names.len() - 3;
    assert!(within(&in_headers, &x(each)).unwrap() <= MAX_HEADERS + 64, "and the content type");
    assert_eq!(within(&in_headers, &x(each + 1)), Err(Error::TooLong(Bound::Headers)));
    let data_only = to("http://h/");
    assert!(within(&data_only, &x(1_000)).is_ok());
    assert_eq!(within(&data_only, &x(1_001)), Err(Error::TooLong(Bound::Body(1_000))));
    let json =
        HttpTarget { body: Some(r#"{"a":"{{data}}{{data}}"}"#.to_owned()), ..to("http://h/") };
    assert!(within(&json, &"\u{1}".repeat((1_000 - 8) / 12)).is_ok());
    assert_eq!(
        within(&json, &"\u{1}".repeat((1_000 - 8) / 12 + 1)),
        Err(Error::TooLong(Bound::Body(1_000)))
    );
}

/// Templates of URL, query, headers and body that repeat their placeholders.
fn amplifiers() -> impl Strategy<Value = (HttpTarget, String)> {
    let piece = prop_oneof![
        Just("{{data}}"),
        Just("{{executionId}}"),
        Just("{{scheduledAt}}"),
        Just("{{jobId}}{{attempt}}"),
        Just("{{{{}}"),
        Just("plain"),
        Just("é\" "),
    ];
    let template = || prop::collection::vec(piece.clone(), 0..20).prop_map(|all| all.concat());
    let line = || prop::collection::btree_map("[a-z]{1,9}", template(), 0..12);
    let data = prop_oneof!["[a-z.]{0,40}", "(?s:.{0,900})", "é{0,2000}", "[\u{1}\"]{0,2000}"];
    (template(), line(), line(), prop::option::of(template()), any::<bool>(), data).prop_map(
        |(path, query, headers, body, json, data)| {
            let path = path.replace(['\"', ' '], "");
            let body =
                body.map(
                    |text| {
                        if json { format!("[{}]", serde_json::Value::from(text)) } else { text }
                    },
                );
            let headers = headers.into_iter().map(|(n, v)| (format!("x-{n}"), v.replace('"', "")));
            let url = format!("http://h/p{path}?{path}#{path}");
            (HttpTarget { query, headers: headers.collect(), body, ..to(&url) }, data)
        },
    )
}

proptest! {
    #[test]
    fn admitted_requests_are_rendered_and_rendered_requests_keep_the_bounds(
        (target, data) in amplifiers(),
        job in any::<u64>(),
        attempt in any::<u32>(),
        scheduled in 0_i64..4_102_444_800_000,
    ) {
        const MAX_BODY: usize = 4_000;
        let fill = Fill { job, attempt, scheduled, data: &data, ..FILL };
        let template = RequestTemplate::new(&target, MAX_BODY).unwrap();
        let rendered = template.render(&fill, &Opened::default());
        let admitted = Sizes::new(&target).unwrap().check_data(&target, (&data, FILL.template), MAX_BODY);
        if let Err(error) = &rendered {
            prop_assert!(admitted.is_err(), "admitted, but {}", error);
        }
        if let Ok(done) = rendered {
            prop_assert!(done.url.len() <= MAX_URL && done.body.len() <= MAX_BODY);
            let own = done.headers.iter().filter(|(name, _)| *name != CONTENT_TYPE);
            let lengths: Vec<_> = own.map(|(n, v)| n.as_str().len() + v.len()).collect();
            prop_assert!(lengths.iter().all(|length| *length <= MAX_HEADER));
            prop_assert!(lengths.iter().sum::<usize>() <= MAX_HEADERS);
        }
    }
}
