//! Tests of the configuration: defaults, layers, and every error with the key that it names.

mod nodes;
mod oidc;
mod secrets;
mod targets;

use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// Loads with this file and these variables, in folders of its own.
fn load_with(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let pairs = |list: &[(&str, &str)]| {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
    };
    if !file.is_empty() {
        crate::secret::write_private(&folder.path().join(FILE), file.as_bytes()).unwrap();
    }
    Config::load(&LoadOptions {
        path: None,
        no_file: false,
        env: pairs(env).into_iter().collect(),
        flags: pairs(flags),
        work_dir: folder.path().to_owned(),
        binary_dir: None,
        for_node: true,
    })
}

fn load(file: &str) -> Result<Config, Error> {
    load_with(file, &[], &[])
}

const THREE: &str = "
Replicas:
  - { Address: 'http://n1:9091', RaftAddress: 'n1:7071', NodeId: 1 }
  - { Address: 'http://n2:9091/', RaftAddress: 'n2:7071', NodeId: 2 }
  - { Address: 'n3:9091', RaftAddress: 'n3:7071', NodeId: '3' }
";

#[test]
fn the_example_names_every_key_and_is_the_default() {
    assert!(layers::example_is_complete());
    let c = load("").unwrap();
    assert_eq!((c.host.as_str(), c.port, c.node_id, c.bootstrap), ("127.0.0.1", 9091, 1, true));
    assert_eq!(c.raft_address, "127.0.0.1:7071");
    assert_eq!(c.node_adv_address, "http://127.0.0.1:9091");
    assert_eq!(c.replicas.len(), 1);
    assert_eq!(c.this_replica().unwrap().raft_address, "127.0.0.1:7071");
    assert_eq!(c.raft_heartbeat_timeout, Duration::from_millis(150));
    assert_eq!(c.raft_election_timeout, Duration::from_millis(500));
    assert_eq!((c.raft_snapshot_threshold, c.payload_max_bytes), (8192, 2_000_000));
    assert_eq!((c.max_workers, c.max_queue, c.max_memory), (64, 1024, None));
    assert!(!c.metrics_auth && c.ui && c.public_url.is_none());
    assert_eq!(c.max_connections, 4_096);
    assert_eq!(c.history_max_age, Duration::from_hours(7 * 24));
    assert_eq!(c.history_max_bytes, 2_000_000_000);
    assert_eq!(c.dead_letters_max_age, Duration::from_hours(30 * 24));
    assert_eq!(c.audit_max_age, Duration::from_hours(400 * 24));
    assert_eq!(c.audit_max_bytes, 1_000_000_000);
    assert_eq!((c.allowed_origin, c.file, c.secrets.is_complete()), (None, None, false));
    assert_eq!(c.warnings, Vec::<String>::new());
}

#[test]
fn later_layers_win_and_empty_values_do_not_count() {
    let file = "Port: '1000'\nMaxQueue: 5\nHost:\nLogLevel: debug";
    let env = [("SCHEDULER0_PORT", "2000"), ("SCHEDULER0_MAX_QUEUE", ""), ("OTHER", "x")];
    let c = load_with(file, &env, &[]).unwrap();
    assert_eq!((c.port, c.max_queue, c.host.as_str()), (2000, 5, "127.0.0.1"));
    assert_eq!(c.log_level, LogLevel::Debug);
    assert!(c.file.unwrap().ends_with(FILE));
    let c = load_with(file, &env, &[("port", "3000")]).unwrap();
    assert_eq!(c.port, 3000);
}

#[test]
fn settings_of_simple_scheduler_count_where_none_of_ours_does() {
    let foreign = [("SIMPLE_SCHEDULER_API_URL", ":8081"), ("SIMPLE_SCHEDULER_MAX_JOBS", "5")];
    let c = load_with("", &foreign, &[]).unwrap();
    assert_eq!((c.host.as_str(), c.port), ("0.0.0.0", 8081));
    let [address, jobs] = &c.warnings[..] else { panic!("{:?}", c.warnings) };
    assert!(address.contains("Host 0.0.0.0 and Port 8081"), "{address}");
    assert!(jobs.contains("SIMPLE_SCHEDULER_MAX_JOBS has no meaning here"), "{jobs}");
    let own = [foreign[0], ("SCHEDULER0_PORT", "2000")];
    for (file, env, flags, port) in [
        ("Port: 1000", &foreign[..], &[][..], 1000),
        ("", &own[..], &[][..], 2000),
        ("", &foreign[..], &[("port", "3000")][..], 3000),
        ("NodeAdvAddress: n1:9091", &foreign[..], &[][..], 9091),
        (format!("NodeId: 1{THREE}").as_str(), &foreign[..], &[][..], 9091),
    ] {
        let c = load_with(file, env, flags).unwrap();
        assert_eq!(c.port, port, "{file}");
        assert_eq!(c.host, "127.0.0.1", "{file}: half of the address would open the API");
        assert!(c.warnings.iter().any(|said| said.contains("API_URL is ignored")), "{file}");
    }
    let wrong = load_with("", &[("SIMPLE_SCHEDULER_API_URL", "8081")], &[]).unwrap_err();
    assert!(wrong.to_string().contains("SIMPLE_SCHEDULER_API_URL"), "{wrong}");
}

