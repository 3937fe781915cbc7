//! Passkeys and hardware tokens given to a user through Graph: what a strict relying party takes, and everything it refuses.
#![allow(clippy::unwrap_used)]

mod authenticator;

use std::sync::Arc;
use std::time::Duration;

use authenticator::{Authenticator, PRESENT, SYNCABLE, VERIFIED};
use entra_sim::directory::seed::CONTOSO;
use entra_sim::{Running, Settings, Simulation, control};
use reqwest::Method;
use serde_json::{Value, json};

const GRAPH: &str = "https://graph.microsoft.com";
const CONFIGURATION: &str = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/fido2";
/// The tenant's policy of hardware tokens switched on or off.
fn oath_state(state: &str) -> Value {
    json!({"@odata.type": "#microsoft.graph.hardwareOathAuthenticationMethodConfiguration", "state": state})
}
const ENOUGH: [&str; 3] = [
    "UserAuthMethod-Passkey.ReadWrite.All",
    "UserAuthMethod-Passkey.Read.All",
    "Policy.ReadWrite.AuthenticationMethod",
];

struct Lab {
    running: Running,
    client: reqwest::Client,
    token: String,
    methods: String,
}

impl Lab {
    async fn start() -> Self {
        Self::with(&ENOUGH).await
    }

    async fn with(permissions: &[&str]) -> Self {
        // Another test in this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = Simulation::start(Settings::default()).await.unwrap();
        let certificate = reqwest::Certificate::from_pem(running.sim.authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(format!("http://127.0.0.1:{}", running.proxy_port)).unwrap())
            .tls_certs_only([certificate])
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let (client_id, secret, user) = {
            let mut directory = running.sim.directory();
            let tenant = directory.tenant_mut(CONTOSO).unwrap();
            let application = &mut tenant.applications[0];
            application.permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
            let (client_id, secret) = (application.client_id.clone(), application.secrets[0].value.clone());
            (client_id, secret, tenant.user("bob@contoso.onmicrosoft.com").unwrap().id.clone())
        };
        let form = [
            ("client_id", client_id.as_str()),
            ("client_secret", &secret),
            ("scope", "https://graph.microsoft.com/.default"),
            ("grant_type", "client_credentials"),
        ];
        let url = format!("https://login.microsoftonline.com/{CONTOSO}/oauth2/v2.0/token");
        let token: Value = client.post(url).form(&form).send().await.unwrap().json().await.unwrap();
        let token = token["access_token"].as_str().unwrap().to_owned();
        Self { running, client, token, methods: format!("/users/{user}/authentication/fido2Methods") }
    }

    async fn call(&self, method: Method, version: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{GRAPH}/{version}{path}")).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, "v1.0", path, None).await
    }

    async fn options(&self) -> Value {
        let (status, options) = self.get(&format!("{}/creationOptions", self.methods)).await;
        assert_eq!(status, 200, "{options}");
        options
    }

    async fn register(&self, credential: &Value) -> (u16, Value) {
        let body = json!({"displayName": "Latchkey", "publicKeyCredential": credential});
        self.call(Method::POST, "v1.0", &self.methods, Some(body)).await
    }

    /// The refusal of a key that lies as `change` says, in words.
    async fn refusal(&self, change: impl FnOnce(&mut Authenticator)) -> String {
        let mut authenticator = Authenticator::new();
        change(&mut authenticator);
        let credential = authenticator.create(&self.options().await);
        let (status, body) = self.register(&credential).await;
        assert_eq!(status, 400, "{body}");
        assert_eq!(body["error"]["code"], "badRequest");
        body["error"]["message"].as_str().unwrap().to_owned()
    }

    async fn policy(&self, mut change: Value) {
        change["@odata.type"] = json!("#microsoft.graph.fido2AuthenticationMethodConfiguration");
        let (status, body) = self.call(Method::PATCH, "v1.0", CONFIGURATION, Some(change)).await;
        assert_eq!(status, 204, "{body}");
    }

    async fn violations(&self) -> Vec<String> {
        let state = control::state_of(&self.running.sim).await;
        serde_json::from_value::<Vec<Value>>(state["conformance"]["violations"].clone())
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect()
    }

    fn sim(&self) -> &Arc<Simulation> {
        &self.running.sim
    }
}

