//! Tests of secrets in the configuration, and in files of their own.

use super::super::*;
use super::{load, load_with};

#[test]
fn secrets_are_read_and_never_shown() {
    let env = [
        ("SCHEDULER0_SECRET_KEY", "s3cr3t-key"),
        ("SCHEDULER0_AUTH_USERNAME", "us3r"),
        ("SCHEDULER0_AUTH_PASSWORD", "passw0rd"),
    ];
    let c = load_with("", &env, &[]).unwrap();
    assert!(c.secrets.is_complete());
    let shown = format!("{c:?}");
    assert!(!shown.contains("s3cr3t-key") && !shown.contains("passw0rd"), "{shown}");
    let message = load("AuthPassword: [hunter2]").unwrap_err().to_string();
    assert!(message.contains("AuthPassword") && !message.contains("hunter2"), "{message}");
}

#[test]
fn secrets_are_read_from_files_and_never_from_two_places() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "pass word\n").unwrap();
    let name = file.to_str().unwrap();
    let read = |env: &[(&str, &str)]| load_with("AuthPassword: other", env, &[]);
    let c = read(&[("SCHEDULER0_AUTH_PASSWORD_FILE", name)]).unwrap();
    assert_eq!((c.secrets.auth_password.as_str(), c.warnings.len()), ("pass word", 0));
    let c = read(&[("SCHEDULER0_AUTH_PASSWORD_FILE", "")]).unwrap();
    assert_eq!(c.secrets.auth_password, "other");
    for variable in ["SECRET_KEY", "AUTH_USERNAME", "AUTH_PASSWORD"] {
        let plain = format!("SCHEDULER0_{variable}");
        let of_file = format!("{plain}_FILE");
        let c = read(&[(&of_file, name)]).unwrap();
        let secrets = &c.secrets;
        let all = [&secrets.secret_key, &secrets.auth_username, &secrets.auth_password];
        assert!(all.contains(&&"pass word".to_owned()), "{variable}");
        let both = read(&[(&plain, "hunter2"), (&of_file, name)]).unwrap_err().to_string();
        assert!(both.contains(&plain) && both.contains(&of_file), "{both}");
        let blank = read(&[(&plain, " "), (&of_file, name)]).unwrap();
        assert!(blank.secrets == c.secrets, "blanks are as nothing, as everywhere");
        let gone = read(&[(&of_file, "/nowhere/secret")]).unwrap_err().to_string();
        assert!(gone.contains(&of_file) && gone.contains("/nowhere/secret"), "{gone}");
        for message in [both, gone] {
            assert!(!message.contains("hunter2") && !message.contains("pass word"), "{message}");
        }
    }
}

#[test]
fn a_secret_in_literal_quotes_keeps_them_and_is_warned_of() {
    for name in ["SecretKey", "AuthUsername", "AuthPassword"] {
        let variable = environment_name(name).unwrap();
        for value in ["\"hunter2\"", "'hunter2'"] {
            for c in [
                load_with("", &[(&variable, value)], &[]).unwrap(),
                load_with("", &[], &[(name, value)]).unwrap(),
                load(&format!("{name}: {value:?}")).unwrap(),
            ] {
                let secrets = &c.secrets;
                let all = [&secrets.secret_key, &secrets.auth_username, &secrets.auth_password];
                assert!(all.contains(&&value.to_owned()), "{name}");
                let [warning] = &c.warnings[..] else { panic!("{:?}", c.warnings) };
                assert!(warning.contains(name) && warning.contains("quotes"), "{warning}");
                assert!(warning.contains(&format!("{variable}_FILE")), "{warning}");
                assert!(!warning.contains("hunter2"), "{warning}");
            }
        }
    }
}

#[test]
fn a_secret_in_a_file_that_others_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yml");
    for (text, mode, warned) in [
        ("AuthPassword: hunter2", 0o644, true),
        ("AuthPassword: hunter2", 0o640, true),
        ("AuthPassword: hunter2", 0o600, false),
        ("AuthPassword: \"\"\nPort: 1", 0o644, false),
        ("Port: 1", 0o644, false),
    ] {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let options = LoadOptions { path: Some(path.clone()), ..LoadOptions::default() };
        let warnings = Config::load(&options).unwrap().warnings;
        assert_eq!(warnings.len(), usize::from(warned), "{text} {mode:o}: {warnings:?}");
        assert!(warnings.iter().all(|w| w.contains("chmod 600") && !w.contains("hunter2")));
    }
}
