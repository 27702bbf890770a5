//! The provider and the client of a login: those of the flags, else those that the node names at
//! `GET /auth/config`, which needs no credentials.

use anyhow::anyhow;
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::client::Client;

/// A provider that a node takes tokens of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IssuerChoice {
    /// The issuer, exactly as the provider writes it.
    pub(super) issuer: String,
    /// The client that the command line is there.
    pub(super) client_id: String,
}

/// Chooses the provider. The node is asked only for what the flags leave out.
///
/// # Errors
///
/// Sentences for people: the node takes no tokens, or more than one provider comes into question.
pub(super) async fn choose(
    node: &Client,
    server: &str,
    issuer: Option<&str>,
    client_id: Option<&str>,
) -> anyhow::Result<IssuerChoice> {
    if let (Some(issuer), Some(client_id)) = (issuer, client_id) {
        return Ok(IssuerChoice { issuer: issuer.to_owned(), client_id: client_id.to_owned() });
    }
    let answer = node.get("/auth/config", &[]).await.map_err(|error| {
        match error.downcast_ref::<Failure>() {
            Some(Failure::Refused { status: 404, .. }) => anyhow!(
                "the node at {server} is of a version that takes no tokens: keep a key pair with \
                 `scheduler0 login --key`, or upgrade it"
            ),
            _ => error,
        }
    })?;
    pick(&answer["data"], server, issuer, client_id).map_err(|message| anyhow!(message))
}

fn pick(
    data: &Value,
    server: &str,
    issuer: Option<&str>,
    client_id: Option<&str>,
) -> Result<IssuerChoice, String> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let known = data["issuers"].as_array().into_iter().flatten();
    let known: Vec<_> =
        known.filter_map(|one| Some((text(&one["issuer"])?, text(&one["clientId"])))).collect();
    let names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    let (found, their_client) = match (issuer, &known[..]) {
        (_, []) => {
            return Err(format!(
                "the node at {server} takes no tokens: name a provider in its OidcIssuers \
                 (OidcIssuer), or keep a key pair with `scheduler0 login --key`"
            ));
        }
        (None, [one]) => one.clone(),
        (None, _) => {
            return Err(format!(
                "the node at {server} takes tokens of several providers: name one with --issuer \
                 ({names})"
            ));
        }
        (Some(issuer), all) => {
            all.iter().find(|(name, _)| name == issuer).cloned().ok_or_else(|| {
                format!(
                    "the node at {server} takes no tokens of {issuer}, but of {names}: name one of \
                     these, or add it to the node's OidcIssuers"
                )
            })?
        }
    };
    let client_id = client_id.map(str::to_owned).or(their_client).ok_or_else(|| {
        format!(
            "the node at {server} names no client for {found}: give --client-id, or set ClientId \
             in its OidcIssuers"
        )
    })?;
    Ok(IssuerChoice { issuer: found, client_id })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picked(data: &Value, issuer: Option<&str>, client: Option<&str>) -> Result<String, String> {
        let picked = pick(&json!({"issuers": data}), "http://n", issuer, client);
        picked.map(|IssuerChoice { issuer, client_id }| format!("{issuer} {client_id}"))
    }

    #[test]
    fn the_node_says_which_provider_unless_the_user_does() {
        let one = json!([{"issuer": "https://a", "clientId": "cli"}]);
        let two = json!([{"issuer": "https://a", "clientId": "cli"}, {"issuer": "https://b"}]);
        assert_eq!(picked(&one, None, None).unwrap(), "https://a cli");
        assert_eq!(picked(&one, None, Some("own")).unwrap(), "https://a own");
        assert_eq!(picked(&two, Some("https://a"), None).unwrap(), "https://a cli");
        for (data, issuer, wanted) in [
            (json!([]), None, "takes no tokens: name a provider in its OidcIssuers"),
            (Value::Null, None, "takes no tokens"),
            (two.clone(), None, "--issuer (https://a, https://b)"),
            (two, Some("https://b"), "give --client-id"),
            (one, Some("https://a/"), "takes no tokens of https://a/, but of https://a"),
        ] {
            let said = picked(&data, issuer, None).unwrap_err();
            assert!(said.contains(wanted), "{said}");
        }
    }
}
