//! The files for containers in the repository: their documented properties hold, and the command
//! line accepts their commands. No container is started.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use clap::Parser as _;
use scheduler0::cli::Cli;
use scheduler0::config::{Config, LoadOptions};
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join("docker").join(name)).unwrap()
}

/// The compose file with its merge keys (`<<`) followed.
fn compose() -> Value {
    let mut yaml: serde_yaml::Value = serde_yaml::from_str(&text("docker-compose.yml")).unwrap();
    yaml.apply_merge().unwrap();
    serde_json::to_value(yaml).unwrap()
}

fn services() -> Vec<(String, Value)> {
    let services = compose()["services"].as_object().unwrap().clone();
    assert_eq!(services.len(), 3);
    services.into_iter().collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()).collect()
}

/// Asserts that the command line accepts a command.
fn assert_accepted(words: &[String]) {
    assert_eq!(words[0], "scheduler0");
    Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
}

#[test]
fn each_container_has_no_more_than_a_node_needs() {
    for (name, service) in services() {
        for (key, value) in [
            ("read_only", json!(true)),
            ("cap_drop", json!(["ALL"])),
            ("security_opt", json!(["no-new-privileges:true"])),
            ("ulimits", json!({"nofile": 65_536, "core": 0})),
        ] {
            assert_eq!(service[key], value, "{name}: {key}");
        }
        assert!(service["mem_limit"].is_string() && service["pids_limit"].is_u64(), "{name}");
        assert!(service.get("privileged").is_none() && service.get("cap_add").is_none(), "{name}");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:909"), "{name}: {port} is reached from outside");
        }
        // The data folder is a volume, the rest is read-only.
        let data = service["environment"]["SCHEDULER0_DATA_DIR"].as_str().unwrap();
        let volumes = texts(&service["volumes"]);
        assert!(volumes.iter().any(|v| v.ends_with(&format!(":{data}"))), "{name}: {volumes:?}");
    }
}

#[test]
fn secrets_are_files_and_not_in_the_environment() {
    let compose = compose();
    for (name, service) in services() {
        let secrets = texts(&service["secrets"]);
        for (key, value) in service["environment"].as_object().unwrap() {
            assert!(!key.ends_with("SECRET_KEY") && !key.ends_with("PASSWORD"), "{name}: {key}");
            let Some(value) = value.as_str().filter(|_| key.ends_with("_FILE")) else { continue };
            let secret = value.strip_prefix("/run/secrets/").unwrap();
            assert!(secrets.iter().any(|known| known == secret), "{name}: {key}");
            let file = compose["secrets"][secret]["file"].as_str().unwrap();
            assert!(file.starts_with("./secrets/"), "{file} is kept out of git and of the image");
        }
    }
    for ignored in [".gitignore", ".dockerignore"] {
        let text = fs::read_to_string(root().join(ignored)).unwrap();
        assert!(text.lines().any(|line| line.trim_start_matches('/') == "docker/secrets"));
    }
}

#[test]
fn the_nodes_are_configured_as_a_cluster_and_probed_by_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    for (name, service) in services() {
        let mut env = BTreeMap::new();
        for (key, value) in service["environment"].as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let secret = value.strip_prefix("/run/secrets/").map(|secret| {
                let file = folder.path().join(secret);
                let made = if secret == "secret_key" {
                    "0123456789abcdef".repeat(4)
                } else {
                    "p".repeat(32)
                };
                fs::write(&file, made).unwrap();
                file.display().to_string()
            });
            env.insert(key.clone(), secret.unwrap_or(value));
        }
        let work_dir = folder.path().to_owned();
        let options = LoadOptions { env, work_dir, ..LoadOptions::default() };
        let config = Config::load(&options).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((config.replicas.len(), config.warnings.len()), (3, 0), "{name}");
        assert_eq!(config.this_replica().unwrap().address, config.local_url(), "{name}");
        let start = [vec!["scheduler0".to_owned()], texts(&service["command"])].concat();
        assert_accepted(&start);
        let probe = texts(&service["healthcheck"]["test"]);
        assert_eq!(probe[0], "CMD");
        assert_accepted(&probe[1..]);
    }
}

#[test]
fn the_image_runs_without_privileges_and_has_no_tools() {
    let dockerfile = text("Dockerfile");
    let instructions: Vec<_> =
        dockerfile.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let at = |start: &str| instructions.iter().rposition(|line| line.starts_with(start)).unwrap();
    assert!(at("USER scheduler0") < at("ENTRYPOINT [\"scheduler0\"]"));
    assert!(!instructions.iter().any(|line| line.contains("curl")), "the binary probes itself");
    for (start, before) in [("  CMD [", ""), ("CMD [", "[\"scheduler0\", ")] {
        let line = instructions[at(start)];
        let list = line.trim_start().strip_prefix("CMD [").unwrap();
        let list = if before.is_empty() { format!("[{list}") } else { format!("{before}{list}") };
        assert_accepted(&texts(&serde_json::from_str(&list).unwrap()));
    }
}

#[test]
fn what_the_image_copies_is_enough_for_cargo_to_read_the_package() {
    let context = tempfile::tempdir().unwrap();
    let dockerfile = text("Dockerfile");
    for line in dockerfile.lines().filter(|line| !line.contains("--from=")) {
        let Some(words) = line.strip_prefix("COPY ") else { continue };
        let words: Vec<_> = words.split_whitespace().collect();
        let (target, sources) = words.split_last().unwrap();
        for source in sources {
            assert!(*target == "./" || *target == format!("./{source}"), "{line}");
            symlink(root().join(source), context.path().join(source)).unwrap();
        }
    }
    // Cargo reads the whole package before it looks for the target, and builds nothing then.
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--offline", "--bin", "none"])
        .current_dir(context.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no bin target named `none`") && said.contains("    scheduler0"),
        "{said}"
    );
}
