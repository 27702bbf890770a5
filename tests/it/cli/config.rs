//! `config init`, `config show` and `config check`: the files that they write and the mistakes that
//! they name before a node starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::fake::{code, scheduler0, stderr, stdout, with_input};

#[test]
fn config_init_writes_what_was_answered_and_never_overwrites_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    let said = with_input(folder.path(), &["config", "init"], "7\n\n\n9191\n/srv/s0\n");
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let text = fs::read_to_string(&file).unwrap();
    for line in
        ["NodeId: 7", "# Host: 127.0.0.1", "Port: 9191", "DataDir: /srv/s0", "# MaxWorkers: 64"]
    {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    let said = scheduler0(folder.path(), &["config", "init", "--yes"]);
    assert_eq!(code(&said), 2, "as credential init and backup say it");
    assert!(stderr(&said).contains("--force"), "{}", stderr(&said));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    fs::write(&file, "RaftAddress: 127.0.0.1:7072\nMaxQueue: 3\n").unwrap();
    let said = scheduler0(folder.path(), &["config", "init", "--yes", "--force", "--port", "1"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let text = fs::read_to_string(&file).unwrap();
    let keys: Vec<_> =
        text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', ' '])).collect();
    assert_eq!(keys, ["Port: 1"], "nothing of the old file is left");
}

#[test]
fn config_init_asks_for_no_port_that_the_list_of_nodes_has() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = "1,http://127.0.0.1:9091,127.0.0.1:7071 2,http://127.0.0.1:9092,127.0.0.1:7072";
    let answers = format!("2\n{nodes}\n\n./two\n");
    let said = with_input(folder.path(), &["config", "init"], &answers);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let text = fs::read_to_string(folder.path().join("config.yml")).unwrap();
    for line in ["NodeId: 2", "Port: 9092", "Bootstrap: false", "DataDir: ./two"] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
}

#[test]
fn config_init_gives_each_node_of_a_list_its_own_port_and_one_of_them_the_founding() {
    for (id, port, bootstrap) in [(3, 9093, "false"), (2, 9092, "true"), (5, 80, "false")] {
        let folder = tempfile::tempdir().unwrap();
        let said = scheduler0(
            folder.path(),
            &[
                "config",
                "init",
                "--yes",
                "--node-id",
                &id.to_string(),
                "--replica",
                "3,http://127.0.0.1:9093,127.0.0.1:7073",
                "--replica",
                "2,http://127.0.0.1:9092,127.0.0.1:7072",
                "--replica",
                "5,http://node5,node5:7071",
            ],
        );
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let text = fs::read_to_string(folder.path().join("config.yml")).unwrap();
        assert!(text.contains("\"NodeId\":3"), "a number: {text}");
        let said = scheduler0(folder.path(), &["config", "show", "--json"]);
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let shown: Value = serde_json::from_str(&stdout(&said)).unwrap();
        let settings = shown["data"]["settings"].as_array().unwrap();
        let of = |key: &str| settings.iter().find(|s| s["key"] == key).unwrap()["value"].clone();
        assert_eq!((of("Port"), of("Bootstrap").to_string()), (json!(port), bootstrap.to_owned()));
        assert_eq!((of("NodeId"), of("Replicas").as_array().unwrap().len()), (json!(id), 3));
        assert_eq!(
            of("RaftAddress"),
            json!(format!(
                "{}:707{}",
                if id == 5 { "node5" } else { "127.0.0.1" },
                if id == 5 { 1 } else { id }
            ))
        );
    }
}

#[test]
fn config_show_and_check_say_what_a_node_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = scheduler0(folder.path(), &["config", "check"]);
    assert_eq!(code(&said), 2, "no secrets");
    assert!(stderr(&said).contains("SecretKey is not set"), "{}", stderr(&said));
    let made = scheduler0(
        folder.path(),
        &["credential", "init", "--generate", "--username", "op", "--password", "hunter2-hunter2-"],
    );
    assert_eq!(code(&made), 0);
    let said = scheduler0(folder.path(), &["config", "check", "--json"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let said = scheduler0(folder.path(), &["config", "show", "-o", "table", "--set", "Port=1"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let table = stdout(&said);
    let row = |key: &str| table.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(row("Port").contains("from a flag"), "{table}");
    assert!(row("AuthPassword").contains("(set)") && row("AuthPassword").contains(".scheduler0"));
    assert!(!table.contains("hunter2"), "{table}");
    fs::write(folder.path().join("config.yml"), "Prot: 1").unwrap();
    for command in ["check", "show"] {
        let said = scheduler0(folder.path(), &["config", command]);
        assert_eq!(code(&said), 2);
        assert!(stderr(&said).contains("did you mean Port?"), "{}", stderr(&said));
    }
}

#[test]
fn config_init_refuses_what_a_node_could_not_start_with() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, part) in [
        (&["--port", "many"][..], "Port (from a flag)"),
        (&["--set", "Prot=1"], "did you mean Port?"),
        (&["--replica", "2,http://a:1,a:2"], "Replicas"),
        (&["--replica", "nonsense"], "ID,ADDRESS,RAFT_ADDRESS"),
    ] {
        let mut arguments = vec!["config", "init", "--yes"];
        arguments.extend(flags);
        let said = scheduler0(folder.path(), &arguments);
        assert_eq!(code(&said), 2, "{flags:?}");
        assert!(stderr(&said).contains(part), "{flags:?}: {}", stderr(&said));
    }
    let said = scheduler0(folder.path(), &["config", "init"]);
    assert_eq!(code(&said), 2, "stdin at its end is no answer");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn secrets_that_can_be_guessed_or_read_are_refused_before_a_node_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".scheduler0");
    let short = ["credential", "init", "--generate", "--weak", "--password", "hunter2"];
    assert_eq!(code(&scheduler0(folder.path(), &short)), 0);
    for command in [&["start", "--port", "0"][..], &["dev", "--port", "0"], &["config", "check"]] {
        let said = scheduler0(folder.path(), command);
        assert_eq!(code(&said), 2, "{command:?}");
        for part in ["AuthPassword has 7 characters", "16 or more", "--weak"] {
            assert!(stderr(&said).contains(part), "{command:?}: {}", stderr(&said));
        }
        assert!(!stderr(&said).contains("hunter2"), "{}", stderr(&said));
    }
    let said = scheduler0(folder.path(), &["config", "check", "--weak"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));

    let repeated = "00".repeat(32);
    let placeholder = ["credential", "init", "--force", "--generate", "--secret-key", &repeated];
    let said = scheduler0(folder.path(), &placeholder);
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("SecretKey is one byte"), "{}", stderr(&said));

    let made = scheduler0(folder.path(), &["credential", "init", "--force", "--generate"]);
    assert_eq!(code(&made), 0);
    assert_eq!(code(&scheduler0(folder.path(), &["config", "check"])), 0);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    for command in
        [&["config", "check"][..], &["start", "--port", "0"], &["status"], &["credential", "show"]]
    {
        let said = scheduler0(folder.path(), command);
        assert_eq!(code(&said), 2, "{command:?}: {}", stderr(&said));
        for part in [".scheduler0", "0644", "chmod 600", "--insecure"] {
            assert!(stderr(&said).contains(part), "{command:?}: {}", stderr(&said));
        }
    }
    let said = scheduler0(folder.path(), &["config", "check", "--insecure"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let said =
        scheduler0(folder.path(), &["config", "init", "--yes", "--set", "AuthPassword=hunter2"]);
    assert_eq!(code(&said), 2, "{}", stderr(&said));
}
