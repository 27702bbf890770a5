//! `Replicas`: reads the list of all nodes from the file, or as JSON from the environment, and
//! checks it against what this node says of itself. Called by `build` alone.

use serde_yaml::Value;

use super::reader::{Reader, describe};
use super::replica::{is_address, is_nowhere, split_address, url};
use super::{Error, Origin, Replica};
use crate::model::NodeId;

const KEY: &str = "Replicas";
/// The names an entry may have, in the casing of the file; read without regard to case and `_`.
const NAMES: [&str; 4] = ["Address", "RaftAddress", "NodeId", "Bootstrap"];

/// The list of nodes, and the values of this node that follow from it.
pub(super) struct Cluster {
    pub(super) replicas: Vec<Replica>,
    pub(super) raft_address: String,
    pub(super) node_adv_address: String,
    pub(super) bootstrap: bool,
}

/// Reads and checks the list; without one the node is the whole cluster.
pub(super) fn read(
    r: &Reader,
    node_id: NodeId,
    raft_address: &str,
    adv: &str,
    bootstrap: bool,
) -> Result<Cluster, Error> {
    let entries = entries(r)?;
    let mut cluster = Cluster {
        replicas: Vec::with_capacity(entries.len().max(1)),
        raft_address: raft_address.to_owned(),
        node_adv_address: adv.to_owned(),
        bootstrap,
    };
    if entries.is_empty() {
        cluster.replicas.push(Replica {
            node_id,
            address: adv.to_owned(),
            raft_address: raft_address.to_owned(),
        });
        check_own_ports(r, &cluster)?;
        return Ok(cluster);
    }
    let mut founders = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let (replica, founds) = entry_of(r, index, entry)?;
        if founds == Some(true) {
            founders.push(replica.node_id);
        }
        for other in &cluster.replicas {
            let clash = |what: &str, value: &str| {
                Err(r.fail(KEY, format!("{what} {value} is there twice, each node needs its own")))
            };
            if other.node_id == replica.node_id {
                return clash("NodeId", &replica.node_id.to_string());
            }
            if other.raft_address == replica.raft_address {
                return clash("RaftAddress", &replica.raft_address);
            }
            if other.address == replica.address {
                return clash("Address", &replica.address);
            }
        }
        cluster.replicas.push(replica);
    }
    cluster.replicas.sort_by_key(|replica| replica.node_id);
    check_founder(r, node_id, &founders, &mut cluster)?;
    check_self(r, node_id, &mut cluster)?;
    check_own_ports(r, &cluster)?;
    Ok(cluster)
}

/// Checks that at most one node founds the cluster, and that this node's `Bootstrap` agrees with
/// the list.
fn check_founder(
    r: &Reader,
    node_id: NodeId,
    founders: &[NodeId],
    cluster: &mut Cluster,
) -> Result<(), Error> {
    match founders {
        [founder] if *r.origin("Bootstrap") == Origin::Default => {
            cluster.bootstrap = *founder == node_id;
        }
        [founder] if *founder != node_id && cluster.bootstrap => {
            let message = format!(
                "two bootstraps: Replicas says that node {founder} founds the cluster, so Bootstrap must be false on node {node_id}"
            );
            return Err(r.fail("Bootstrap", message));
        }
        [] | [_] => {}
        [first, second, ..] => {
            let message = format!(
                "two bootstraps: nodes {first} and {second} have Bootstrap: true, only one may found the cluster"
            );
            return Err(r.fail(KEY, message));
        }
    }
    Ok(())
}

/// Checks that this node is in the list, at the address that it listens on.
fn check_self(r: &Reader, node_id: NodeId, cluster: &mut Cluster) -> Result<(), Error> {
    let Some(own) = cluster.replicas.iter().find(|replica| replica.node_id == node_id) else {
        let ids: Vec<_> = cluster.replicas.iter().map(|r| r.node_id.to_string()).collect();
        let message = format!(
            "this node (NodeId {node_id}) is not in the list, which has {}: add it, or correct NodeId",
            ids.join(", ")
        );
        return Err(r.fail(KEY, message));
    };
    if *r.origin("NodeAdvAddress") == Origin::Default {
        cluster.node_adv_address.clone_from(&own.address);
    }
    if *r.origin("RaftAddress") == Origin::Default {
        cluster.raft_address.clone_from(&own.raft_address);
    } else if own.raft_address != cluster.raft_address && !listens_everywhere(&cluster.raft_address)
    {
        let message = format!(
            "{} here and {} in this node's entry of Replicas: both must be the same (or listen on 0.0.0.0)",
            cluster.raft_address, own.raft_address
        );
        return Err(r.fail("RaftAddress", message));
    }
    Ok(())
}