#[test]
fn a_client_takes_no_address_out_of_the_variables_of_simple_scheduler() {
    let url = ("SIMPLE_SCHEDULER_API_URL".to_owned(), "elsewhere:8081".to_owned());
    let of_client = LoadOptions { env: [url].into(), no_file: true, ..LoadOptions::default() };
    let c = Config::load(&of_client).unwrap();
    assert_eq!(c.local_url(), "http://127.0.0.1:9091");
    assert_eq!(c.warnings, Vec::<String>::new());
    let node = Config::load(&LoadOptions { for_node: true, ..of_client }).unwrap();
    assert_eq!((node.host.as_str(), node.port), ("elsewhere", 8081));
}

#[test]
fn a_named_file_counts_alone_and_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), "Port: 1").unwrap();
    let named = folder.path().join("conf/other.yml");
    std::fs::create_dir(folder.path().join("conf")).unwrap();
    let options = |path: Option<PathBuf>, work_dir: &str| LoadOptions {
        path,
        work_dir: folder.path().join(work_dir),
        binary_dir: Some(folder.path().to_owned()),
        ..LoadOptions::default()
    };
    let missing = Config::load(&options(Some(named.clone()), "")).unwrap_err().to_string();
    assert!(missing.contains("other.yml"), "{missing}");
    std::fs::write(&named, "MaxQueue: 7").unwrap();
    let c = Config::load(&options(Some(named), "")).unwrap();
    assert_eq!((c.port, c.max_queue), (9091, 7));
    assert_eq!(c.places, [folder.path().join(""), folder.path().join("conf")]);
    let c = Config::load(&options(None, "conf")).unwrap();
    assert_eq!(c.port, 1, "beside the binary, when the working directory has none");
}

#[test]
fn every_key_is_read_from_its_variable() {
    let env: Vec<(String, &str)> =
        keys::KEYS.iter().map(|k| (environment_name(k.name).unwrap(), "nonsense \u{0}")).collect();
    assert!(env.iter().any(|(name, _)| name == "SCHEDULER0_PEER_CONNECT_RETRY_DELAY_SECONDS"));
    for (name, value) in &env {
        let free = ["NODE_ADV", "DATA_DIR", "BACKUP_DIR", "ALLOWED_ORIGIN", "SECRET_KEY", "AUTH_"];
        let result = load_with("", &[(name, value)], &[]);
        if free.iter().any(|part| name.contains(part)) {
            continue;
        }
        let message = result.expect_err(name).to_string();
        assert!(message.contains(name), "{name}: {message}");
    }
}

