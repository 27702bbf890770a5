//! A provider of OpenID Connect on the loopback, which checks what a real one checks, and does
//! wrong what a test asks for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use scheduler0::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use url::form_urlencoded;

type Form = BTreeMap<String, String>;

/// What the provider does.
#[derive(Clone, Debug)]
pub(super) struct Behavior {
    /// It has a device flow.
    pub(super) device: bool,
    /// The errors that the next questions of the device flow get.
    pub(super) device_errors: VecDeque<&'static str>,
    /// The error that the person's answer in the browser is.
    pub(super) authorize_error: Option<&'static str>,
    /// A nonce in place of that of the request.
    pub(super) nonce: Option<&'static str>,
    /// Seconds from now to the end of each `id_token`.
    pub(super) id_token_life: i64,
    /// The life of the first access tokens in seconds; that of refreshed ones is an hour.
    pub(super) first_life: u64,
    /// The error that refreshes get.
    pub(super) refresh_error: Option<&'static str>,
    /// Tokens are not revoked: it answers 500.
    pub(super) revokes_nothing: bool,
    /// No node takes its tokens.
    pub(super) unknown_to_node: bool,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            device: false,
            device_errors: VecDeque::new(),
            authorize_error: None,
            nonce: None,
            id_token_life: 300,
            first_life: 3_600,
            refresh_error: None,
            revokes_nothing: false,
            unknown_to_node: false,
        }
    }
}

/// What the provider knows.
#[derive(Default)]
pub(super) struct Known {
    pub(super) behavior: Behavior,
    /// The requests for codes, by code.
    codes: BTreeMap<String, Form>,
    issued: usize,
    /// The access tokens that nodes take.
    pub(super) access: Vec<String>,
    /// The refresh tokens that are not used up.
    refresh: Vec<String>,
    pub(super) refreshes: usize,
    /// The tokens that were revoked, each with its hint.
    pub(super) revoked: Vec<(String, String)>,
    /// The instants of the questions of the device flow.
    pub(super) polled: Vec<Instant>,
}

#[derive(Clone)]
struct Shared {
    issuer: String,
    known: Arc<Mutex<Known>>,
    /// Refreshes are answered while it is open.
    gate: watch::Receiver<bool>,
}

/// A running provider; it ends with its runtime.
pub(super) struct Provider {
    pub(super) issuer: String,
    known: Arc<Mutex<Known>>,
    gate: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
}

/// An answer to a browser.
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) location: String,
    pub(super) text: String,
}

impl Provider {
    /// Starts it on a free port.
    pub(super) fn start(behavior: Behavior) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let issuer = format!("http://{}/realms/test", listener.local_addr().unwrap());
        let known = Arc::new(Mutex::new(Known { behavior, ..Known::default() }));
        let (gate, open) = watch::channel(true);
        let shared = Shared { issuer: issuer.clone(), known: known.clone(), gate: open };
        let router = Router::new()
            .route("/realms/test/.well-known/openid-configuration", get(metadata))
            .route("/auth", get(authorize))
            .route("/token", post(token))
            .route("/device", post(device))
            .route("/revoke", post(revoke))
            .route("/jwks", get(async || axum::Json(json!({"keys": []}))))
            .with_state(shared);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { issuer, known, gate, runtime }
    }

    /// What it knows, for a test to look at and to change.
    pub(super) fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// Holds the answers to refreshes back, or lets them go.
    pub(super) fn open_gate(&self, open: bool) {
        self.gate.send_replace(open);
    }

    /// What a browser gets, which follows no redirection by itself.
    pub(super) fn browse(&self, url: &str) -> Seen {
        let _ = rustls::crypto::ring::default_provider().install_default();
        self.runtime.block_on(async {
            let none = reqwest::redirect::Policy::none();
            let http = reqwest::Client::builder().redirect(none).no_proxy().build().unwrap();
            let answer = http.get(url).send().await.unwrap();
            let location = answer.headers().get(header::LOCATION);
            let location = location.map_or("", |value| value.to_str().unwrap()).to_owned();
            let status = answer.status().as_u16();
            Seen { status, location, text: answer.text().await.unwrap() }
        })
    }

    /// Returns whether a node takes the token of this header.
    pub(super) fn is_good(known: &Mutex<Known>, authorization: Option<&str>) -> bool {
        let known = known.lock().unwrap();
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let is_issued = token.is_some_and(|token| known.access.iter().any(|one| one == token));
        is_issued && !known.behavior.unknown_to_node
    }

    /// A handle on what it knows.
    pub(super) fn shared(&self) -> Arc<Mutex<Known>> {
        self.known.clone()
    }
}

fn form(text: &[u8]) -> Form {
    form_urlencoded::parse(text).into_owned().collect()
}

