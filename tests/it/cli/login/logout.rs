//! `logout`: the session is deleted here and its tokens are revoked at the provider.

use serde_json::Value;

use super::provider::Behavior;
use super::setup::Setup;

#[test]
fn both_tokens_are_revoked_and_the_session_is_gone() {
    let setup = Setup::new(Behavior::default());
    setup.log_in();
    let logout = setup.run(&["logout"]);
    assert_eq!(logout.code, 0, "{}", logout.err);
    let revoked = setup.provider.known().revoked.clone();
    let pair = |token: &str, hint: &str| (token.to_owned(), hint.to_owned());
    assert_eq!(revoked, [pair("rt-1", "refresh_token"), pair("at-1", "access_token")]);
    assert_eq!(setup.session(), Value::Null);
    let text = std::fs::read_to_string(setup.file()).unwrap();
    assert!(!text.contains("at-1") && !text.contains("rt-1"), "{text}");

    assert_eq!(setup.run(&["list", "projects"]).code, 0);
    assert_eq!(setup.shown("authorization"), "Basic b3A6cHc=", "the operator again");
    let again = setup.run(&["logout"]);
    assert_eq!(again.code, 0);
    assert!(again.err.contains("you are not logged in"), "{}", again.err);
}

#[test]
fn tokens_that_are_not_revoked_are_told_and_the_session_is_gone_all_the_same() {
    let setup = Setup::new(Behavior { revokes_nothing: true, ..Behavior::default() });
    setup.log_in();
    let logout = setup.run(&["logout", "--all"]);
    assert_eq!(logout.code, 1, "{}", logout.err);
    assert!(logout.err.contains("its tokens were not revoked"), "{}", logout.err);
    assert!(logout.err.contains("it answers 500"), "{}", logout.err);
    assert_eq!(setup.session(), Value::Null);
}
