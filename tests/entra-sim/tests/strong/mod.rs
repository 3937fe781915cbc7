//! Passkeys and codes at the pages: the leg on the relying party's host, what each credential is worth before Conditional
//! Access and security defaults, and everything that must be refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_sim::directory::oath::{HashFunction, OathToken};
use entra_sim::directory::passkey::{MethodState, user_handle};
use entra_sim::directory::{Licence, Passkey, RoleAssignment, roles};
use entra_sim::passkeys::{Attestation, RelyingParty};

use super::authenticator::{Authenticator, PRESENT, VERIFIED};
use super::{Answer, Browser, PASSWORD, StatusCode, TENANT, USER, Value, json, text};

const AT_PASSKEY: &str = "https://login.microsoft.com";
const PORTAL: &str = "c44b4083-3bb0-49c1-b47d-974e53cbdf3c";
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

impl Browser {
    async fn with_passkey() -> (Self, Authenticator) {
        let mut browser = Self::new();
        let authenticator = browser.give_passkey("login.microsoft.com");
        browser.turn(json!({"kmsi": false})).await;
        (browser, authenticator)
    }

    /// Registers a key as Graph would.
    fn give_passkey(&self, relying_party: &str) -> Authenticator {
        let mut authenticator = Authenticator::new();
        authenticator.origin = format!("https://{relying_party}");
        authenticator.relying_party = relying_party.to_owned();
        let party = RelyingParty::new(relying_party);
        let mut directory = self.simulation.directory();
        let tenant = directory.tenant_mut(TENANT).unwrap();
        let id = tenant.id.clone();
        let user = tenant.user_mut(USER).unwrap();
        let handle = user_handle(&id, &user.id);
        let (challenge, state) = party.begin_registration(&handle, USER, "Alice", &[]).unwrap();
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let options = json!({"publicKey": {"user": {"id": encoded(&handle)}, "challenge": encoded(&challenge)}});
        let credential = authenticator.create(&options);
        let bytes =
            |pointer: &str| URL_SAFE_NO_PAD.decode(credential.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
        let answer = Attestation {
            id: bytes("/id"),
            client_data: bytes("/response/clientDataJSON"),
            attestation_object: bytes("/response/attestationObject"),
        };
        let made = party.register(&state, &answer).unwrap();
        user.passkeys.push(Passkey {
            id: "key".to_owned(),
            display_name: "Latchkey".to_owned(),
            credential: made.credential,
            aaguid: made.aaguid,
            certified: made.certified,
            relying_party: relying_party.to_owned(),
            created: self.simulation.clock.now(),
            created_moment: self.simulation.clock.elapsed(),
        });
        authenticator
    }

    /// An activated token with [`BASE32`] as its secret.
    fn give_token(&self) {
        let mut directory = self.simulation.directory();
        let tenant = directory.tenant_mut(TENANT).unwrap();
        tenant.licence = Licence::P1;
        tenant.oath_policy.state = MethodState::Enabled;
        let user = tenant.user(USER).unwrap().id.clone();
        tenant.oath_tokens.push(OathToken {
            id: "token".to_owned(),
            serial_number: "1".to_owned(),
            manufacturer: "Latchkey".to_owned(),
            model: "Virtual".to_owned(),
            display_name: None,
            secret: BASE32.to_owned(),
            interval: 30,
            hash: HashFunction::HmacSha1,
            assigned_to: Some(user),
            activated: true,
            last_step: None,
            last_used: None,
            created: self.simulation.clock.now(),
        });
    }

    /// What the token shows so many steps from now.
    fn code(&self, steps: i64) -> String {
        let secret = totp_rs::Secret::try_from_base32(BASE32).unwrap();
        let now = u64::try_from(self.simulation.clock.now().as_second() + 30 * steps).unwrap();
        totp_rs::Builder::new().with_secret(secret).build_noncompliant().generate(now).to_string()
    }

    /// Leaves a page for the passkey's host.
    async fn leave(&mut self, page: &Value, user: &str) -> Answer {
        self.leave_from("https://login.microsoftonline.com", page, user).await
    }

    async fn leave_from(&mut self, origin: &str, page: &Value, user: &str) -> Answer {
        let fields = [
            ("ctx", text(page, "sCtx")),
            ("canary", text(page, "canary")),
            ("flowToken", text(page, "sFT")),
            ("username", user),
        ];
        self.post_from(origin, text(page, "urlFidoLogin"), &fields).await
    }

    /// Posts an assertion back to where the sign-in began.
    async fn answer_with(&mut self, page: &Value, user: &str, assertion: &Value) -> Answer {
        self.answer_from(AT_PASSKEY, page, user, assertion, text(page, "sCrossDomainCanary")).await
    }

    async fn answer_from(&mut self, origin: &str, page: &Value, user: &str, assertion: &Value, canary: &str) -> Answer {
        let assertion = assertion.to_string();
        let fields = [
            ("type", "23"),
            ("ps", "23"),
            ("assertion", assertion.as_str()),
            ("lmcCanary", canary),
            ("login", user),
            ("ctx", text(page, "sCtx")),
            ("canary", text(page, "canary")),
            ("flowToken", text(page, "sFT")),
        ];
        self.post_from(origin, text(page, "urlPost"), &fields).await
    }

    /// From the portal to the answer with this key.
    async fn sign_in_with_key(&mut self, key: &mut Authenticator) -> Answer {
        let page = self.open_portal().await.config();
        let asked = self.leave(&page, USER).await.config();
        let assertion = key.sign(text(&asked, "sFidoChallenge"));
        self.answer_with(&asked, USER, &assertion).await
    }

    async fn sign_in_with_password(&mut self) -> Answer {
        let page = self.open_portal().await.config();
        self.post_credential(&page, text(&page, "sFT"), "passwd", PASSWORD).await
    }

    async fn post_code(&mut self, page: &Value, code: &str) -> Answer {
        self.post_step(page, "/common/SAS/ProcessAuth", &[("otc", code)]).await
    }

    async fn last_error(&mut self) -> u64 {
        self.journal().await["attempts"].as_array().unwrap().last().unwrap()["error"].as_u64().unwrap()
    }

    /// A policy for everybody and the administrators' portals.
    fn demand(&self, grant: Value) {
        let policy = json!({
            "displayName": "A policy", "state": "enabled", "grantControls": grant,
            "conditions": {
                "users": {"includeUsers": ["All"]},
                "applications": {"includeApplications": ["MicrosoftAdminPortals"]},
                "clientAppTypes": ["all"],
            },
        });
        self.simulation.directory().tenant_mut(TENANT).unwrap().conditional_access = vec![policy];
    }
}

/// Whether an answer is the way back to the portal.
fn is_through(answer: &Answer) -> bool {
    answer.body.contains("name=\"hiddenform\"")
}

#[tokio::test]
async fn a_passkey_comes_first_and_opens_the_portal() {
    let (mut browser, mut key) = Browser::with_passkey().await;
    let page = browser.open_portal().await.config();
    let known = browser.ask_credential_type(&page, USER, text(&page, "sFT")).await;
    assert_eq!(known["Credentials"]["PrefCredential"], 7);
    assert_eq!(known["Credentials"]["HasFido"], true);
    assert_eq!(known["Credentials"]["FidoParams"]["AllowList"], json!([URL_SAFE_NO_PAD.encode(&key.id)]));
    let page = Value::Object(
        page.as_object().unwrap().clone().into_iter().chain([("sFT".to_owned(), known["FlowToken"].clone())]).collect(),
    );
    assert!(text(&page, "urlFidoLogin").starts_with("https://login.microsoft.com/"));
    let asked = browser.leave(&page, USER).await;
    assert!(asked.headers["content-security-policy"].contains("'nonce-"));
    let asked = asked.config();
    assert_eq!((&asked["sFidoRpId"], &asked["sDefaultView"]), (&json!("login.microsoft.com"), &json!("fido")));
    assert_eq!(asked["arrFidoAllowList"], json!([URL_SAFE_NO_PAD.encode(&key.id)]));
    assert!(text(&asked, "urlPost").starts_with("https://login.microsoftonline.com/"));
    let assertion = key.sign(text(&asked, "sFidoChallenge"));
    let working = browser.answer_with(&asked, USER, &assertion).await;
    let portal = browser.return_to_portal(&working).await;
    assert!(portal.body.contains("data-kind=\"passkey\""), "{}", portal.body);
    let attempts = browser.journal().await["attempts"].clone();
    assert_eq!((&attempts[0]["fields"], &attempts[0]["view"]), (&json!(["assertion"]), &json!("23")));
    assert_eq!((&attempts[0]["matched"], &attempts[0]["host"]), (&json!(true), &json!("login.microsoftonline.com")));
}

#[tokio::test]
async fn a_pass_comes_before_a_passkey_and_a_passkey_before_a_password() {
    let (mut browser, _) = Browser::with_passkey().await;
    browser.give_pass(false);
    let page = browser.open_portal().await.config();
    let known = browser.ask_credential_type(&page, USER, text(&page, "sFT")).await;
    assert_eq!((&known["Credentials"]["PrefCredential"], &known["Credentials"]["HasFido"]), (&json!(13), &json!(true)));
}

#[tokio::test]
async fn every_lie_of_a_passkey_is_noticed() {
    type Lie = fn(&mut Authenticator);
    let (mut browser, mut key) = Browser::with_passkey().await;
    let lies: [(&str, Lie); 7] = [
        ("origin", |key| key.origin = "https://login.microsoftonline.com".to_owned()),
        ("look-alike", |key| key.origin = "https://login.microsoft.com.evil.test".to_owned()),
        ("relying party", |key| key.relying_party = "login.microsoftonline.com".to_owned()),
        ("not verified", |key| key.flags = PRESENT),
        ("not present", |key| key.flags = VERIFIED),
        ("somebody else", |key| key.user_handle = b"O:somebody else".to_vec()),
        ("a registration", |key| key.kind = ["webauthn.create"; 2]),
    ];
    for (name, lie) in lies {
        let honest = (key.origin.clone(), key.relying_party.clone(), key.flags, key.user_handle.clone(), key.kind);
        lie(&mut key);
        let refused = browser.sign_in_with_key(&mut key).await;
        assert_eq!((refused.page_id().as_str(), browser.last_error().await), ("ConvergedSignIn", 500_121), "{name}");
        assert_eq!(refused.config()["sErrorCode"], "500121", "{name}");
        (key.origin, key.relying_party, key.flags, key.user_handle, key.kind) = honest;
    }
    // A copy of the key that was used less often than the key itself.
    assert!(is_through(&browser.sign_in_with_key(&mut key).await));
    browser.cookies.clear();
    key.counter -= 1;
    browser.sign_in_with_key(&mut key).await;
    assert_eq!(browser.last_error().await, 500_121);
    // And a key that nobody has.
    let mut stranger = Authenticator::new();
    browser.sign_in_with_key(&mut stranger).await;
    assert_eq!(browser.last_error().await, 135_010);
}

#[tokio::test]
async fn an_assertion_counts_once_and_for_its_own_challenge() {
    let (mut browser, mut key) = Browser::with_passkey().await;
    let page = browser.open_portal().await.config();
    let asked = browser.leave(&page, USER).await.config();
    let assertion = key.sign(text(&asked, "sFidoChallenge"));
    assert!(is_through(&browser.answer_with(&asked, USER, &assertion).await));
    assert_eq!(browser.answer_with(&asked, USER, &assertion).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.last_error().await, 50_089);
    browser.cookies.clear();
    let page = browser.open_portal().await.config();
    let asked = browser.leave(&page, USER).await.config();
    browser.answer_with(&asked, USER, &assertion).await;
    assert_eq!(browser.last_error().await, 500_121);

    // A refused answer uses the challenge up as well, and so does time.
    let page = browser.open_portal().await.config();
    let asked = browser.leave(&page, USER).await.config();
    key.flags = PRESENT;
    let unverified = key.sign(text(&asked, "sFidoChallenge"));
    let again = browser.answer_with(&asked, USER, &unverified).await.config();
    key.flags |= VERIFIED;
    let late = key.sign(text(&asked, "sFidoChallenge"));
    let mut renewed = asked.clone();
    renewed["sFT"] = again["sFT"].clone();
    assert_eq!(browser.answer_with(&renewed, USER, &late).await.status, StatusCode::BAD_REQUEST);
    let page = browser.open_portal().await.config();
    let asked = browser.leave(&page, USER).await.config();
    browser.simulation.clock.advance_seconds(301);
    let late = key.sign(text(&asked, "sFidoChallenge"));
    browser.answer_with(&asked, USER, &late).await;
    assert_eq!(browser.last_error().await, 500_121);
}

#[tokio::test]
async fn only_the_two_pages_that_belong_together_take_part() {
    let (mut browser, mut key) = Browser::with_passkey().await;
    let page = browser.open_portal().await.config();
    let stranger = browser.leave_from("https://login.microsoftonline.com.evil.test", &page, USER).await;
    assert_eq!(stranger.status, StatusCode::BAD_REQUEST);
    for (origin, canary) in
        [("https://login.microsoftonline.com", None), (AT_PASSKEY, Some("guessed")), (AT_PASSKEY, Some(""))]
    {
        let page = browser.open_portal().await.config();
        let asked = browser.leave(&page, USER).await.config();
        let assertion = key.sign(text(&asked, "sFidoChallenge"));
        let canary = canary.unwrap_or_else(|| text(&asked, "sCrossDomainCanary"));
        let answer = browser.answer_from(origin, &asked, USER, &assertion, canary).await;
        assert_eq!((answer.status, browser.last_error().await), (StatusCode::BAD_REQUEST, 50_089), "{origin} {canary}");
    }
    let elsewhere = text(&page, "urlFidoLogin").replace("login.microsoft.com", "login.microsoftonline.com");
    assert_eq!(browser.post(&elsewhere, &[("ctx", text(&page, "sCtx"))]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_passkey_opens_nothing_before_it_has_arrived_or_where_account_or_policy_forbid() {
    let (mut browser, mut key) = Browser::with_passkey().await;
    browser.simulation.turn(&json!({"passkey_sign_in_lag_ms": 3_600_000})).unwrap();
    let page = browser.open_portal().await.config();
    let known = browser.ask_credential_type(&page, USER, text(&page, "sFT")).await;
    assert_eq!(known["Credentials"]["PrefCredential"], 1);
    browser.sign_in_with_key(&mut key).await;
    assert_eq!(browser.last_error().await, 135_010);
    browser.simulation.turn(&json!({"passkey_sign_in_lag_ms": 0})).unwrap();

    browser.set_enabled(false);
    browser.sign_in_with_key(&mut key).await;
    assert_eq!(browser.last_error().await, 50_057);
    browser.set_enabled(true);

    let page = browser.open_portal().await.config();
    let asked = browser.leave(&page, USER).await.config();
    browser.simulation.directory().tenant_mut(TENANT).unwrap().passkey_policy.state = MethodState::Disabled;
    let assertion = key.sign(text(&asked, "sFidoChallenge"));
    browser.answer_with(&asked, USER, &assertion).await;
    assert_eq!(browser.last_error().await, 135_016);
    browser.simulation.directory().tenant_mut(TENANT).unwrap().passkey_policy.state = MethodState::Enabled;
    assert!(is_through(&browser.sign_in_with_key(&mut key).await));
    browser.set_enabled(false);
    assert_eq!(browser.open_portal().await.page_id(), "ConvergedSignIn");
}

#[tokio::test]
async fn without_a_name_the_key_says_whose_it_is() {
    let (mut browser, mut key) = Browser::with_passkey().await;
    let page = browser.open_portal().await.config();
    let asked = browser.leave(&page, "").await.config();
    assert_eq!(asked["arrFidoAllowList"], json!([]));
    let assertion = key.sign(text(&asked, "sFidoChallenge"));
    let working = browser.answer_with(&asked, "", &assertion).await;
    assert!(browser.return_to_portal(&working).await.body.contains(USER));
    browser.cookies.clear();
    let page = browser.open_portal().await.config();
    let asked = browser.leave(&page, "").await.config();
    let mut assertion = key.sign(text(&asked, "sFidoChallenge"));
    assertion["userHandle"] = Value::Null;
    browser.answer_with(&asked, "", &assertion).await;
    assert_eq!(browser.last_error().await, 500_121);
}

#[tokio::test]
async fn the_leg_is_on_the_host_of_the_relying_party() {
    let mut browser = Browser::new();
    browser.turn(json!({"kmsi": false})).await;
    browser.simulation.turn(&json!({"passkey_relying_party": "login.microsoftonline.com"})).unwrap();
    let mut key = browser.give_passkey("login.microsoftonline.com");
    let page = browser.open_portal().await.config();
    assert!(text(&page, "urlFidoLogin").starts_with("https://login.microsoftonline.com/"));
    let asked = browser.leave(&page, USER).await.config();
    let assertion = key.sign(text(&asked, "sFidoChallenge"));
    let canary = text(&asked, "sCrossDomainCanary").to_owned();
    let origin = "https://login.microsoftonline.com";
    assert!(is_through(&browser.answer_from(origin, &asked, USER, &assertion, &canary).await));
}

#[tokio::test]
async fn giving_up_leads_to_the_other_ways() {
    let (mut browser, _) = Browser::with_passkey().await;
    let page = browser.open_portal().await.config();
    let asked = browser.leave(&page, USER).await.config();
    let others = browser.get(text(&asked, "urlFidoCancel")).await.config();
    assert_eq!((&others["sDefaultView"], &others["sPOST_Username"]), (&json!("credential-picker"), &json!(USER)));
    assert!(others["oGetCredTypeResult"]["Credentials"]["HasPassword"].as_bool().unwrap());
}

/// Every credential before every policy: where it leads.
#[tokio::test]
async fn what_each_credential_is_worth() {
    let multi_factor = json!({"operator": "OR", "builtInControls": ["mfa"]});
    let strength = |id: &str| {
        json!({
            "operator": "OR", "builtInControls": [],
            "authenticationStrength": {"id": format!("00000000-0000-0000-0000-00000000000{id}"), "allowedCombinations": []},
        })
    };
    let block = json!({"operator": "OR", "builtInControls": ["block"]});
    let device = json!({"operator": "OR", "builtInControls": ["compliantDevice"]});
    let policies = [Value::Null, multi_factor, strength("2"), strength("4"), block, device];
    let (through, register) = ("portal", "ConvergedProofUpRedirect");
    let (more, blocked) = ("ConvergedTFA", "ConvergedConditionalAccess");
    let table = [
        ("password", [register, register, register, register, blocked, blocked]),
        ("pass", [through, through, through, register, blocked, blocked]),
        ("password+code", [through, through, through, register, blocked, blocked]),
        ("passkey", [through, through, through, through, blocked, blocked]),
        // Somebody who has a passkey and begins with a password is asked for it.
        ("password, has a passkey", [more, more, more, more, blocked, blocked]),
        ("pass, has a passkey", [through, through, through, more, blocked, blocked]),
        ("password, has a token", [more, more, more, register, blocked, blocked]),
    ];
    for (way, expected) in table {
        for (grant, expected) in policies.iter().zip(expected) {
            let mut browser = Browser::new();
            browser.turn(json!({"kmsi": false})).await;
            if !grant.is_null() {
                browser.demand(grant.clone());
            }
            let answer = match way {
                "password" => browser.sign_in_with_password().await,
                "password, has a passkey" => {
                    browser.give_passkey("login.microsoft.com");
                    browser.sign_in_with_password().await
                }
                "pass" => {
                    browser.give_pass(false);
                    browser.sign_in_with_pass().await
                }
                "pass, has a passkey" => {
                    browser.give_passkey("login.microsoft.com");
                    browser.give_pass(true);
                    browser.sign_in_with_pass().await
                }
                "password, has a token" => {
                    browser.give_token();
                    browser.sign_in_with_password().await
                }
                "password+code" => {
                    browser.give_token();
                    let asked = browser.sign_in_with_password().await;
                    if asked.page_id() == "ConvergedTFA" {
                        let code = browser.code(0);
                        browser.post_code(&asked.config(), &code).await
                    } else {
                        asked
                    }
                }
                _ => {
                    let mut key = browser.give_passkey("login.microsoft.com");
                    browser.sign_in_with_key(&mut key).await
                }
            };
            let reached = if is_through(&answer) { "portal".to_owned() } else { answer.page_id() };
            assert_eq!(reached, expected, "{way} before {grant}");
        }
    }
}

#[tokio::test]
async fn a_policy_that_asks_for_more_cannot_be_skipped() {
    let mut browser = Browser::new();
    browser.demand(json!({"operator": "OR", "builtInControls": ["mfa"]}));
    let page = browser.sign_in_with_password().await.config();
    assert!(page["urlSkipMfaRegistration"].is_null(), "{page}");
    let skip = format!("https://login.microsoftonline.com/common/reprocess?ctx={}&skip=ProofUp", text(&page, "sCtx"));
    assert_eq!(browser.get(&skip).await.page_id(), "ConvergedProofUpRedirect");
    assert_eq!(browser.get(&format!("{skip}&registered=1")).await.page_id(), "ConvergedProofUpRedirect");
}

#[tokio::test]
async fn security_defaults_ask_administrators_for_what_they_have() {
    let mut browser = Browser::new();
    browser.give_token();
    browser.turn(json!({"kmsi": false, "proof_up": "off"})).await;
    assert!(is_through(&browser.sign_in_with_password().await));
    let helpdesk = roles::by_name("Helpdesk Administrator").unwrap().id.to_owned();
    {
        let mut directory = browser.simulation.directory();
        let tenant = directory.tenant_mut(TENANT).unwrap();
        tenant.security_defaults = true;
        let principal = tenant.user(USER).unwrap().id.clone();
        let (id, scope) = ("assignment".to_owned(), "/".to_owned());
        tenant.assignments.push(RoleAssignment { id, role: helpdesk, principal, scope, schedule: None });
    }
    browser.cookies.clear();
    assert_eq!(browser.sign_in_with_password().await.page_id(), "ConvergedTFA");
    browser.simulation.directory().tenant_mut(TENANT).unwrap().oath_tokens.clear();
    assert!(is_through(&browser.sign_in_with_password().await));
}

#[tokio::test]
async fn a_policy_holds_for_those_and_for_what_it_names() {
    let mut browser = Browser::new();
    browser.give_pass(false);
    browser.turn(json!({"kmsi": false})).await;
    let alice = browser.simulation.directory().user_by_name(USER).unwrap().1.id.clone();
    let users = |users: Value| json!({"users": users, "applications": {"includeApplications": ["All"]}});
    let everybody = json!({"includeUsers": ["All"]});
    for (conditions, state, stopped) in [
        (users(everybody.clone()), "enabled", true),
        (users(everybody.clone()), "enabledForReportingButNotEnforced", false),
        (users(everybody.clone()), "disabled", false),
        (users(json!({"includeUsers": [alice]})), "enabled", true),
        (users(json!({"includeUsers": ["All"], "excludeUsers": [alice]})), "enabled", false),
        (users(json!({"includeRoles": ["62e90394-69f5-4237-9190-012177145e10"]})), "enabled", false),
        (json!({"users": everybody, "applications": {"includeApplications": [PORTAL]}}), "enabled", true),
        (
            json!({"users": everybody, "applications": {"includeApplications": ["All"], "excludeApplications": [PORTAL]}}),
            "enabled",
            false,
        ),
        (
            json!({"users": everybody, "applications": {"includeApplications": ["00000003-0000-0000-c000-000000000000"]}}),
            "enabled",
            false,
        ),
    ] {
        let policy = json!({
            "displayName": "A policy", "state": state, "conditions": conditions,
            "grantControls": {"operator": "OR", "builtInControls": ["block"]},
        });
        browser.simulation.directory().tenant_mut(TENANT).unwrap().conditional_access = vec![policy.clone()];
        browser.cookies.clear();
        assert_eq!(is_through(&browser.sign_in_with_pass().await), !stopped, "{policy}");
    }
}

#[tokio::test]
async fn a_code_is_taken_once_near_its_time_and_only_from_the_persons_own_token() {
    let mut browser = Browser::new();
    browser.turn(json!({"kmsi": false})).await;
    browser.give_token();
    let page = browser.sign_in_with_password().await;
    assert_eq!((page.page_id().as_str(), &page.config()["sDefaultView"]), ("ConvergedTFA", &json!("tfa-code")));
    let page = page.config();
    // What any other person's app would show here.
    let page = browser.post_code(&page, "123456").await.config();
    assert_eq!(browser.last_error().await, 500_121);
    let far = browser.code(5);
    let page = browser.post_code(&page, &far).await.config();
    assert_eq!(browser.last_error().await, 500_121);
    let code = browser.code(0);
    let working = browser.post_code(&page, &code).await;
    let portal = browser.return_to_portal(&working).await;
    assert!(portal.body.contains("data-kind=\"password_code\""), "{}", portal.body);
    browser.cookies.clear();
    let page = browser.sign_in_with_password().await.config();
    let page = browser.post_code(&page, &code).await.config();
    assert_eq!(browser.last_error().await, 500_121);
    let next = browser.code(1);
    assert!(is_through(&browser.post_code(&page, &next).await));
    browser.simulation.directory().tenant_mut(TENANT).unwrap().oath_policy.state = MethodState::Disabled;
    browser.cookies.clear();
    assert_eq!(browser.sign_in_with_password().await.page_id(), "ConvergedProofUpRedirect");
}

#[tokio::test]
async fn a_passkey_as_second_factor_belongs_to_the_same_person() {
    let (mut browser, mut key) = Browser::with_passkey().await;
    browser.demand(json!({"operator": "OR", "builtInControls": ["mfa"]}));
    let page = browser.sign_in_with_password().await;
    assert_eq!(page.page_id(), "ConvergedTFA");
    let page = page.config();
    assert_eq!(page["arrUserProofs"][0]["authMethodId"], "FidoKey");
    let asked = browser.leave(&page, "somebody@else.test").await.config();
    assert_eq!(asked["sPOST_Username"], USER);
    let stranger = Authenticator::new().sign(text(&asked, "sFidoChallenge"));
    let page = browser.answer_with(&asked, USER, &stranger).await;
    assert_eq!((page.page_id().as_str(), browser.last_error().await), ("ConvergedTFA", 135_010));
    let asked = browser.leave(&page.config(), USER).await.config();
    let assertion = key.sign(text(&asked, "sFidoChallenge"));
    let working = browser.answer_with(&asked, USER, &assertion).await;
    assert!(browser.return_to_portal(&working).await.body.contains("data-kind=\"password_passkey\""));
}