#[tokio::test]
async fn a_key_is_registered_shown_and_deleted_in_the_shapes_of_microsofts_schema() {
    let lab = Lab::start().await;
    let options = lab.options().await;
    assert_eq!(options["publicKey"]["rp"]["id"], "login.microsoft.com");
    assert_eq!(options["publicKey"]["attestation"], "direct");
    assert_eq!(options["publicKey"]["authenticatorSelection"]["userVerification"], "required");
    let mut authenticator = Authenticator::new();
    let (status, made) = lab.register(&authenticator.create(&options)).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["aaGuid"], authenticator.aaguid.to_string());
    assert_eq!((&made["attestationLevel"], &made["passkeyType"]), (&json!("notAttested"), &json!("deviceBound")));
    let path = format!("{}/{}", lab.methods, made["id"].as_str().unwrap());
    assert_eq!(lab.get(&path).await.1["displayName"], "Latchkey");
    assert_eq!(lab.get(&lab.methods).await.1["value"].as_array().unwrap().len(), 1);
    assert_eq!(lab.options().await["publicKey"]["excludeCredentials"].as_array().unwrap().len(), 1);
    assert_eq!(lab.call(Method::DELETE, "v1.0", &path, None).await.0, 204);
    assert_eq!(lab.get(&path).await.0, 404);
    assert_eq!(lab.violations().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_relying_party_notices_every_lie() {
    let lab = Lab::start().await;
    let refusal = lab.refusal(|key| key.origin = "https://login.microsoftonline.com".to_owned()).await;
    assert!(refusal.contains("origin"), "{refusal}");
    let refusal = lab.refusal(|key| key.origin = "https://login.microsoft.com/".to_owned()).await;
    assert!(refusal.contains("origin"), "{refusal}");
    let refusal = lab.refusal(|key| key.relying_party = "login.microsoftonline.com".to_owned()).await;
    assert!(refusal.contains("relying party id"), "{refusal}");
    let refusal = lab.refusal(|key| key.flags = PRESENT).await;
    assert!(refusal.contains("user verified"), "{refusal}");
    let refusal = lab.refusal(|key| key.flags = VERIFIED).await;
    assert!(refusal.contains("user present"), "{refusal}");
    let refusal = lab.refusal(|key| key.odd_algorithm = true).await;
    assert!(refusal.contains("credential alg"), "{refusal}");
    let refusal = lab.refusal(|key| key.kind = ["webauthn.get"; 2]).await;
    assert!(refusal.contains("webauthn"), "{refusal}");
}

#[tokio::test]
async fn a_challenge_counts_once_for_one_person_and_not_for_long() {
    let lab = Lab::start().await;
    let options = lab.options().await;
    assert_eq!(lab.register(&Authenticator::new().create(&options)).await.0, 201);
    let (status, body) = lab.register(&Authenticator::new().create(&options)).await;
    assert_eq!(status, 400, "{body}");
    assert!(body["error"]["message"].as_str().unwrap().contains("challenge"), "{body}");

    let alices = lab.methods.replace(
        &lab.sim().directory().user_by_name("bob@contoso.onmicrosoft.com").unwrap().1.id,
        "alice@contoso.onmicrosoft.com",
    );
    let (_, options) = lab.get(&format!("{alices}/creationOptions")).await;
    assert_eq!(lab.register(&Authenticator::new().create(&options)).await.0, 400);

    let options = lab.options().await;
    lab.sim().clock.advance_seconds(5 * 60);
    assert_eq!(lab.register(&Authenticator::new().create(&options)).await.0, 400);

    let path = format!("{}/creationOptions(challengeTimeoutInMinutes=43200)", lab.methods);
    let (status, options) = lab.call(Method::GET, "beta", &path, None).await;
    assert_eq!(status, 200, "{options}");
    lab.sim().clock.advance_seconds(6 * 60);
    assert_eq!(lab.register(&Authenticator::new().create(&options)).await.0, 201);
}

#[tokio::test]
async fn only_beta_lets_a_client_choose_the_time_for_a_challenge() {
    let lab = Lab::start().await;
    let path = |minutes: u32| format!("{}/creationOptions(challengeTimeoutInMinutes={minutes})", lab.methods);
    assert_eq!(lab.get(&path(10)).await.0, 404);
    for (minutes, status) in [(4, 400), (5, 200), (43_200, 200), (43_201, 400)] {
        assert_eq!(lab.call(Method::GET, "beta", &path(minutes), None).await.0, status, "{minutes}");
    }
}

#[tokio::test]
async fn an_identifier_belongs_to_one_key_and_to_its_attestation() {
    let lab = Lab::start().await;
    let mut authenticator = Authenticator::new();
    assert_eq!(lab.register(&authenticator.create(&lab.options().await)).await.0, 201);
    let (status, body) = lab.register(&authenticator.create(&lab.options().await)).await;
    assert_eq!(status, 400, "{body}");
    let alices = "/users/alice@contoso.onmicrosoft.com/authentication/fido2Methods";
    let (_, options) = lab.get(&format!("{alices}/creationOptions")).await;
    let body = json!({"displayName": "Latchkey", "publicKeyCredential": authenticator.create(&options)});
    let (status, body) = lab.call(Method::POST, "v1.0", alices, Some(body)).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("registered already"), "{body}");

    let mut credential = Authenticator::new().create(&lab.options().await);
    credential["id"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    let (status, body) = lab.register(&credential).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("attestation object"), "{body}");
}

