//! A browser as far as HTTP goes: it keeps cookies, sends forms, and says where a request is from.

use std::cell::RefCell;
use std::collections::BTreeMap;

use axum::http::StatusCode;

use crate::harness::{Answer, ApiFixture};

/// Where the pages are, as the browser names it.
pub(super) const HOST: &str = "localhost:9091";
const ORIGIN: &str = "http://localhost:9091";

/// A browser at a node.
pub(super) struct Browser<'a> {
    pub(super) api: &'a ApiFixture,
    pub(super) cookies: RefCell<BTreeMap<String, String>>,
}

impl<'a> Browser<'a> {
    /// A browser without cookies.
    pub(super) fn new(api: &'a ApiFixture) -> Self {
        Self { api, cookies: RefCell::default() }
    }

    /// A browser that has signed in.
    pub(super) async fn signed_in(api: &'a ApiFixture, name: &str, secret: &str) -> Self {
        let browser = Self::new(api);
        let answer = browser.post("/ui/sign-in", &[("name", name), ("secret", secret)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", text(&answer));
        browser
    }

    /// A browser of the operator.
    pub(super) async fn operator(api: &'a ApiFixture) -> Self {
        Self::signed_in(api, "node", "pass").await
    }

    /// Opens an address.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("accept", "text/html")], "").await
    }

    /// Opens an address, and gives the page.
    pub(super) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        let page = text(&answer);
        assert_eq!(answer.status, StatusCode::OK, "{path}: {page}");
        page
    }

    /// Sends a form of a page.
    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from(path, fields, &[("origin", ORIGIN)]).await
    }

    /// Sends a form with these headers that say where it is from.
    pub(super) async fn post_from(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        from: &[(&str, &str)],
    ) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend_from_slice(from);
        self.send("POST", path, &headers, &form.finish()).await
    }

    /// Sends a request with the cookies, and keeps those of the answer.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let kept =
            self.cookies.borrow().iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
        let kept = kept.join("; ");
        let mut all = Vec::new();
        if !headers.iter().any(|(name, _)| *name == "host") {
            all.push(("host", HOST));
        }
        if !kept.is_empty() {
            all.push(("cookie", &kept));
        }
        all.extend_from_slice(headers);
        let answer = self.api.send_bare(method, path, &all, body).await;
        for line in answer.headers.get_all("set-cookie") {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut cookies = self.cookies.borrow_mut();
            if rest.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// The name and the value of the session's cookie.
    pub(super) fn session(&self) -> (String, String) {
        let cookies = self.cookies.borrow();
        let is_session = |name: &&String| name.len() == 11 && name.starts_with("s0_");
        let name = cookies.keys().find(is_session).unwrap().clone();
        let value = cookies[&name].clone();
        (name, value)
    }
}

/// The body of an answer.
pub(super) fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// The value of an input of a page.
pub(super) fn value<'p>(page: &'p str, name: &str) -> &'p str {
    let input = page.split(&format!("name=\"{name}\" value=\"")).nth(1);
    input.unwrap_or_else(|| panic!("no input {name}: {page}")).split('"').next().unwrap()
}

/// The message at an input.
pub(super) fn message(page: &str, name: &str) -> String {
    let hint = page.split(&format!("id=\"e-{name}\">")).nth(1);
    let hint = hint.unwrap_or_else(|| panic!("no hint {name}: {page}")).split("</p>").next();
    hint.unwrap().to_owned()
}