fn refusal(error: &str) -> Response {
    let body = json!({"error": error, "error_description": format!("the test says {error}")});
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

async fn metadata(State(shared): State<Shared>) -> Response {
    let base = shared.issuer.trim_end_matches("/realms/test");
    let mut all = json!({
        "issuer": shared.issuer,
        "authorization_endpoint": format!("{base}/auth"),
        "token_endpoint": format!("{base}/token"),
        "revocation_endpoint": format!("{base}/revoke"),
        "jwks_uri": format!("{base}/jwks"),
        "scopes_supported": ["openid", "profile", "offline_access"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    if shared.known.lock().unwrap().behavior.device {
        all["device_authorization_endpoint"] = format!("{base}/device").into();
    }
    axum::Json(all).into_response()
}

/// The person is asked, and answers at once.
async fn authorize(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let asked = form(query.unwrap_or_default().as_bytes());
    let mut known = shared.known.lock().unwrap();
    let is_whole = asked["response_type"] == "code"
        && asked["client_id"] == "cli"
        && asked["code_challenge_method"] == "S256"
        && asked["scope"].split(' ').any(|scope| scope == "openid");
    let mut back = url::Url::parse(&asked["redirect_uri"]).unwrap();
    if !is_whole || back.host_str() != Some("localhost") || back.path() != "/callback" {
        return refusal("invalid_request");
    }
    back.query_pairs_mut().append_pair("state", &asked["state"]).append_pair("iss", &shared.issuer);
    if let Some(error) = known.behavior.authorize_error {
        back.query_pairs_mut().append_pair("error", error);
    } else {
        let code = format!("code-{}", known.codes.len());
        back.query_pairs_mut().append_pair("code", &code);
        known.codes.insert(code, asked);
    }
    (StatusCode::SEE_OTHER, [(header::LOCATION, back.to_string())]).into_response()
}

async fn device(State(shared): State<Shared>, body: Bytes) -> Response {
    if form(&body).get("client_id").map(String::as_str) != Some("cli") {
        return refusal("invalid_client");
    }
    axum::Json(json!({
        "device_code": "device-secret", "user_code": "ABCD-EFGH", "expires_in": 600, "interval": 1,
        "verification_uri": format!("{}/enter", shared.issuer),
    }))
    .into_response()
}

async fn token(State(shared): State<Shared>, body: Bytes) -> Response {
    let asked = form(&body);
    let text = |name: &str| asked.get(name).map_or("", String::as_str);
    if text("client_id") != "cli" {
        return refusal("invalid_client");
    }
    match text("grant_type") {
        "authorization_code" => {
            let mut known = shared.known.lock().unwrap();
            let Some(request) = known.codes.remove(text("code")) else {
                return refusal("invalid_grant");
            };
            let challenge = BASE64.encode(Sha256::digest(text("code_verifier")));
            if challenge != request["code_challenge"]
                || text("redirect_uri") != request["redirect_uri"]
            {
                return refusal("invalid_grant");
            }
            let nonce = known.behavior.nonce.map_or(request["nonce"].clone(), str::to_owned);
            issue(&shared.issuer, &mut known, Some(&nonce))
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            let mut known = shared.known.lock().unwrap();
            known.polled.push(Instant::now());
            match known.behavior.device_errors.pop_front() {
                _ if text("device_code") != "device-secret" => refusal("invalid_grant"),
                Some(error) => refusal(error),
                None => issue(&shared.issuer, &mut known, None),
            }
        }
        "refresh_token" => {
            shared.known.lock().unwrap().refreshes += 1;
            let mut gate = shared.gate.clone();
            gate.wait_for(|open| *open).await.unwrap();
            let mut known = shared.known.lock().unwrap();
            if let Some(error) = known.behavior.refresh_error {
                return refusal(error);
            }
            // A refresh token is good once.
            let Some(at) = known.refresh.iter().position(|one| one == text("refresh_token")) else {
                return refusal("invalid_grant");
            };
            known.refresh.remove(at);
            known.behavior.first_life = 3_600;
            issue(&shared.issuer, &mut known, None)
        }
        _ => refusal("unsupported_grant_type"),
    }
}

fn issue(issuer: &str, known: &mut Known, nonce: Option<&str>) -> Response {
    known.issued += 1;
    let (access, refresh) = (format!("at-{}", known.issued), format!("rt-{}", known.issued));
    known.access = vec![access.clone()];
    known.refresh.push(refresh.clone());
    let ends = SystemClock.wall() / 1_000 + known.behavior.id_token_life;
    let claims = json!({
        "iss": issuer, "aud": "cli", "sub": "user-1", "preferred_username": "ada", "exp": ends,
        "nonce": nonce,
    });
    let id_token = format!("e30.{}.c2ln", BASE64.encode(claims.to_string()));
    let body = json!({
        "access_token": access, "refresh_token": refresh, "id_token": id_token,
        "token_type": "Bearer", "expires_in": known.behavior.first_life,
    });
    axum::Json(body).into_response()
}

async fn revoke(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = form(&body);
    let mut known = shared.known.lock().unwrap();
    if known.behavior.revokes_nothing {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    assert!(!headers.contains_key(header::AUTHORIZATION), "the client has no secret");
    let text = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let (token, hint) = (text("token"), text("token_type_hint"));
    known.access.retain(|one| *one != token);
    known.refresh.retain(|one| *one != token);
    known.revoked.push((token, hint));
    StatusCode::OK.into_response()
}

/// The configuration of a node that takes the tokens of an issuer.
pub(super) fn config(issuer: &str) -> Value {
    json!({"issuers": [{"issuer": issuer, "clientId": "cli"}]})
}
