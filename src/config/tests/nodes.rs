//! Tests of the list of nodes and of the addresses in it.

use super::super::*;
use super::{THREE, load, load_with};

#[test]
fn the_list_of_nodes_is_checked_as_a_whole() {
    let entry = |id: u8| format!("{{Address: 'n{id}:1', RaftAddress: 'n{id}:2', NodeId: {id}}}");
    let list = |entries: &[String]| format!("Replicas: [{}]", entries.join(", "));
    let founder = |id: u8| entry(id).replace('}', ", Bootstrap: true}");
    let table = [
        (list(&[entry(1), entry(1)]), vec!["Replicas", "NodeId 1 is there twice"]),
        (
            list(&[entry(1), entry(2).replace("n2:2", "n1:2")]),
            vec!["Replicas", "RaftAddress n1:2 is there twice"],
        ),
        (
            list(&[entry(1), entry(2).replace("n2:1", "n1:1")]),
            vec!["Replicas", "Address http://n1:1 is there twice"],
        ),
        (
            list(&[entry(2), entry(3)]),
            vec!["Replicas", "NodeId 1) is not in the list, which has 2, 3"],
        ),
        (list(&[founder(1), founder(2)]), vec!["Replicas", "two bootstraps", "1 and 2"]),
        (
            format!("Bootstrap: true\n{}", list(&[entry(1), founder(2)])),
            vec!["Bootstrap", "two bootstraps", "node 2", "false on node 1"],
        ),
        (
            format!("RaftAddress: n9:2\n{}", list(&[entry(1)])),
            vec!["RaftAddress", "n9:2", "n1:2", "same"],
        ),
        (list(&["{NodeId: 1}".into()]), vec!["Replicas[0]", "Address is missing"]),
        (list(&["7".into()]), vec!["Replicas[0]", "found 7"]),
        (list(&[entry(0)]), vec!["Replicas[0]", "NodeId", "1 or more"]),
        (
            list(&[entry(1).replace("NodeId", "NodeIdent")]),
            vec!["Replicas[0].NodeIdent", "did you mean NodeId?"],
        ),
        (list(&[entry(1).replace("n1:2", "n1")]), vec!["Replicas[0]", "RaftAddress", "host:port"]),
        (list(&[entry(1).replace("n1:1", "a b")]), vec!["Replicas[0]", "Address"]),
        (list(&[entry(1).replace("n1:1", " n1:1")]), vec!["Replicas[0]", "Address"]),
        (list(&[entry(1).replace("n1:2", "n1:2 ")]), vec!["Replicas[0]", "RaftAddress"]),
        (list(&[entry(1).replace("n1:2", "n1:0")]), vec!["Replicas[0]", "RaftAddress"]),
        (list(&[entry(1).replace("n1:1", "0.0.0.0:1")]), vec!["Replicas[0]", "Address", "nowhere"]),
        (
            list(&[entry(1).replace("n1:2", "[::]:2")]),
            vec!["Replicas[0]", "RaftAddress", "nowhere"],
        ),
        ("Replicas: 3".into(), vec!["Replicas", "a list of nodes, found 3"]),
    ];
    for (file, parts) in table {
        let message = load(&file).expect_err(&file).to_string();
        for part in parts {
            assert!(message.contains(part), "{file}: {message}");
        }
    }
}

#[test]
fn a_node_finds_itself_in_the_list() {
    let c = load(&format!("NodeId: 3\nBootstrap: false\n{THREE}")).unwrap();
    assert_eq!(c.raft_address, "n3:7071");
    assert_eq!(c.node_adv_address, "http://n3:9091");
    let addresses: Vec<_> = c.replicas.iter().map(|r| r.address.as_str()).collect();
    assert_eq!(addresses, ["http://n1:9091", "http://n2:9091", "http://n3:9091"]);
    let c = load(&format!("RaftAddress: 0.0.0.0:7071\n{THREE}")).unwrap();
    assert_eq!((c.raft_address.as_str(), c.bootstrap), ("0.0.0.0:7071", true));
}

#[test]
fn the_list_comes_as_json_from_the_environment() {
    let json = r#"[{"address":"http://node1:9091","raft_address":"node1:7071","nodeId":1},
        {"address":"http://node2:9092","raft_address":"node2:7072","nodeId":2, "bootstrap": true}]"#;
    let c = load_with(THREE, &[("SCHEDULER0_REPLICAS", json)], &[]).unwrap();
    assert_eq!(c.replicas.len(), 2);
    assert_eq!((c.raft_address.as_str(), c.bootstrap), ("node1:7071", false));
    for (json, part) in [("[1", "JSON array"), ("{}", "JSON array"), ("[{}]", "NodeId is missing")]
    {
        let message = load_with("", &[("SCHEDULER0_REPLICAS", json)], &[]).unwrap_err().to_string();
        assert!(message.contains("SCHEDULER0_REPLICAS") && message.contains(part), "{message}");
    }
}

#[test]
fn addresses_for_listening_and_for_calling() {
    let c = load("Host: 0.0.0.0").unwrap();
    assert_eq!(c.listen_address(), "0.0.0.0:9091");
    assert_eq!(c.local_url(), "http://127.0.0.1:9091");
    let c = load("Host: '::'\nPort: 0").unwrap();
    assert_eq!((c.listen_address().as_str(), c.local_url().as_str()), ("[::]:0", "http://[::1]:0"));
}

#[test]
fn an_address_in_brackets_is_one_to_listen_on() {
    let c = load("Host: '[::1]'").unwrap();
    assert_eq!((c.host.as_str(), c.listen_address().as_str()), ("::1", "[::1]:9091"));
    assert_eq!(c.node_adv_address, "http://[::1]:9091");
}

#[test]
fn addresses_of_members_are_taken_as_typed_or_refused() {
    let whole = ("http://n1:9091".to_owned(), "n1:7071".to_owned());
    assert_eq!(check_addresses("http://n1:9091/", "n1:7071"), Ok(whole));
    for (address, raft_address, field) in [
        (" http://n1:9091", "n1:7071", "address"),
        ("http://n1:9091 ", "n1:7071", "address"),
        ("http://n\t1:9091", "n1:7071", "address"),
        ("http://n1:0", "n1:7071", "address"),
        ("http://n1:9091", "n1:7071\n", "raftAddress"),
        ("http://n1:9091", "n\u{0}1:7071", "raftAddress"),
        ("http://n1:9091", "n1:0", "raftAddress"),
    ] {
        let (named, message) = check_addresses(address, raft_address).unwrap_err();
        assert_eq!(named, field, "{address:?} {raft_address:?}: {message}");
        assert!(message.starts_with(field), "{message}");
    }
}
