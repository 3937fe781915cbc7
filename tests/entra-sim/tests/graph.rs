//! The token endpoint and Graph as a client sees them: through the CONNECT proxy, on the real host names, over TLS.
#![allow(clippy::unwrap_used, missing_docs)]

mod strict_graph;

use std::time::Duration;

use entra_sim::directory::roles;
use entra_sim::directory::seed::{CONTOSO, FABRIKAM, NORTHWIND};
use entra_sim::{Knobs, Running, Settings, Simulation, control};
use reqwest::Method;
use serde_json::{Value, json};

const GRAPH: &str = "https://graph.microsoft.com/v1.0";
const GOOD_PASSWORD: &str = "Vq7-mRt2xLkd9";
/// A lag that no test outlives; a test ends it by turning the knob back.
const HOUR_MS: u64 = 3_600_000;
const GLOBAL_READER: &str = "f2ef992c-3afb-46b9-b7cf-a126ee74c451";

struct Lab {
    running: Running,
    client: reqwest::Client,
    tenant: &'static str,
    token: String,
}

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Lab {
    async fn start(tenant: &'static str, knobs: Knobs) -> Self {
        // Another test in this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = Simulation::start(Settings { knobs, ..Settings::default() }).await.unwrap();
        let certificate = reqwest::Certificate::from_pem(running.sim.authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(format!("http://127.0.0.1:{}", running.proxy_port)).unwrap())
            .tls_certs_only([certificate])
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let mut lab = Self { running, client, tenant, token: String::new() };
        lab.token = lab.fresh_token().await;
        lab
    }

    async fn contoso() -> Self {
        Self::start(CONTOSO, Knobs::default()).await
    }

    fn secret(&self) -> String {
        let directory = self.running.sim.directory();
        directory.tenant(self.tenant).unwrap().applications[0].secrets[0].value.clone()
    }

    fn client_id(&self) -> String {
        self.running.sim.directory().tenant(self.tenant).unwrap().applications[0].client_id.clone()
    }

    async fn ask_for_token(&self, host: &str, tenant: &str, change: &[(&str, &str)]) -> (u16, Value) {
        let (client_id, secret) = (self.client_id(), self.secret());
        let mut form = vec![
            ("client_id", client_id.as_str()),
            ("client_secret", &secret),
            ("scope", "https://graph.microsoft.com/.default"),
            ("grant_type", "client_credentials"),
            ("client_info", "1"),
            ("x-client-SKU", "a client that sends more than it must"),
        ];
        for (name, value) in change {
            form.retain(|(known, _)| known != name);
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        let url = format!("https://{host}/{tenant}/oauth2/v2.0/token?client-request-id=1");
        let response = self.client.post(url).form(&form).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn fresh_token(&self) -> String {
        let (status, body) = self.ask_for_token("login.microsoftonline.com", self.tenant, &[]).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn try_call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, format!("{GRAPH}{path}")).bearer_auth(&self.token);
        if path.contains("$count=true") {
            request = request.header("ConsistencyLevel", "eventual");
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Ok(Answer { status, headers, body })
    }

    async fn get(&self, path: &str) -> Answer {
        self.try_call(Method::GET, path, None).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.try_call(Method::POST, path, Some(body)).await.unwrap()
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        self.try_call(Method::PATCH, path, Some(body)).await.unwrap()
    }

    async fn delete(&self, path: &str) -> Answer {
        self.try_call(Method::DELETE, path, None).await.unwrap()
    }

    fn user_name(&self, local: &str) -> String {
        let directory = self.running.sim.directory();
        format!("{local}@{}", directory.tenant(self.tenant).unwrap().domains[0].name)
    }

    fn id_of(&self, local: &str) -> String {
        let name = self.user_name(local);
        self.running.sim.directory().user_by_name(&name).unwrap().1.id.clone()
    }

    async fn make_account(&self) -> String {
        let made = self.post("/users", new_account(&self.user_name("jit-alex"))).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["id"].as_str().unwrap().to_owned()
    }

    async fn assign(&self, user: &str) -> Answer {
        let body = json!({"roleDefinitionId": GLOBAL_READER, "principalId": user, "directoryScopeId": "/"});
        self.post("/roleManagement/directory/roleAssignments", body).await
    }

    fn fault(&self, faults: Value) {
        self.running.sim.faults.replace(serde_json::from_value(faults).unwrap());
    }

    async fn violations(&self) -> Vec<String> {
        let found = self.running.sim.schema.settled().await;
        found.violations.iter().map(|v| format!("{} {} {}: {}", v.operation, v.status, v.part, v.problem)).collect()
    }
}

fn new_account(name: &str) -> Value {
    json!({
        "accountEnabled": false,
        "displayName": "JIT Alex",
        "mailNickname": name.split('@').next().unwrap(),
        "userPrincipalName": name,
        "passwordProfile": {"password": GOOD_PASSWORD, "forceChangePasswordNextSignIn": false},
        "onPremisesExtensionAttributes": {"extensionAttribute10": "latchkey"},
    })
}

fn step(id: &str, after: Option<&str>, method: &str, url: &str, body: Value) -> Value {
    let mut step = json!({"id": id, "method": method, "url": url});
    if !body.is_null() {
        step["body"] = body;
        step["headers"] = json!({"Content-Type": "application/json"});
    }
    if let Some(after) = after {
        step["dependsOn"] = json!([after]);
    }
    step
}

fn statuses(batch: &Answer) -> Vec<u64> {
    batch.body["responses"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_be_refused_a_token_has_its_number() {
    let lab = Lab::contoso().await;
    let here = "login.microsoftonline.com";
    let secret_id = lab.running.sim.directory().tenant(CONTOSO).unwrap().applications[0].secrets[0].id.clone();
    let number = |answer: (u16, Value)| (answer.0, answer.1["error_codes"][0].as_u64().unwrap());
    type Change<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, &str, Change<'_>, (u16, u64)); 10] = [
        (here, CONTOSO, &[("client_secret", &secret_id)], (401, 7_000_215)),
        (here, CONTOSO, &[("client_secret", "")], (401, 7_000_218)),
        (here, CONTOSO, &[("client_secret", ""), ("client_assertion", "a.b.c")], (400, 900_144)),
        (here, CONTOSO, &[("client_id", "22222222-aaaa-4aaa-8aaa-222222222222")], (400, 700_016)),
        (here, "44444444-4444-4444-8444-444444444444", &[], (400, 90_002)),
        (here, "common", &[], (400, 9_001_023)),
        (here, CONTOSO, &[("scope", "https://graph.microsoft.com/User.Read")], (400, 70_011)),
        (here, CONTOSO, &[("scope", "https://graph.microsoft.us/.default")], (400, 500_011)),
        (here, CONTOSO, &[("grant_type", "password")], (400, 70_003)),
        ("login.microsoftonline.us", CONTOSO, &[], (400, 90_002)),
    ];
    for (host, tenant, change, expected) in cases {
        let answer = lab.ask_for_token(host, tenant, change).await;
        let text = answer.1["error_description"].as_str().unwrap().to_owned();
        assert!(text.starts_with(&format!("AADSTS{}: ", expected.1)), "{text}");
        assert_eq!(number(answer), expected);
    }
    assert_eq!(lab.ask_for_token(here, "contoso.com", &[]).await.0, 200, "a domain names its tenant");
    lab.running.sim.clock.advance_seconds(3 * 365 * 24 * 3600);
    assert_eq!(number(lab.ask_for_token(here, CONTOSO, &[]).await), (401, 7_000_222));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_names_its_permissions_and_dies_of_age() {
    let lab = Lab::start(FABRIKAM, Knobs::default()).await;
    let claims: Value = {
        use base64::Engine as _;
        let middle = lab.token.split('.').nth(1).unwrap();
        serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(middle).unwrap()).unwrap()
    };
    assert_eq!(claims["tid"], FABRIKAM);
    assert_eq!(claims["idtyp"], "app");
    assert_eq!(claims["roles"].as_array().unwrap().len(), 12);
    assert_eq!(lab.get("/organization").await.status, 200);
    lab.running.sim.clock.advance_seconds(3600);
    let answer = lab.get("/organization").await;
    assert_eq!((answer.status, answer.code()), (401, "InvalidAuthenticationToken"));

    let invented =
        lab.client.get(format!("{GRAPH}/users")).bearer_auth(format!("{}x", lab.token)).send().await.unwrap();
    assert_eq!(invented.status(), 401);
    let other_cloud = lab.client.get("https://graph.microsoft.us/v1.0/users").bearer_auth(lab.fresh_token().await);
    assert_eq!(other_cloud.send().await.unwrap().status(), 401, "a token is for one Graph only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_and_its_end_have_the_shapes_of_microsofts_schema() {
    let lab = Lab::contoso().await;
    assert_eq!(lab.get("/organization?$select=id,displayName,verifiedDomains").await.status, 200);
    assert_eq!(lab.get("/domains").await.body["value"][0]["isVerified"], true);
    assert_eq!(lab.get("/subscribedSkus").await.status, 200);
    let definitions = "/roleManagement/directory/roleDefinitions?$filter=isBuiltIn eq true&$select=id,displayName";
    assert!(lab.get(definitions).await.body["value"].as_array().unwrap().len() > 30);
    let user = lab.make_account().await;
    let policy = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/TemporaryAccessPass";
    assert_eq!(lab.get(policy).await.body["state"], "enabled");
    let path = format!("/users/{user}");
    let passes = format!("{path}/authentication/temporaryAccessPassMethods");
    let groups = lab.get("/groups?$filter=displayName eq 'Project Alpha'&$select=id").await;
    let group = groups.body["value"][0]["id"].as_str().unwrap().to_owned();
    let reference = json!({"@odata.id": format!("{GRAPH}/directoryObjects/{user}")});
    let grant = lab
        .post(
            "/$batch",
            json!({"requests": [
                step("1", None, "PATCH", &path, json!({"passwordProfile": {"password": "Wb4-nHy8zQcf3", "forceChangePasswordNextSignIn": false}})),
                step("2", Some("1"), "PATCH", &path, json!({"accountEnabled": true})),
                step("3", Some("2"), "POST", &passes, json!({"lifetimeInMinutes": 240, "isUsableOnce": false})),
                step("4", Some("3"), "POST", &format!("/groups/{group}/members/$ref"), reference),
                step("5", Some("4"), "POST", "/roleManagement/directory/roleAssignments",
                    json!({"roleDefinitionId": GLOBAL_READER, "principalId": user, "directoryScopeId": "/"})),
            ]}),
        )
        .await;
    assert_eq!(statuses(&grant), [204, 204, 201, 204, 201], "{}", grant.body);

    let code = grant.body["responses"][2]["body"]["temporaryAccessPass"].as_str().unwrap().to_owned();
    let sim = &lab.running.sim;
    let name = lab.user_name("jit-alex");
    let signed_in = sim.sign_in_with_access_pass(Some(CONTOSO), &name, &code).unwrap();
    assert_eq!(signed_in.roles, ["Global Reader"]);
    let state = control::state_of(sim).await;
    assert!(!state.to_string().contains(&code), "the state never shows a pass");

    let held = lab.get(&format!("/roleManagement/directory/roleAssignments?$filter=principalId eq '{user}'")).await;
    let assignment = held.body["value"][0]["id"].as_str().unwrap();
    let listed = lab.get(&passes).await;
    assert_eq!(listed.body["value"][0]["temporaryAccessPass"], Value::Null, "shown once");
    let pass = listed.body["value"][0]["id"].as_str().unwrap();
    assert_eq!(lab.delete(&format!("/roleManagement/directory/roleAssignments/{assignment}")).await.status, 204);
    assert_eq!(lab.delete(&format!("/groups/{group}/members/{user}/$ref")).await.status, 204);
    assert_eq!(lab.patch(&path, json!({"accountEnabled": false})).await.status, 204);
    let random = json!({"passwordProfile": {"password": "Zt9-kWm4vSxb6", "forceChangePasswordNextSignIn": false}});
    assert_eq!(lab.patch(&path, random).await.status, 204);
    let revoked = lab.try_call(Method::POST, &format!("{path}/revokeSignInSessions"), None).await.unwrap();
    assert_eq!((revoked.status, &revoked.body["value"]), (200, &json!(true)));
    assert_eq!(lab.delete(&format!("{passes}/{pass}")).await.status, 204);
    let after = lab.get(&format!("{path}?$select=id,accountEnabled,signInSessionsValidFromDateTime")).await;
    assert_eq!(after.body["accountEnabled"], false);
    let memberships = lab.post(&format!("{path}/getMemberObjects"), json!({"securityEnabledOnly": false})).await;
    assert_eq!(memberships.body["value"], json!([]));
    assert!(sim.session(&signed_in.session_id).is_none());

    let found = sim.schema.settled().await;
    if found.schema.is_some() {
        assert_eq!(lab.violations().await, Vec::<String>::new());
        assert!(found.checked > 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_check_notices_a_misspelt_property() {
    let lab = Lab::contoso().await;
    lab.get("/users?$selekt=id").await;
    lab.patch(&format!("/users/{}", lab.id_of("alice")), json!({"acountEnabled": true})).await;
    if lab.running.sim.schema.settled().await.schema.is_some() {
        let parts: Vec<&str> = lab.running.sim.schema.settled().await.violations.iter().map(|v| v.part).collect();
        assert_eq!(parts, ["query", "request"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_out_of_reach_without_a_directory_role() {
    let lab = Lab::contoso().await;
    let admin = format!("/users/{}", lab.id_of("admin"));
    let disable = json!({"accountEnabled": false});
    let refusal = lab.patch(&admin, disable.clone()).await;
    assert_eq!((refusal.status, refusal.code()), (403, "Authorization_RequestDenied"));
    assert_eq!(lab.delete(&admin).await.status, 403);
    assert_eq!(lab.patch(&admin, json!({"jobTitle": "Administrator"})).await.status, 204, "not a sensitive property");
    assert_eq!(lab.patch(&format!("/users/{}", lab.id_of("bob")), disable.clone()).await.status, 204);

    // A member of a role-assignable group counts as an administrator, whatever the group holds.
    let alice = lab.id_of("alice");
    let group = {
        let directory = lab.running.sim.directory();
        let tenant = directory.tenant(CONTOSO).unwrap();
        tenant.groups.values().find(|group| group.role_assignable).unwrap().id.clone()
    };
    let reference = json!({"@odata.id": format!("{GRAPH}/users/{alice}")});
    assert_eq!(lab.post(&format!("/groups/{group}/members/$ref"), reference).await.status, 204);
    assert_eq!(lab.patch(&format!("/users/{alice}"), disable.clone()).await.status, 403);

    // Privileged Authentication Administrator on the calling app opens it.
    let principal = lab.running.sim.directory().tenant(CONTOSO).unwrap().applications[0].service_principal_id.clone();
    let role = json!({
        "roleDefinitionId": roles::PRIVILEGED_AUTHENTICATION_ADMINISTRATOR, "principalId": principal, "directoryScopeId": "/",
    });
    assert_eq!(lab.post("/roleManagement/directory/roleAssignments", role).await.status, 201);
    assert_eq!(lab.patch(&admin, disable).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_role_still_counts_until_it_has_replicated() {
    let lab = Lab::start(CONTOSO, Knobs { role_removal_lag_ms: HOUR_MS, ..Knobs::default() }).await;
    let user = lab.make_account().await;
    let made = lab.assign(&user).await;
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(lab.delete(&format!("/roleManagement/directory/roleAssignments/{id}")).await.status, 204);
    let path = format!("/users/{user}");
    let disable = || lab.patch(&path, json!({"accountEnabled": false}));
    assert_eq!(disable().await.status, 403);
    lab.running.sim.turn(&json!({"role_removal_lag_ms": 0})).unwrap();
    assert_eq!(disable().await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_have_their_own_permission_and_rules() {
    let profile =
        |password: &str| json!({"passwordProfile": {"password": password, "forceChangePasswordNextSignIn": false}});
    let lab = Lab::contoso().await;
    let bob = format!("/users/{}", lab.id_of("bob"));
    for refused in ["short1A", "alllowercaseletters", "Contoso-2026-x", "xPassw0rd-2026", "Bob"] {
        assert_eq!(lab.patch(&bob, profile(refused)).await.status, 400, "{refused}");
    }
    assert_eq!(lab.patch(&bob, profile(GOOD_PASSWORD)).await.status, 204);
    assert!(lab.running.sim.sign_in_with_password(None, &lab.user_name("bob"), GOOD_PASSWORD).is_ok());
    let carol = lab.patch("/users/carol@fed.contoso.com", profile(GOOD_PASSWORD)).await;
    assert_eq!(carol.status, 400, "not on a federated domain");

    lab.running.sim.turn(&json!({"strict_password_rule": true})).unwrap();
    assert_eq!(lab.patch(&bob, profile(GOOD_PASSWORD)).await.status, 403);

    let northwind = Lab::start(NORTHWIND, Knobs::default()).await;
    let bob = format!("/users/{}", northwind.id_of("bob"));
    assert_eq!(northwind.patch(&bob, profile(GOOD_PASSWORD)).await.status, 403, "User.ReadWrite.All alone never does");
    assert_eq!(northwind.get("/domains").await.status, 403);
    let forgotten = json!({"passwordProfile": {"password": GOOD_PASSWORD}});
    assert_eq!(lab.violations().await.len(), 0);
    lab.running.sim.turn(&json!({"strict_password_rule": false})).unwrap();
    assert_eq!(lab.patch(&format!("/users/{}", lab.id_of("bob")), forgotten).await.status, 204);
    let error = lab.running.sim.sign_in_with_password(None, &lab.user_name("bob"), GOOD_PASSWORD).unwrap_err();
    assert_eq!(error.number(), 50055, "unless told otherwise the password must be changed at sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_obey_the_policy_of_the_tenant() {
    let lab = Lab::contoso().await;
    let passes = format!("/users/{}/authentication/temporaryAccessPassMethods", lab.id_of("bob"));
    for lifetime in [9, 59, 481, 43_201] {
        let refusal = lab.post(&passes, json!({"lifetimeInMinutes": lifetime})).await;
        assert_eq!((refusal.status, refusal.code()), (400, "badRequest"), "{lifetime}");
    }
    let first = lab.post(&passes, json!({})).await;
    assert_eq!((first.status, first.body["lifetimeInMinutes"].as_u64()), (201, Some(60)));
    let second = lab.post(&passes, json!({"lifetimeInMinutes": 120, "isUsableOnce": true})).await;
    let code = second.body["temporaryAccessPass"].as_str().unwrap().to_owned();
    assert_eq!(lab.get(&passes).await.body["value"].as_array().unwrap().len(), 1, "a new pass replaces the old");
    let (sim, name) = (&lab.running.sim, lab.user_name("bob"));
    let number =
        |code: &str| sim.sign_in_with_access_pass(None, &name, code).map_or_else(|error| error.number(), |_| 0);
    assert_eq!(number(first.body["temporaryAccessPass"].as_str().unwrap()), 130_503);
    assert_eq!(number(&code), 0);
    assert_eq!(number(&code), 130_505);
    sim.clock.advance_seconds(2 * 3600);
    assert_eq!(number(&code), 130_504);
    sim.directory().tenant_mut(CONTOSO).unwrap().pass_policy.enabled = false;
    assert_eq!(number(&code), 130_502);

    let fabrikam = Lab::start(FABRIKAM, Knobs::default()).await;
    let passes = format!("/users/{}/authentication/temporaryAccessPassMethods", fabrikam.id_of("bob"));
    assert_eq!(fabrikam.post(&passes, json!({})).await.status, 403, "the permission is not among the 12");
    let policy = "/policies/authenticationMethodsPolicy";
    assert_eq!(fabrikam.get(policy).await.status, 403);
    fabrikam.running.sim.directory().tenant_mut(FABRIKAM).unwrap().applications[0]
        .permissions
        .insert("UserAuthMethod-TAP.ReadWrite.All".to_owned());
    let token = fabrikam.fresh_token().await;
    let refusal = Lab { token, ..fabrikam }.post(&passes, json!({})).await;
    assert_eq!(refusal.status, 400);
    assert!(refusal.body["error"]["message"].as_str().unwrap().starts_with("Converged UserCredentialPolicy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_stops_at_the_first_failure_and_refuses_odd_shapes() {
    let lab = Lab::contoso().await;
    let user = format!("/users/{}", lab.id_of("bob"));
    let title = |text: &str| json!({"jobTitle": text});
    let batch = lab
        .post(
            "/$batch",
            json!({"requests": [
                step("a", None, "PATCH", &user, title("one")),
                step("b", Some("a"), "PATCH", "/users/nobody@contoso.com", title("two")),
                step("c", Some("b"), "PATCH", &user, title("three")),
            ]}),
        )
        .await;
    assert_eq!(statuses(&batch), [204, 404, 424]);
    assert_eq!(lab.get(&format!("{user}?$select=jobTitle")).await.body["jobTitle"], "one");

    let get = |id: &str, after: Option<&str>| step(id, after, "GET", &user, Value::Null);
    let twice = json!({"requests": [get("1", None), get("1", None)]});
    let tree = json!({"requests": [get("1", None), get("2", Some("1")), get("3", Some("1")), get("4", Some("2"))]});
    let unknown = json!({"requests": [get("1", None), get("2", Some("9"))]});
    let many = json!({"requests": (0..21).map(|n| get(&n.to_string(), None)).collect::<Vec<_>>()});
    let mut unlabelled = step("1", None, "PATCH", &user, title("x"));
    unlabelled.as_object_mut().unwrap().remove("headers");
    for refused in [twice, tree, unknown, many, json!({"requests": [unlabelled]}), json!({})] {
        assert_eq!(lab.post("/$batch", refused.clone()).await.status, 400, "{refused}");
    }
    let star = json!({"requests": [get("2", Some("1")), get("1", None), get("3", Some("1"))]});
    assert_eq!(statuses(&lab.post("/$batch", star).await), [200, 200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_objects_arrive_late_and_reads_lag_behind() {
    let lab = Lab::start(CONTOSO, Knobs { create_lag_ms: HOUR_MS, ..Knobs::default() }).await;
    let user = lab.make_account().await;
    let path = format!("/users/{user}?$select=id,accountEnabled");
    assert_eq!(lab.get(&path).await.code(), "Request_ResourceNotFound");
    assert_eq!(lab.assign(&user).await.code(), "Request_ResourceNotFound");
    let again = lab.post("/users", new_account(&lab.user_name("jit-alex"))).await;
    assert_eq!(again.body["error"]["details"][0]["code"], "ObjectConflict", "the name is taken all the same");
    lab.running.sim.turn(&json!({"create_lag_ms": 0})).unwrap();
    assert_eq!(lab.get(&path).await.status, 200);

    lab.running.sim.turn(&json!({"read_lag_ms": HOUR_MS})).unwrap();
    assert_eq!(lab.patch(&format!("/users/{user}"), json!({"accountEnabled": true})).await.status, 204);
    assert_eq!(lab.get(&path).await.body["accountEnabled"], false);
    lab.running.sim.turn(&json!({"read_lag_ms": 0})).unwrap();
    assert_eq!(lab.get(&path).await.body["accountEnabled"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_tags_find_accounts_by_graphs_rules() {
    let lab = Lab::contoso().await;
    lab.make_account().await;
    let count = |answer: &Answer| answer.body["value"].as_array().map(Vec::len);
    assert_eq!(count(&lab.get("/users?$filter=startswith(userPrincipalName,'jit-')&$select=id").await), Some(2));
    let tag = "/users?$filter=onPremisesExtensionAttributes/extensionAttribute10 eq 'latchkey'";
    assert_eq!(lab.get(tag).await.code(), "Request_UnsupportedQuery");
    assert_eq!(count(&lab.get(&format!("{tag}&$count=true")).await), Some(1));
    assert_eq!(lab.get("/users?$select=nonsense").await.status, 400);
    let plain = lab.get(&format!("/users/{}", lab.user_name("jit-alex"))).await;
    assert!(plain.body.get("accountEnabled").is_none(), "only with $select");

    let first = lab.get("/users?$top=3&$select=id").await;
    let next = first.body["@odata.nextLink"].as_str().unwrap();
    let rest = lab.get(next.strip_prefix(GRAPH).unwrap()).await;
    assert_eq!(count(&rest), Some(3));
    assert_ne!(rest.body["value"][0], first.body["value"][0]);
    assert_eq!(lab.violations().await.iter().filter(|v| !v.contains("400")).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_cannot_be_changed_say_so() {
    let lab = Lab::contoso().await;
    let bob = json!({"@odata.id": format!("{GRAPH}/directoryObjects/{}", lab.id_of("bob"))});
    let groups = lab.get("/groups?$select=id,displayName").await;
    for group in groups.body["value"].as_array().unwrap() {
        let members = format!("/groups/{}/members/$ref", group["id"].as_str().unwrap());
        let expected = match group["displayName"].as_str().unwrap() {
            "Project Alpha" | "Tier-0 Operators" => 204,
            _ => 400,
        };
        assert_eq!(lab.post(&members, bob.clone()).await.status, expected, "{group}");
        if expected == 204 {
            let again = lab.post(&members, bob.clone()).await;
            assert!(again.body["error"]["message"].as_str().unwrap().contains("already exist"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_can_be_restored_and_purged() {
    let lab = Lab::contoso().await;
    let user = lab.make_account().await;
    assert_eq!(lab.delete(&format!("/users/{user}")).await.status, 204);
    assert_eq!(lab.get(&format!("/users/{user}")).await.status, 404);
    let deleted = lab.get("/directory/deletedItems/microsoft.graph.user").await;
    assert_eq!(deleted.body["value"][0]["id"], user.as_str());
    let restored = lab.post(&format!("/directory/deletedItems/{user}/restore"), json!({})).await;
    assert_eq!((restored.status, restored.body["id"].as_str()), (200, Some(user.as_str())));
    assert_eq!(lab.delete(&format!("/users/{user}")).await.status, 204);
    assert_eq!(lab.delete(&format!("/directory/deletedItems/{user}")).await.status, 204);
    assert_eq!(lab.post(&format!("/directory/deletedItems/{user}/restore"), json!({})).await.status, 404);
    assert_eq!(lab.violations().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_identity_management_needs_its_licence() {
    let request = |user: &str, action: &str| {
        json!({
            "action": action, "principalId": user, "roleDefinitionId": GLOBAL_READER, "directoryScopeId": "/",
            "justification": "ticket 4711",
            "scheduleInfo": {"expiration": {"type": "afterDuration", "duration": "PT4H"}},
        })
    };
    let path = "/roleManagement/directory/roleAssignmentScheduleRequests";
    let contoso = Lab::contoso().await;
    let refusal = contoso.post(path, request(&contoso.id_of("bob"), "adminAssign")).await;
    assert_eq!((refusal.status, refusal.code()), (400, "AadPremiumLicenseRequired"));

    let northwind = Lab::start(NORTHWIND, Knobs::default()).await;
    let bob = northwind.id_of("bob");
    assert_eq!(northwind.post(path, request(&bob, "adminAssign")).await.status, 201);
    assert_eq!(northwind.post(path, request(&bob, "adminAssign")).await.code(), "RoleAssignmentExists");
    assert_eq!(northwind.post(path, request(&bob, "adminRemove")).await.code(), "ActiveDurationTooShort");
    let roles = || {
        northwind.running.sim.directory().tenant(NORTHWIND).unwrap().roles_of(&bob, northwind.running.sim.clock.now())
    };
    assert_eq!(roles(), [GLOBAL_READER]);
    northwind.running.sim.clock.advance_seconds(4 * 3600);
    assert!(roles().is_empty(), "Microsoft ends it by itself");
    assert_eq!(northwind.violations().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_days_on_demand() {
    let lab = Lab::contoso().await;
    let user = format!("/users/{}", lab.id_of("bob"));
    let title = |text: &str| json!({"jobTitle": text});
    let stored = || {
        let directory = lab.running.sim.directory();
        let (_, user) = directory.user_by_name("bob@contoso.onmicrosoft.com").unwrap();
        user.attributes.get("jobTitle").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    lab.fault(json!([{"match": {"method": "PATCH", "nth": 2}, "kind": "status", "status": 429, "retry_after": 7}]));
    assert_eq!(lab.patch(&user, title("one")).await.status, 204);
    let throttled = lab.patch(&user, title("two")).await;
    assert_eq!((throttled.status, throttled.code()), (429, "TooManyRequests"));
    assert_eq!(throttled.headers["retry-after"], "7");
    assert_eq!(stored(), "one");

    lab.fault(json!([{"match": {"method": "PATCH"}, "kind": "drop_after", "times": 1}]));
    assert!(lab.try_call(Method::PATCH, &user, Some(title("three"))).await.is_err());
    assert_eq!(stored(), "three", "the answer was lost, not the effect");
    lab.fault(json!([{"match": {"method": "PATCH"}, "kind": "drop_before", "times": 1}]));
    assert!(lab.try_call(Method::PATCH, &user, Some(title("four"))).await.is_err());
    assert_eq!(stored(), "three");

    lab.fault(json!([{"match": {"path_contains": "$batch"}, "kind": "half_batch", "from_item": 2, "times": 1}]));
    let steps = json!({"requests": [
        step("1", None, "PATCH", &user, title("five")),
        step("2", Some("1"), "PATCH", &user, title("six")),
        step("3", Some("2"), "PATCH", &user, title("seven")),
    ]});
    assert_eq!(statuses(&lab.post("/$batch", steps.clone()).await), [204, 503, 424]);
    assert_eq!(stored(), "five");
    lab.fault(json!([{"match": {"in_batch": true, "nth": 3}, "kind": "status", "status": 500, "after_effect": true}]));
    assert_eq!(statuses(&lab.post("/$batch", steps).await), [204, 204, 500]);
    assert_eq!(stored(), "seven");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_can_be_held_while_something_happens_to_its_client() {
    let lab = Lab::contoso().await;
    let control = format!("http://127.0.0.1:{}/sim", lab.running.control_port);
    let direct = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |path: &str, body: Value| direct.post(format!("{control}{path}")).json(&body).send();
    let user = format!("/users/{}", lab.id_of("bob"));
    post("/block", json!({"next": 1, "when": "before"})).await.unwrap().error_for_status().unwrap();
    let held = {
        let request =
            lab.client.patch(format!("{GRAPH}{user}")).bearer_auth(&lab.token).json(&json!({"jobTitle": "late"}));
        tokio::spawn(request.send())
    };
    direct.get(format!("{control}/wait?held=1")).send().await.unwrap().error_for_status().unwrap();
    held.abort();
    while lab.running.sim.faults.held() > 0 {
        tokio::task::yield_now().await;
    }
    post("/release", json!({})).await.unwrap();
    assert_eq!(lab.get(&format!("{user}?$select=jobTitle")).await.body["jobTitle"], Value::Null);
    let log = lab.running.sim.exchanges.entries();
    assert!(log.iter().all(|entry| entry.method != "PATCH"), "what never happened is not in the log");

    // A request that outlives its client takes effect when it is let go.
    let late = json!({"next": 1, "survives_client": true, "match": {"method": "PATCH"}});
    post("/block", late).await.unwrap().error_for_status().unwrap();
    let request = lab.client.patch(format!("{GRAPH}{user}")).bearer_auth(&lab.token).json(&json!({"jobTitle": "late"}));
    let held = tokio::spawn(request.send());
    direct.get(format!("{control}/wait?held=1")).send().await.unwrap().error_for_status().unwrap();
    held.abort();
    let title = || async { lab.get(&format!("{user}?$select=jobTitle")).await.body["jobTitle"].clone() };
    assert_eq!(title().await, Value::Null);
    post("/release", json!({})).await.unwrap();
    while title().await == Value::Null {
        tokio::task::yield_now().await;
    }
    let past = post("/block", json!({"exchange": 1})).await.unwrap();
    assert_eq!(past.status(), 400);
    let refused = post("/knobs", json!({"rond_trip_ms": 1})).await.unwrap();
    assert_eq!(refused.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_shows_its_headers() {
    let lab = Lab::start(CONTOSO, Knobs { throttling: true, ..Knobs::default() }).await;
    let passes = format!("/users/{}/authentication/temporaryAccessPassMethods", lab.id_of("bob"));
    let mut last = lab.get(&passes).await;
    for _ in 0..9 {
        last = lab.get(&passes).await;
    }
    assert_eq!((last.status, last.code()), (429, "TooManyRequests"));
    assert!(last.headers["retry-after"].to_str().unwrap().parse::<u32>().is_ok());
    assert!(last.headers["x-ms-throttle-scope"].to_str().unwrap().starts_with("Tenant_Application/ReadWrite/"));
    assert_eq!(lab.get("/organization").await.status, 200, "another budget");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_ends_here_by_every_road() {
    let lab = Lab::contoso().await;
    let get = |url: &str| lab.client.get(url.to_owned()).send();
    let discovery = get("https://login.microsoftonline.com/common/discovery/instance?api-version=1.1").await.unwrap();
    let discovery: Value = discovery.json().await.unwrap();
    assert!(discovery["metadata"].as_array().unwrap().len() >= 3);
    let keys: Value = get("https://login.windows.net/common/discovery/v2.0/keys").await.unwrap().json().await.unwrap();
    assert_eq!(keys["keys"][0]["kty"], "EC");
    let stranger = get("https://nobody-knows-this.example/").await.unwrap();
    assert!(stranger.headers().contains_key("x-frame-options"), "the pages answer for everybody else");
    assert_eq!(
        get("http://graph.microsoft.com/v1.0/users").await.unwrap().status(),
        401,
        "plain HTTP through the proxy"
    );

    // Without the proxy, for clients that take a base address.
    let certificate = reqwest::Certificate::from_pem(lab.running.sim.authority.pem().as_bytes()).unwrap();
    let direct = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap();
    for origin in ["https://localhost", "http://localhost", "https://127.0.0.1"] {
        let url = format!("{origin}:{}/v1.0/users?$top=2&$select=id", lab.running.https_port);
        let body: Value = direct.get(url).bearer_auth(&lab.token).send().await.unwrap().json().await.unwrap();
        assert!(body["@odata.nextLink"].as_str().unwrap().starts_with(&format!("{origin}:")), "{body}");
    }
    let private = format!("https://localhost:{}/sim/state", lab.running.https_port);
    assert_ne!(direct.get(private).send().await.unwrap().status(), 200, "the control surface has its own port");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_that_a_client_sees_can_be_wrong() {
    let lab = Lab::contoso().await;
    lab.running.sim.clock.set_offset_seconds(-3600);
    let token = lab.fresh_token().await;
    let lab = Lab { token, ..lab };
    let answer = lab.get("/organization").await;
    assert_eq!(answer.status, 200);
    let date = answer.headers["date"].to_str().unwrap().trim_end_matches(" GMT");
    let shown = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S", date).unwrap();
    let shown = shown.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    assert!(jiff::Timestamp::now().as_second() - shown.as_second() >= 3600);
    lab.running.sim.reset();
    assert_eq!(lab.running.sim.clock.offset_seconds(), 0);
    assert!(lab.running.sim.exchanges.entries().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_usable_only_some_time_after_it_was_enabled() {
    let lab = Lab::contoso().await;
    let user = lab.make_account().await;
    let (sim, name) = (&lab.running.sim, lab.user_name("jit-alex"));
    let number =
        || sim.sign_in_with_password(Some("organizations"), &name, GOOD_PASSWORD).map_or_else(|e| e.number(), |_| 0);
    assert_eq!(number(), 50057);
    sim.turn(&json!({"sign_in_lag_ms": HOUR_MS})).unwrap();
    assert_eq!(lab.patch(&format!("/users/{user}"), json!({"accountEnabled": true})).await.status, 204);
    assert_eq!(number(), 50057);
    sim.turn(&json!({"sign_in_lag_ms": 0})).unwrap();
    assert_eq!(number(), 0);
    let wrong = || sim.sign_in_with_password(None, &name, "wrong").unwrap_err().number();
    assert_eq!((0..10).map(|_| wrong()).collect::<Vec<_>>()[8..], [50126, 50053]);
    assert_eq!(number(), 50053);
    assert_eq!(sim.sign_in_with_password(Some(FABRIKAM), &name, GOOD_PASSWORD).unwrap_err().number(), 50034);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_that_cipp_makes_are_answered_on_beta() {
    let lab = Lab::contoso().await;
    let beta = |method: Method, path: &str, body: Value| {
        let request = lab.client.request(method, format!("https://graph.microsoft.com/beta{path}"));
        request.bearer_auth(&lab.token).json(&body).send()
    };
    let name = lab.user_name("cipp-alex");
    let role = roles::by_name("User Administrator").unwrap().id;
    let members = format!("/directoryRoles(roleTemplateId='{role}')/members/$ref");
    let extension = beta(Method::GET, "/schemaExtensions?$filter=owner eq 'x'", json!({})).await.unwrap();
    assert_eq!(extension.json::<Value>().await.unwrap()["value"], json!([]));
    let made: Value = beta(Method::POST, "/users", new_account(&name)).await.unwrap().json().await.unwrap();
    assert_eq!(beta(Method::GET, &format!("/users/{name}"), json!({})).await.unwrap().status(), 200);
    assert_eq!(beta(Method::POST, "/directoryRoles", json!({"roleTemplateId": role})).await.unwrap().status(), 201);
    assert_eq!(beta(Method::POST, "/directoryRoles", json!({"roleTemplateId": role})).await.unwrap().status(), 400);
    let reference = json!({"@odata.id": format!("{GRAPH}/directoryObjects/{}", made["id"].as_str().unwrap())});
    assert_eq!(beta(Method::POST, &members, reference).await.unwrap().status(), 204);
    let path = format!("/users/{}", made["id"].as_str().unwrap());
    let tag = json!({"ext1a2b3c4d_cippUser": {"jitAdminEnabled": true}});
    assert_eq!(beta(Method::PATCH, &path, tag).await.unwrap().status(), 204);
    let state = control::state_of(&lab.running.sim).await;
    let users = state["tenants"][0]["users"].as_array().unwrap();
    let user = users.iter().find(|user| user["upn"] == name.as_str()).unwrap();
    assert_eq!(user["roles"], json!(["User Administrator"]));
    assert_eq!(state["conformance"]["checked"], 0, "the beta endpoint has another schema");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_what_it_rests_on() {
    let lab = Lab::contoso().await;
    let sim = &lab.running.sim;
    let name = lab.user_name("bob");
    let bob = format!("/users/{}", lab.id_of("bob"));
    let profile = json!({"passwordProfile": {"password": GOOD_PASSWORD, "forceChangePasswordNextSignIn": false}});
    assert_eq!(lab.patch(&bob, profile).await.status, 204);
    let with_password = || sim.sign_in_with_password(None, &name, GOOD_PASSWORD).unwrap();
    let lives = |session: &str| sim.session(session).is_some();

    let first = with_password();
    assert!(first.mfa_required && lives(&first.session_id));
    assert_eq!(lab.try_call(Method::POST, &format!("{bob}/revokeSignInSessions"), None).await.unwrap().status, 200);
    assert!(!lives(&first.session_id), "revoked");

    let second = with_password();
    assert_eq!(lab.patch(&bob, json!({"accountEnabled": false})).await.status, 204);
    assert!(!lives(&second.session_id), "disabled");
    assert_eq!(lab.patch(&bob, json!({"accountEnabled": true})).await.status, 204);

    let passes = format!("{bob}/authentication/temporaryAccessPassMethods");
    let pass = lab.post(&passes, json!({"lifetimeInMinutes": 60})).await;
    let code = pass.body["temporaryAccessPass"].as_str().unwrap();
    assert_eq!(sim.credential_type(&name).preferred, entra_sim::directory::Preferred::AccessPass);
    let third = sim.sign_in_with_access_pass(None, &name, code).unwrap();
    assert!(!third.mfa_required && lives(&third.session_id));
    assert_eq!(lab.delete(&format!("{passes}/{}", pass.body["id"].as_str().unwrap())).await.status, 204);
    assert!(!lives(&third.session_id), "the pass was deleted");

    let pass = lab.post(&passes, json!({"lifetimeInMinutes": 60})).await;
    let fourth = sim.sign_in_with_access_pass(None, &name, pass.body["temporaryAccessPass"].as_str().unwrap()).unwrap();
    sim.clock.advance_seconds(3600);
    assert!(!lives(&fourth.session_id), "the pass has ended");
    let errors: Vec<u32> = sim.directory().sign_ins.iter().map(|record| record.error).collect();
    assert_eq!(errors, [0, 0, 0, 0]);
    assert!(sim.sign_in_with_password(None, &name, "wrong").is_err());
    let token = lab.fresh_token().await;
    let lab = Lab { token, ..lab };
    let id = lab.id_of("bob");
    let log = lab.get(&format!("/auditLogs/signIns?$filter=userId eq '{id}' and status/errorCode ne 0")).await;
    assert_eq!(log.body["value"][0]["status"]["errorCode"], 50126);
    assert_eq!(lab.violations().await, Vec::<String>::new());
}