/// The API and the other nodes cannot share a port.
fn check_own_ports(r: &Reader, cluster: &Cluster) -> Result<(), Error> {
    let (host, port) = (r.host()?, r.port()?);
    let Some((raft_host, raft_port)) = split_address(&cluster.raft_address) else { return Ok(()) };
    let same_host = raft_host.trim_matches(['[', ']']) == host;
    if port == raft_port && port != 0 && same_host {
        let message = format!("{} is where the API listens (Host, Port)", cluster.raft_address);
        return Err(r.fail("RaftAddress", message));
    }
    Ok(())
}

fn listens_everywhere(address: &str) -> bool {
    split_address(address).is_some_and(|(host, _)| matches!(host, "0.0.0.0" | "[::]"))
}

/// The list as the layer gave it: a YAML list, or JSON text.
fn entries(r: &Reader) -> Result<Vec<Value>, Error> {
    let (value, _) = r.layers.get(KEY);
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Sequence(entries) => Ok(entries.clone()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Sequence(entries)) => Ok(entries),
            Ok(_) => Err(r.fail(KEY, "expected a JSON array of nodes")),
            Err(e) => Err(r.fail(KEY, format!("expected a JSON array of nodes: {e}"))),
        },
        other => Err(r.fail(KEY, format!("expected a list of nodes, found {}", describe(other)))),
    }
}

fn entry_of(r: &Reader, index: usize, entry: &Value) -> Result<(Replica, Option<bool>), Error> {
    let fail = |message: String| Error::Invalid {
        key: format!("{KEY}[{index}]"),
        origin: r.origin(KEY).clone(),
        message,
    };
    let Value::Mapping(fields) = entry else {
        return Err(fail(format!(
            "expected Address, RaftAddress and NodeId, found {}",
            describe(entry)
        )));
    };
    let mut found: [Option<&Value>; NAMES.len()] = [None; NAMES.len()];
    for (name, value) in fields {
        let given = name.as_str().unwrap_or_default();
        let plain = given.replace('_', "");
        let Some(place) = NAMES.iter().position(|n| n.eq_ignore_ascii_case(&plain)) else {
            let like = NAMES.iter().max_by(|a, b| {
                strsim::jaro_winkler(&plain, a).total_cmp(&strsim::jaro_winkler(&plain, b))
            });
            let nearest = like.map(|n| (*n).to_owned());
            let key = format!("{KEY}[{index}].{given}");
            return Err(Error::Unknown { key, origin: r.origin(KEY).clone(), nearest });
        };
        found[place] = Some(value);
    }
    let [address, raft_address, node_id, bootstrap] = found;
    let text = |value: Option<&Value>, name: &str| match value {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(other) => Err(fail(format!("{name}: expected text, found {}", describe(other)))),
        None => Err(fail(format!("{name} is missing"))),
    };
    let node_id = match node_id {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
        None => return Err(fail("NodeId is missing".to_owned())),
    };
    let node_id = node_id
        .filter(|id| *id > 0)
        .ok_or_else(|| fail("NodeId: expected a whole number, 1 or more".to_owned()))?;
    let address = text(address, "Address")?;
    let address = url(&address)
        .ok_or_else(|| fail(format!("Address: expected http://host:port, found {address:?}")))?;
    let raft_address = text(raft_address, "RaftAddress")?;
    if !is_address(&raft_address) {
        return Err(fail(format!("RaftAddress: expected host:port, found {raft_address:?}")));
    }
    for (name, value) in [("Address", &address), ("RaftAddress", &raft_address)] {
        if is_nowhere(value) {
            let message = format!("{name}: {value} is nowhere that others could reach it at");
            return Err(fail(message));
        }
    }
    let bootstrap = match bootstrap {
        None | Some(Value::Null) => None,
        Some(Value::Bool(value)) => Some(*value),
        Some(other) => {
            return Err(fail(format!(
                "Bootstrap: expected true or false, found {}",
                describe(other)
            )));
        }
    };
    Ok((Replica { node_id, address, raft_address }, bootstrap))
}
