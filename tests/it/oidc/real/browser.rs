//! A browser: it follows redirections, keeps cookies, and sends the form of a page. It has no
//! script, and one jar for the machine, as browsers have: cookies know no ports.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use url::Url;

/// The most redirections that are followed.
const MOST_REDIRECTIONS: usize = 20;

/// A browser with its cookies.
pub(crate) struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

/// A page that it shows.
#[derive(Debug)]
pub(crate) struct Shown {
    url: Url,
    pub(crate) text: String,
}

impl Browser {
    /// A browser without cookies.
    pub(crate) fn new() -> Self {
        // Another test may have set it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let none = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().redirect(none).no_proxy().build().unwrap();
        Self { http, cookies: BTreeMap::new() }
    }

    /// Opens an address.
    pub(crate) async fn open(&mut self, url: &str) -> Shown {
        self.go(Url::parse(url).unwrap(), None).await
    }

    /// Sends the first form of a page, with these fields beside its hidden ones.
    pub(crate) async fn submit(&mut self, page: &Shown, fields: &[(&str, &str)]) -> Shown {
        let form = between(&page.text, "<form", "</form>").expect("a form");
        let action = attribute(form.split('>').next().unwrap(), "action").unwrap();
        let mut all: BTreeMap<&str, &str> = BTreeMap::new();
        for input in form.split("<input").skip(1) {
            if attribute(input, "type") == Some("hidden") {
                all.insert(attribute(input, "name").unwrap(), attribute(input, "value").unwrap());
            }
        }
        all.extend(fields.iter().copied());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        self.go(page.url.join(action).unwrap(), Some(body)).await
    }

    async fn go(&mut self, mut url: Url, mut form: Option<String>) -> Shown {
        for _ in 0..MOST_REDIRECTIONS {
            let request = match form.take() {
                Some(body) => self
                    .http
                    .post(url.clone())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .header("origin", url.origin().ascii_serialization())
                    .body(body),
                None => self.http.get(url.clone()),
            };
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
            self.keep(answer.headers());
            let Some(location) = answer.headers().get(LOCATION) else {
                return Shown { url, text: answer.text().await.unwrap() };
            };
            url = url.join(location.to_str().unwrap()).unwrap();
        }
        panic!("{url} is the end of {MOST_REDIRECTIONS} redirections");
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(begin)?;
    Some(rest.split_once(end)?.0)
}

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    between(tag, &format!("{name}=\""), "\"")
}
