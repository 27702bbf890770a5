//! The login on another device (RFC 8628): the default where there is no display, with pauses as
//! the provider asks for them.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use super::provider::Behavior;
use super::setup::Setup;

fn answering(errors: &[&'static str]) -> Setup {
    let device_errors: VecDeque<_> = errors.iter().copied().collect();
    Setup::new(Behavior { device: true, device_errors, ..Behavior::default() })
}

#[test]
fn without_a_display_the_code_is_entered_elsewhere_and_slow_down_is_obeyed() {
    let setup = answering(&["slow_down", "authorization_pending"]);
    // Without a display this flow is taken by itself.
    let login = setup.run(&["login"]);
    assert_eq!(login.code, 0, "{}", login.err);
    assert!(login.err.contains("enter the code ABCD-EFGH"), "{}", login.err);
    assert!(login.err.contains("/realms/test/enter"), "{}", login.err);
    assert!(!login.err.contains("device-secret"), "{}", login.err);
    assert_eq!(setup.session()["accessToken"], "at-1");
    let polled = setup.provider.known().polled.clone();
    let pauses: Vec<_> = polled.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // A second, which the provider asked for, and five more for `slow_down`, for good.
    assert!(pauses.len() == 2 && pauses.iter().all(|p| *p >= Duration::from_secs(6)), "{pauses:?}");
}

#[test]
fn a_refusal_ends_the_login_and_pending_does_not() {
    for (error, wanted) in [
        ("access_denied", "log in again and allow it"),
        ("expired_token", "nobody entered the code in time"),
    ] {
        let setup = answering(&["authorization_pending", error]);
        let login = setup.run(&["login", "--device"]);
        assert_eq!(login.code, 1, "{}", login.err);
        let code = format!("error={error}");
        assert!(login.err.contains(&code) && login.err.contains(wanted), "{}", login.err);
        assert_eq!(setup.provider.known().polled.len(), 2);
        assert_eq!(setup.session(), Value::Null);
    }
}

#[test]
fn a_provider_without_the_flow_is_named() {
    let setup = Setup::new(Behavior::default());
    let login = setup.run(&["login", "--device"]);
    assert_eq!(login.code, 1);
    assert!(login.err.contains("has no device flow: log in without --device"), "{}", login.err);
}