#[tokio::test]
async fn the_policy_decides_who_may_have_which_key() {
    let lab = Lab::start().await;
    let closed = |status: u16| assert_eq!(status, 400);
    let options_status = async || lab.get(&format!("{}/creationOptions", lab.methods)).await.0;

    lab.policy(json!({"state": "disabled"})).await;
    closed(options_status().await);
    lab.policy(json!({"state": "enabled", "isSelfServiceRegistrationAllowed": false})).await;
    closed(options_status().await);
    let tier = lab.sim().directory().tenant(CONTOSO).unwrap().groups.values().next().unwrap().id.clone();
    lab.policy(json!({
        "isSelfServiceRegistrationAllowed": true,
        "includeTargets": [{"targetType": "group", "id": tier, "isRegistrationRequired": false}],
    }))
    .await;
    closed(options_status().await);
    let bob = lab.sim().directory().user_by_name("bob@contoso.onmicrosoft.com").unwrap().1.id.clone();
    lab.sim().directory().tenant_mut(CONTOSO).unwrap().groups.get_mut(&tier).unwrap().members.insert(bob);
    assert_eq!(options_status().await, 200);
    lab.policy(json!({"excludeTargets": [{"targetType": "group", "id": tier}]})).await;
    closed(options_status().await);
    let everybody = json!([{"targetType": "group", "id": "all_users", "isRegistrationRequired": false}]);
    lab.policy(json!({"excludeTargets": [], "includeTargets": everybody, "isAttestationEnforced": true})).await;
    assert!(lab.refusal(|_| ()).await.contains("attestation"));

    let make = Authenticator::new().aaguid;
    let restricted = |kind: &str| json!({"isEnforced": true, "enforcementType": kind, "aaGuids": [make.to_string()]});
    lab.policy(json!({"isAttestationEnforced": false, "keyRestrictions": restricted("block")})).await;
    assert!(lab.refusal(|_| ()).await.contains("AAGUID"));
    lab.policy(json!({"keyRestrictions": restricted("allow")})).await;
    assert!(lab.refusal(|key| key.aaguid = uuid::Uuid::nil()).await.contains("AAGUID"));
    assert_eq!(lab.register(&Authenticator::new().create(&lab.options().await)).await.0, 201);
    assert_eq!(lab.violations().await, Vec::<String>::new());
}

#[tokio::test]
async fn one_of_the_profiles_that_hold_for_somebody_is_enough() {
    let lab = Lab::start().await;
    let (strict, lax) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let profile = |id: uuid::Uuid, types: &str, attestation: &str| {
        json!({
            "id": id.to_string(), "name": "A profile", "passkeyTypes": types, "attestationEnforcement": attestation,
            "keyRestrictions": {"isEnforced": false, "enforcementType": "block", "aaGuids": []},
        })
    };
    let targets = |ids: &[uuid::Uuid]| {
        json!([{
            "targetType": "group", "id": "all_users", "isRegistrationRequired": false,
            "allowedPasskeyProfiles": ids.iter().map(uuid::Uuid::to_string).collect::<Vec<_>>(),
        }])
    };
    lab.policy(json!({
        "passkeyProfiles": [profile(strict, "deviceBound", "registrationOnly"), profile(lax, "synced", "disabled")],
        "defaultPasskeyProfile": strict.to_string(),
        "includeTargets": targets(&[strict]),
    }))
    .await;
    assert!(lab.refusal(|_| ()).await.contains("attestation"));
    assert!(lab.refusal(|key| key.flags |= SYNCABLE).await.contains("type"));
    lab.policy(json!({"includeTargets": targets(&[])})).await;
    assert!(lab.refusal(|_| ()).await.contains("attestation"));
    lab.policy(json!({"includeTargets": targets(&[strict, lax])})).await;
    assert!(lab.refusal(|_| ()).await.contains("type"));
    let mut synced = Authenticator::new();
    synced.flags |= SYNCABLE;
    let (status, made) = lab.register(&synced.create(&lab.options().await)).await;
    assert_eq!((status, &made["passkeyType"]), (201, &json!("synced")), "{made}");

    let four: Vec<Value> = (0..4).map(|_| profile(uuid::Uuid::new_v4(), "synced", "disabled")).collect();
    let kind = "#microsoft.graph.fido2AuthenticationMethodConfiguration";
    let change = json!({"@odata.type": kind, "passkeyProfiles": four});
    assert_eq!(lab.call(Method::PATCH, "v1.0", CONFIGURATION, Some(change)).await.0, 400);
    assert_eq!(lab.violations().await, Vec::<String>::new());
}