#[test]
fn errors_name_the_key_the_place_and_the_fix() {
    let table: &[(&str, &[&str])] = &[
        ("Prot: 1", &["unknown key Prot", "config.yml", "did you mean Port?"]),
        ("MaxWorker: 1", &["MaxWorker ", "did you mean MaxWorkers?"]),
        ("Zzzzzz: 1", &["unknown key Zzzzzz"]),
        ("Port: many", &["Port", "config.yml", "0 to 65535", "\"many\""]),
        ("MaxConnections: 15", &["MaxConnections", "from 16 to 4294967295", "15"]),
        ("MaxConnections: 5000000000", &["MaxConnections", "from 16 to 4294967295"]),
        ("Port: 70000", &["Port", "65535", "70000"]),
        ("Port: [1]", &["Port", "a list"]),
        ("Port: 1\nport: 2", &["Port and port set the same key"]),
        ("- 1", &["config.yml is not valid", "Key: value"]),
        ("a: b: c", &["config.yml is not valid", "line 1"]),
        ("NodeId: 0", &["NodeId", "1 or more"]),
        ("NodeId: -1", &["NodeId", "1 or more", "-1"]),
        ("NodeId: 1.5", &["NodeId", "1.5"]),
        ("Bootstrap: maybe", &["Bootstrap", "true or false"]),
        ("LogLevel: LOUD", &["LogLevel", "ERROR, WARN, INFO or DEBUG", "LOUD"]),
        ("LogFormat: xml", &["LogFormat", "text or json"]),
        ("Protocol: https", &["Protocol", "proxy"]),
        ("Protocol: gopher", &["Protocol", "gopher"]),
        ("Host: 'http://x'", &["Host", "without protocol"]),
        ("Host: 'a:1'", &["Host", "without protocol and port"]),
        ("RaftAddress: 7071", &["RaftAddress", "host:port"]),
        ("RaftAddress: '::1:7071'", &["RaftAddress", "host:port"]),
        ("RaftAddress: 127.0.0.1:9091", &["RaftAddress", "where the API listens"]),
        ("NodeAdvAddress: 'ftp://x'", &["NodeAdvAddress", "URL"]),
        ("NodeAdvAddress: '0.0.0.0:9'", &["NodeAdvAddress", "nowhere that others could reach"]),
        ("NodeAdvAddress: 'http://[::]:9'", &["NodeAdvAddress", "nowhere that others could reach"]),
        ("NodeAdvAddress: 'http://a:0'", &["NodeAdvAddress", "nowhere that others could reach"]),
        ("Host: '[::1'", &["Host", "without protocol"]),
        ("DataDir: \"'./data'\"", &["DataDir", "quotes", "leave them out"]),
        ("JobExecutionRetryMax: 101", &["JobExecutionRetryMax", "at most 100", "found 101"]),
        ("RaftTransportTimeout: 0", &["RaftTransportTimeout", "above 0"]),
        ("RaftTransportTimeout: .inf", &["RaftTransportTimeout"]),
        ("RaftApplyTimeout: 1e300", &["RaftApplyTimeout"]),
        ("MaxWorkers: 0", &["MaxWorkers", "1 or more", "found 0"]),
        ("MaxQueue: 0", &["MaxQueue", "1 or more"]),
        ("ExecutionLogFetchFanIn: 0", &["ExecutionLogFetchFanIn", "1 or more"]),
        ("HTTPExecutorPayloadMaxSizeMb: 0", &["HTTPExecutorPayloadMaxSizeMb", "above 0"]),
        ("MaxMemory: -1", &["MaxMemory", "0 or more"]),
        ("HistoryMaxDays: 0", &["HistoryMaxDays", "above 0"]),
        ("DeadLettersMaxDays: soon", &["DeadLettersMaxDays", "days above 0"]),
        ("AuditMaxDays: -1", &["AuditMaxDays", "days above 0"]),
        ("AuditMaxBytesMb: 0", &["AuditMaxBytesMb", "above 0"]),
        ("AuthPassword: 1234", &["AuthPassword", "in quotes"]),
        ("DataDir: { a: 1 }", &["DataDir", "a mapping"]),
        ("EgressProxy: 'proxy:3128'", &["EgressProxy", "http://user:password@host:port"]),
    ];
    for (file, parts) in table {
        let message = load(file).expect_err(file).to_string();
        for part in *parts {
            assert!(message.contains(part), "{file}: {message}");
        }
    }
}

#[test]
fn the_original_readme_s_values_work() {
    let file = "
JobInvocationDebounceDelay: 500
JobQueueDebounceDelay: 500
ExecutionLogFetchInterval: 2
MaxWorkers: 1
MaxQueue: 1
RaftSnapshotInterval: 1
RaftSnapshotThreshold: 1
RaftHeartbeatTimeout: 500
RaftElectionTimeout: 500
PeerAuthRequestTimeoutMs: 2
PeerConnectRetryDelaySeconds: 2
ExecutionLogFetchIntervalSeconds: 0.5
";
    let c = load(file).unwrap();
    assert_eq!((c.max_workers, c.max_queue), (1, 1));
    assert_eq!(c.raft_snapshot_threshold, Config::MIN_SNAPSHOT_THRESHOLD);
    assert_eq!(c.raft_election_timeout, Duration::from_millis(1_500));
    assert_eq!(c.peer_auth_request_timeout, Duration::from_secs(2));
    assert_eq!(c.peer_connect_retry_delay, Duration::from_secs(2));
    assert_eq!(c.execution_log_fetch_interval, Duration::from_millis(500));
    for key in [
        "JobInvocationDebounceDelay",
        "JobQueueDebounceDelay",
        "ExecutionLogFetchInterval",
        "RaftSnapshotThreshold",
        "RaftElectionTimeout",
        "PeerAuthRequestTimeoutMs",
    ] {
        assert!(c.warnings.iter().any(|w| w.starts_with(&format!("{key} "))), "{key}");
    }
    assert_eq!(c.warnings.len(), 6, "{:?}", c.warnings);
}

