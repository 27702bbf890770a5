//! The login in a browser, which the test plays: the code flow, and every answer that is not
//! believed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::provider::Behavior;
use super::setup::Setup;
use crate::harness::Ended;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Begins a login, and has the browser bring back what `change` makes of the provider's answer.
/// Returns the page that the browser shows, and the end.
fn failing(setup: &Setup, change: impl Fn(String) -> String) -> (String, Ended) {
    let mut login = setup.start(&["login", "--no-browser", "--port", "0"], &[], "");
    let link = login.line_with("/auth?");
    let back = setup.provider.browse(link.trim()).location;
    let page = setup.provider.browse(&change(back)).text;
    let ended = login.end();
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert_eq!(setup.session(), Value::Null, "nothing is kept");
    (page, ended)
}

#[test]
fn a_login_in_the_browser_makes_a_session_that_commands_show() {
    let setup = Setup::new(Behavior::default());
    let mut login = setup.start(&["login", "--no-browser", "--port", "0", "--json"], &[], "");
    let link = login.line_with("/auth?");
    assert!(link.contains("scope=openid+profile+offline_access"), "{link}");
    let back = setup.provider.browse(link.trim());
    assert_eq!(back.status, 303, "{}", back.text);
    let page = setup.provider.browse(&back.location);
    assert!(page.text.contains("The provider has let you in"), "{}", page.text);
    let ended = login.end();
    assert_eq!(ended.code, 0, "{}", ended.err);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(told["data"]["subject"], "user-1");
    assert_eq!(told["data"]["whoami"]["kind"], "token");
    for secret in ["at-1", "rt-1"] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret}");
    }
    assert_eq!((mode(&setup.file()), mode(setup.file().parent().unwrap())), (0o600, 0o700));
    assert_eq!(setup.session()["accessToken"], "at-1");

    let listed = setup.run(&["list", "projects"]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    assert_eq!(
        (setup.shown("authorization"), setup.shown("x-peer")),
        ("Bearer at-1".into(), String::new())
    );
    let whoami = setup.run(&["whoami", "--json"]);
    let told: Value = serde_json::from_str(&whoami.out).unwrap();
    assert_eq!((&told["data"]["kind"], &told["data"]["name"]), (&"token".into(), &"ada".into()));
    assert!(whoami.err.contains("by the session"), "{}", whoami.err);
}

#[test]
fn the_browser_of_the_desktop_is_opened_with_the_link() {
    let setup = Setup::new(Behavior::default());
    let folder = setup.home().join("bin");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("xdg-open");
    let script = "#!/bin/sh\nprintf %s \"$1\" > \"$HOME/opened.new\"\nmv \"$HOME/opened.new\" \"$HOME/opened\"\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let variables = [("PATH", path.as_str()), ("DISPLAY", ":0")];
    let mut login = setup.start(&["login", "--port", "0"], &variables, "");
    login.line_with("opened in the browser");
    let link = login.line_with("/auth?");
    let back = setup.provider.browse(link.trim()).location;
    setup.provider.browse(&back);
    let ended = login.end();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("logged in at") && ended.err.contains("as ada"), "{}", ended.err);
    let opened = setup.home().join("opened");
    for _ in 0..600 {
        if opened.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(fs::read_to_string(opened).unwrap(), link.trim());
}

#[test]
fn an_answer_with_another_state_is_refused_before_its_code_is_used() {
    let setup = Setup::new(Behavior::default());
    let (page, ended) = failing(&setup, |back| back.replace("state=", "state=x"));
    assert!(ended.err.contains("its state differs") && ended.err.contains("log in again"));
    assert!(page.contains("its state differs"), "{page}");
    assert!(setup.provider.known().access.is_empty(), "no token was asked for");
}

#[test]
fn a_token_with_another_nonce_is_refused() {
    let behavior = Behavior { nonce: Some("another"), ..Behavior::default() };
    let (_, ended) = failing(&Setup::new(behavior), |back| back);
    assert!(ended.err.contains("its nonce differs"), "{}", ended.err);
}

#[test]
fn a_clock_that_is_wrong_is_named_as_the_cause() {
    let behavior = Behavior { id_token_life: -3_600, ..Behavior::default() };
    let (_, ended) = failing(&Setup::new(behavior), |back| back);
    assert!(ended.err.contains("the clock of this machine shows"), "{}", ended.err);
    assert!(ended.err.contains("set the clock"), "{}", ended.err);
}

#[test]
fn a_person_who_says_no_is_told_the_way_out() {
    let behavior = Behavior { authorize_error: Some("access_denied"), ..Behavior::default() };
    let (_, ended) = failing(&Setup::new(behavior), |back| back);
    assert!(ended.err.contains("the provider says error=access_denied"), "{}", ended.err);
    assert!(ended.err.contains("log in again and allow it"), "{}", ended.err);
}

#[test]
fn a_token_that_the_node_refuses_makes_no_session() {
    let setup = Setup::new(Behavior { unknown_to_node: true, ..Behavior::default() });
    let mut login = setup.start(&["login", "--no-browser", "--port", "0"], &[], "");
    let link = login.line_with("/auth?");
    let back = setup.provider.browse(link.trim()).location;
    setup.provider.browse(&back);
    let ended = login.end();
    assert_eq!(ended.code, 3, "{}", ended.err);
    assert!(ended.err.contains("the node does not take its token"), "{}", ended.err);
    assert!(ended.err.contains("unauthorized requests") && !ended.err.contains("at-1"));
    assert_eq!(setup.session(), Value::Null);
}

#[test]
fn a_port_that_is_taken_and_a_node_without_providers_are_named() {
    let setup = Setup::new(Behavior::default());
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let ended = setup.run(&["login", "--no-browser", "--port", &port]);
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(ended.err.contains(&format!("port {port} of this machine is taken")), "{}", ended.err);
    assert!(ended.err.contains("--port"), "{}", ended.err);

    let wrong = setup.run(&["login", "--issuer", "https://elsewhere.example"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("takes no tokens of https://elsewhere.example"), "{}", wrong.err);
    let plain = setup.run(&["login", "--issuer", "http://id.example.com", "--client-id", "cli"]);
    assert_eq!(plain.code, 2);
    assert!(plain.err.contains("must begin with https://"), "{}", plain.err);
    let gone = setup.run(&["login", "--issuer", "http://127.0.0.1:9", "--client-id", "cli"]);
    assert_eq!(gone.code, 4, "{}", gone.err);
    assert!(gone.err.contains("the provider http://127.0.0.1:9 cannot be reached"), "{}", gone.err);
}
