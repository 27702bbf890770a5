//! Key pairs that are kept like sessions, and which credentials a command shows where it has
//! several.

use serde_json::Value;

use super::provider::Behavior;
use super::setup::Setup;

#[test]
fn a_key_pair_is_kept_once_the_node_has_taken_it() {
    let setup = Setup::new(Behavior::default());
    let wrong = setup.start(&["login", "--key"], &[], "s0_k\nwrong\n").end();
    assert_eq!(wrong.code, 3, "{}", wrong.err);
    assert!(wrong.err.contains("the key pair was not kept"), "{}", wrong.err);
    assert_eq!(setup.session(), Value::Null);
    let half = setup.start(&["login", "--key"], &[], "s0_k\n\n").end();
    assert_eq!(half.code, 2);

    let login = setup.start(&["login", "--key"], &[], "s0_k\nhush\n").end();
    assert_eq!(login.code, 0, "{}", login.err);
    assert!(login.err.contains("the key s0_k") && !login.err.contains("hush"), "{}", login.err);
    assert_eq!(setup.session()["kind"], "key");
    assert_eq!(setup.run(&["list", "projects"]).code, 0);
    assert_eq!(
        (setup.shown("x-api-key"), setup.shown("x-secret-key")),
        ("s0_k".into(), "hush".into())
    );
    let logout = setup.run(&["logout"]);
    assert_eq!(logout.code, 0);
    assert!(logout.err.contains("its key pair goes on working elsewhere"), "{}", logout.err);
    assert_eq!(setup.session(), Value::Null);
}

#[test]
fn flags_come_before_the_environment_before_the_session_before_the_operator() {
    let setup = Setup::new(Behavior::default());
    let shown = |flags: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["list", "projects"], flags].concat();
        let ended = setup.start(&arguments, variables, "").end();
        assert_eq!(ended.code, 0, "{}", ended.err);
        format!("{}{}", setup.shown("authorization"), setup.shown("x-api-key"))
    };
    let pair = [("SCHEDULER0_API_KEY", "s0_k"), ("SCHEDULER0_API_SECRET", "hush")];
    let operator = "Basic b3A6cHc=";
    assert_eq!(shown(&[], &[]), operator);
    assert_eq!(shown(&[], &pair), "s0_k");
    setup.log_in();
    assert_eq!(shown(&[], &[]), "Bearer at-1");
    assert_eq!(shown(&[], &pair), "s0_k");
    assert_eq!(shown(&["--operator"], &pair), operator);

    let half = setup.start(&["list", "projects"], &pair[..1], "").end();
    assert_eq!(half.code, 2);
    assert!(half.err.contains("set both, or neither"), "{}", half.err);
}