#[test]
fn a_slip_in_a_variable_is_an_error_and_a_stranger_s_is_not() {
    let one = |name: &str, value: &str| load_with("", &[(name, value)], &[]);
    let message = one("SCHEDULER0_NODEID", "2").unwrap_err().to_string();
    assert!(message.contains("did you mean SCHEDULER0_NODE_ID?"), "{message}");
    for (slip, meant) in [
        ("SCHEDULER0_PROT", "SCHEDULER0_PORT"),
        ("SCHEDULER0_HOSTS", "SCHEDULER0_HOST"),
        ("SCHEDULER0_LOG_LEVEL", "SCHEDULER0_LOGLEVEL"),
        ("SCHEDULER0_SECRETKEY_FILE", "SCHEDULER0_SECRET_KEY_FILE"),
        ("SCHEDULER0_AUTH_PASSWORD_FIL", "SCHEDULER0_AUTH_PASSWORD_FILE"),
    ] {
        let message = one(slip, "1").unwrap_err().to_string();
        assert!(message.contains(&format!("did you mean {meant}?")), "{message}");
    }
    for (name, value) in [
        ("SCHEDULER0_PORT", "tcp://10.0.0.1:9091"),
        ("SCHEDULER0_PORT", "udp://10.0.0.1:9091"),
        ("SCHEDULER0_PORT", "sctp://10.0.0.1:9091"),
        ("SCHEDULER0_PORT_9091_TCP_ADDR", "10.0.0.1"),
        ("SCHEDULER0_SERVICE_HOST", "10.0.0.1"),
        ("SCHEDULER0_SERVICE_PORT_HTTP", "9091"),
        ("SCHEDULER0_PORT_9091_TCP", "tcp://10.0.0.1:9091"),
        ("SCHEDULER0_PORT_9091_UDP_PROTO", "udp"),
        ("SCHEDULER0_PORT_9091_UDP", "udp://10.0.0.1:9091"),
        ("SCHEDULER0_API_KEY", "s0_x"),
        ("SCHEDULER0_BENCH_AMQP_PASSWORD", "x"),
        ("SCHEDULER0_JOB_QUEUE_DEBOUNCE_DELAY", "500"),
    ] {
        let c = one(name, value).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((c.port, c.warnings.len()), (9091, 1), "{name}");
    }
}

#[test]
fn what_stands_in_literal_quotes_is_refused_wherever_it_comes_from() {
    for key in keys::KEYS.iter().filter(|key| !keys::is_secret(key.name)) {
        let variable = environment_name(key.name).unwrap();
        for value in ["\"hunter2\"", "'hunter2'", " \"\" "] {
            for error in [
                load_with("", &[(&variable, value)], &[]).unwrap_err(),
                load_with("", &[], &[(key.name, value)]).unwrap_err(),
            ] {
                let message = error.to_string();
                assert!(message.contains(key.name) && message.contains("quotes"), "{message}");
                assert!(!message.contains("hunter2"), "{message}");
            }
        }
    }
}

#[test]
fn a_file_may_begin_with_a_byte_order_mark() {
    let c = load("\u{feff}Port: 1234\nMaxQueue: 7\n").unwrap();
    assert_eq!((c.port, c.max_queue), (1234, 7));
}

#[test]
fn blanks_are_no_value() {
    let c = load_with("Port: '  '", &[("SCHEDULER0_DATA_DIR", " ")], &[("Host", "")]).unwrap();
    assert_eq!((c.port, c.host.as_str()), (9091, "127.0.0.1"));
    assert_eq!(c.data_dir, PathBuf::from("./data"));
}

#[test]
fn settings_say_what_holds_and_where_it_came_from_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), format!("MaxQueue: 5\nNodeId: 2\n{THREE}")).unwrap();
    let env = [("SCHEDULER0_MAX_WORKERS", "7"), ("SCHEDULER0_AUTH_PASSWORD", "hunter2")];
    let (_, settings) = settings(&LoadOptions {
        env: env.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        flags: vec![("Port".to_owned(), "9092".to_owned())],
        work_dir: folder.path().to_owned(),
        ..LoadOptions::default()
    })
    .unwrap();
    let names: Vec<_> = settings.iter().map(|s| s.key).collect();
    assert_eq!(names, keys::KEYS.iter().map(|k| k.name).collect::<Vec<_>>());
    let of = |key: &str| {
        let found = settings.iter().find(|s| s.key == key).unwrap();
        (found.value.to_string(), found.from.clone())
    };
    let expected = [
        ("MaxQueue", "5", "config.yml"),
        ("MaxWorkers", "7", "SCHEDULER0_MAX_WORKERS"),
        ("Port", "9092", "flag"),
        ("LogLevel", "\"INFO\"", "built-in default"),
        ("RaftAddress", "\"n2:7071\"", "from Replicas"),
        ("NodeAdvAddress", "\"http://n2:9091\"", "from Replicas"),
        ("BackupDir", "\"./data/backups\"", "from DataDir"),
        ("AuthPassword", "\"(set)\"", "SCHEDULER0_AUTH_PASSWORD"),
        ("SecretKey", "\"\"", "built-in default"),
    ];
    for (key, value, from) in expected {
        let found = of(key);
        assert!(found.0 == value && found.1.contains(from), "{key}: {found:?}");
    }
    assert!(!format!("{settings:?}").contains("hunter2"));
}