#[tokio::test]
async fn each_operation_has_its_permission() {
    let lab = Lab::with(&["UserAuthMethod-Passkey.ReadWrite.All", "Policy.Read.AuthenticationMethod"]).await;
    let options = lab.options().await;
    let (status, made) = lab.register(&Authenticator::new().create(&options)).await;
    assert_eq!(status, 201);
    assert_eq!(lab.get(&format!("{}/{}", lab.methods, made["id"].as_str().unwrap())).await.0, 200);
    // Microsoft's table names the smaller permission for the list, and no other.
    assert_eq!(lab.get(&lab.methods).await.0, 403);
    assert_eq!(lab.get(CONFIGURATION).await.0, 200);
    assert_eq!(lab.call(Method::PATCH, "v1.0", CONFIGURATION, Some(json!({"state": "disabled"}))).await.0, 403);

    let lab = Lab::with(&["UserAuthMethod-Passkey.Read.All", "User.ReadWrite.All"]).await;
    assert_eq!(lab.get(&lab.methods).await.0, 200);
    assert_eq!(lab.get(&format!("{}/creationOptions", lab.methods)).await.0, 403);
    let timed = format!("{}/creationOptions(challengeTimeoutInMinutes=10)", lab.methods);
    assert_eq!(lab.call(Method::GET, "beta", &timed, None).await.0, 403);
    assert_eq!(lab.register(&Authenticator::new().create(&options)).await.0, 403);
}

#[tokio::test]
async fn the_relying_party_is_whatever_the_options_say() {
    let lab = Lab::start().await;
    lab.sim().turn(&json!({"passkey_relying_party": "login.microsoftonline.com"})).unwrap();
    let options = lab.options().await;
    assert_eq!(options["publicKey"]["rp"]["id"], "login.microsoftonline.com");
    assert_eq!(lab.register(&Authenticator::new().create(&options)).await.0, 400);
    let mut follows = Authenticator::new();
    follows.relying_party = "login.microsoftonline.com".to_owned();
    follows.origin = "https://login.microsoftonline.com".to_owned();
    assert_eq!(lab.register(&follows.create(&lab.options().await)).await.0, 201);
}

const DEVICES: &str = "/directory/authenticationMethodDevices/hardwareOathDevices";
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

impl Lab {
    async fn with_tokens() -> Self {
        let lab =
            Self::with(&["Policy.ReadWrite.AuthenticationMethod", "UserAuthenticationMethod.ReadWrite.All"]).await;
        lab.beta(Method::PATCH, &CONFIGURATION.replace("fido2", "HardwareOath"), Some(oath_state("enabled"))).await;
        lab
    }

    async fn beta(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.call(method, "beta", path, body).await
    }

    fn bob(&self) -> String {
        self.sim().directory().user_by_name("bob@contoso.onmicrosoft.com").unwrap().1.id.clone()
    }

    fn code(&self, steps: i64) -> String {
        let secret = totp_rs::Secret::try_from_base32(SECRET).unwrap();
        let now = u64::try_from(self.sim().clock.now().as_second() + 30 * steps).unwrap();
        totp_rs::Builder::new().with_secret(secret).build_noncompliant().generate(now).to_string()
    }
}

fn device(serial: &str, change: &Value) -> Value {
    let mut body = json!({
        "serialNumber": serial, "manufacturer": "Latchkey", "model": "Virtual", "secretKey": SECRET,
        "timeIntervalInSeconds": 30, "hashFunction": "hmacsha1",
    });
    for (name, value) in change.as_object().unwrap() {
        body[name.as_str()] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_hardware_token_is_made_assigned_activated_and_taken_away() {
    let lab = Lab::with_tokens().await;
    let bob = lab.bob();
    let (status, made) = lab.beta(Method::POST, DEVICES, Some(device("1", &json!({"assignTo": {"id": bob}})))).await;
    assert_eq!((status, &made["status"], &made["secretKey"]), (201, &json!("assigned"), &Value::Null), "{made}");
    let methods = format!("/users/{bob}/authentication/hardwareOathMethods");
    let method = format!("{methods}/{}", made["id"].as_str().unwrap());
    let activate = async |code: &str| {
        lab.beta(Method::POST, &format!("{method}/activate"), Some(json!({"verificationCode": code}))).await.0
    };
    assert_eq!(activate("000000").await, 400);
    assert_eq!(activate(&lab.code(5)).await, 400);
    let code = lab.code(0);
    assert_eq!(activate(&code).await, 204);
    assert_eq!(activate(&code).await, 400);
    assert_eq!(lab.beta(Method::GET, &methods, None).await.1["value"].as_array().unwrap().len(), 1);
    let path = format!("{DEVICES}/{}", made["id"].as_str().unwrap());
    assert_eq!(lab.beta(Method::DELETE, &path, None).await.0, 400);
    assert_eq!(lab.beta(Method::DELETE, &method, None).await.0, 204);
    assert_eq!(lab.beta(Method::GET, &path, None).await.1["status"], "available");
    let body = json!({"device": {"id": made["id"]}, "verificationCode": lab.code(1)});
    assert_eq!(lab.beta(Method::POST, &format!("{methods}/assignAndActivate"), Some(body)).await.0, 204);
    assert_eq!(lab.beta(Method::GET, &path, None).await.1["status"], "activated");
    assert_eq!(lab.beta(Method::DELETE, &method, None).await.0, 204);
    assert_eq!(lab.beta(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(lab.beta(Method::GET, DEVICES, None).await.1["value"], json!([]));
}

#[tokio::test]
async fn a_hardware_token_has_a_form_a_policy_a_licence_and_beta_only() {
    let lab = Lab::with_tokens().await;
    assert_eq!(lab.call(Method::GET, "v1.0", DEVICES, None).await.0, 404);
    let refused = [
        json!({"secretKey": "not base32!"}),
        json!({"secretKey": "A".repeat(129)}),
        json!({"timeIntervalInSeconds": 45}),
        json!({"hashFunction": "hmacsha512"}),
        json!({"serialNumber": null}),
    ];
    for change in refused {
        assert_eq!(lab.beta(Method::POST, DEVICES, Some(device("1", &change))).await.0, 400, "{change}");
    }
    assert_eq!(lab.beta(Method::POST, DEVICES, Some(device("1", &json!({})))).await.0, 201);
    assert_eq!(lab.beta(Method::POST, DEVICES, Some(device("1", &json!({})))).await.0, 400);
    let assigned = |serial: usize| device(&format!("bob {serial}"), &json!({"assignTo": {"id": lab.bob()}}));
    for serial in 0..5 {
        assert_eq!(lab.beta(Method::POST, DEVICES, Some(assigned(serial))).await.0, 201);
    }
    assert_eq!(lab.beta(Method::POST, DEVICES, Some(assigned(5))).await.0, 400);
    let off = oath_state("disabled");
    lab.beta(Method::PATCH, &CONFIGURATION.replace("fido2", "HardwareOath"), Some(off)).await;
    let alice = device("alice", &json!({"assignTo": {"id": "alice@contoso.onmicrosoft.com"}}));
    assert_eq!(lab.beta(Method::POST, DEVICES, Some(alice)).await.0, 400);
    let devices = lab.beta(Method::GET, DEVICES, None).await.1["value"].as_array().unwrap().len();
    assert_eq!(devices, 6, "what could not be assigned was not made either");
    lab.sim().directory().tenant_mut(CONTOSO).unwrap().licence = entra_sim::directory::Licence::Free;
    assert_eq!(lab.beta(Method::POST, DEVICES, Some(device("2", &json!({})))).await.0, 403);

    let lab = Lab::with(&["Policy.ReadWrite.AuthenticationMethod"]).await;
    assert_eq!(lab.beta(Method::POST, DEVICES, Some(device("1", &json!({})))).await.0, 201);
    let assigned = device("2", &json!({"assignTo": {"id": lab.bob()}}));
    assert_eq!(lab.beta(Method::POST, DEVICES, Some(assigned)).await.0, 403);
    let methods = format!("/users/{}/authentication/hardwareOathMethods", lab.bob());
    assert_eq!(lab.beta(Method::GET, &methods, None).await.0, 403);
    let lab = Lab::with(&["UserAuthMethod-HardwareOATH.ReadWrite.All"]).await;
    assert_eq!(lab.beta(Method::GET, &methods, None).await.0, 200);
    assert_eq!(lab.beta(Method::POST, DEVICES, Some(device("1", &json!({})))).await.0, 403);
}
