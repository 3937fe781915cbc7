//! Passkeys from the preparing of an account to a page's request, with the lab's relying party as the judge.

use std::sync::atomic::Ordering;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use entra_sim::{
    directory::{
        passkey::{MethodState, Passkey, user_handle},
        sign_in::SignInError,
    },
    passkeys::{Assertion, RelyingParty},
};
use latchkey_engine::{AuditEvent, AuditQuery, Engine, Failure, PASSKEY_AAGUID, PasskeyLife, StartLease};
use latchkey_protocol::{CredentialKind, ErrorCode, LeaseState, LeaseSummary};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    audit::database,
    certificates::tenant_with,
    lab::{Lab, PERSON, QUIET, start},
};

const HOST: &str = "login.microsoft.com";
const PERMISSIONS: &[&str] =
    &["UserAuthMethod-Passkey.ReadWrite.All", "UserAuthMethod-TAP.ReadWrite.All", "Policy.Read.AuthenticationMethod"];

/// A tenant whose accounts may have passkeys.
fn tenant(lab: &Lab) -> Uuid {
    tenant_with(lab, "Tailspin", PERMISSIONS)
}

pub(crate) fn pin() -> SecretString {
    SecretString::from("271828")
}

/// An engine whose person was verified, with the tenant connected and a passkey that every page knows.
async fn ready(lab: &Lab, tenant_id: Uuid) -> Engine {
    let engine = lab.engine().await;
    engine.set_pin(None, &pin(), &PERSON).await.unwrap();
    let (_, prepared) = engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!(prepared.problems, []);
    lab.advance(31);
    engine
}

/// The account's passkeys at Microsoft.
fn registered(lab: &Lab, tenant_id: Uuid) -> Vec<Passkey> {
    let id = lab.account(tenant_id).id;
    lab.sim().directory().tenant(&tenant_id.to_string()).unwrap().users[&id].passkeys.clone()
}

/// Waits until a passkey is registered, and then as long as every page takes to know it.
async fn passkey_arrives(lab: &Lab, engine: &Engine) {
    while !engine.credentials().await.unwrap().iter().any(|key| key.registered) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    lab.advance(31);
}

/// The key store's entries that hold a passkey's key.
fn keys(lab: &Lab) -> Vec<String> {
    lab.keys.sealed.names().into_iter().filter(|name| name.starts_with("passkey:")).collect()
}

async fn started(engine: &Engine, tenant_id: Uuid) -> LeaseSummary {
    engine.start_lease(StartLease { passkey: true, ..start(tenant_id) }, QUIET).await.unwrap()
}

/// What a browser hands over for a page that asks for one of these keys.
fn request(challenge: &[u8], keys: &[Passkey]) -> Value {
    let allowed: Vec<_> = keys
        .iter()
        .map(|key| json!({ "type": "public-key", "id": BASE64_URL_SAFE_NO_PAD.encode(&key.credential.cred_id) }))
        .collect();
    json!({
        "challenge": BASE64_URL_SAFE_NO_PAD.encode(challenge), "rpId": HOST, "userVerification": "required",
        "allowCredentials": allowed, "timeout": 60_000,
        "extensions": { "remoteDesktopClientOverride": {
            "origin": format!("https://{HOST}"), "sameOriginWithAncestors": true,
        } },
    })
}

/// A page asks, the engine answers, and the relying party judges. The flags of the answer come back.
async fn sign_in(lab: &Lab, engine: &Engine, lease: &LeaseSummary, discoverable: bool) -> u8 {
    let (tenant_id, id) = (lease.tenant_id, lab.account(lease.tenant_id).id);
    let known = registered(lab, tenant_id);
    let party = RelyingParty::new(HOST);
    let (challenge, state) = party.begin_assertion().unwrap();
    let request = request(&challenge, if discoverable { &[] } else { &known });
    let assertion = signed(engine, lease, &request).await;
    let handle = user_handle(&tenant_id.to_string(), &id);
    let key = known.iter().map(|key| &key.credential).find(|key| key.cred_id == assertion.id.as_slice()).unwrap();
    party.check(&state, key, &handle, &assertion).expect("the relying party accepts it");
    let mut forged = assertion.clone();
    forged.authenticator_data[36] ^= 1;
    party.check(&state, key, &handle, &forged).expect_err("the judge can tell");
    assertion.authenticator_data[32]
}

/// What a browser gives the page for this request.
async fn signed(engine: &Engine, lease: &LeaseSummary, request: &Value) -> Assertion {
    let answer = engine.assert_passkey(lease.lease_id, &request.to_string(), &PERSON).await.unwrap();
    let answer: Value = serde_json::from_str(&answer.response).unwrap();
    assert_eq!((&answer["type"], &answer["id"]), (&json!("public-key"), &answer["rawId"]));
    assert_eq!(answer["clientExtensionResults"], json!({}));
    let bytes = |value: &Value| BASE64_URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap();
    let response = &answer["response"];
    Assertion {
        id: bytes(&answer["rawId"]),
        client_data: bytes(&response["clientDataJSON"]),
        authenticator_data: bytes(&response["authenticatorData"]),
        signature: bytes(&response["signature"]),
        user_handle: Some(bytes(&response["userHandle"])),
    }
}

async fn refused(engine: &Engine, lease: &LeaseSummary, request: &Value) -> ErrorCode {
    engine.assert_passkey(lease.lease_id, &request.to_string(), &PERSON).await.unwrap_err().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_from_the_preparing_to_the_page() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    let [made] = &registered(&lab, tenant_id)[..] else { panic!("one passkey") };
    assert_eq!((made.aaguid, made.relying_party.as_str()), (PASSKEY_AAGUID, HOST));
    assert_eq!(keys(&lab).len(), 1);
    let plan = engine.tenants().await.unwrap().remove(0).credential;
    assert_eq!((plan.kind, plan.unavailable.len()), (CredentialKind::Passkey, 0));
    assert_eq!(plan.otherwise, Some(CredentialKind::TemporaryAccessPass));

    engine.warm(tenant_id).await.unwrap();
    lab.forget_exchanges();
    let lease = started(&engine, tenant_id).await;
    assert_eq!(lab.round_trips(), ["POST /v1.0/$batch"]);
    assert_eq!((lease.state, lease.credential), (LeaseState::Active, Some(CredentialKind::Passkey)));
    assert!(lease.credential_held);
    let during = lab.account(tenant_id);
    assert!(during.enabled && during.roles.len() == 1 && during.pass.is_none());

    // Present, verified, and of a kind that more than one device could hold: that is what a key in software is.
    assert_eq!(sign_in(&lab, &engine, &lease, false).await & 0b0001_1101, 0b0001_1101);
    sign_in(&lab, &engine, &lease, true).await;
    assert_eq!(started(&engine, tenant_id).await, lease, "asked for again");
    let shown = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap_err();
    assert_eq!(*shown.failure(), Failure::NothingToShow);

    lab.forget_exchanges();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert_eq!(lab.round_trips().len(), 2);
    lab.assert_dormant(tenant_id, &during);
    assert_eq!(registered(&lab, tenant_id).len(), 1, "it is kept");
    assert_eq!(refused(&engine, &lease, &request(b"later", &[])).await, ErrorCode::LeaseOver);

    let used = AuditQuery { event: Some(AuditEvent::PasskeyUsed), ..AuditQuery::default() };
    assert_eq!(engine.audit(&used).await.unwrap().len(), 2);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_answers_with_the_same_key() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let lease = started(&ready(&lab, tenant_id).await, tenant_id).await;
    let other = lab.engine().await;
    assert!(other.leases(false).await.unwrap()[0].credential_held);
    let asked = request(b"who is there", &[]);
    assert_eq!(refused(&other, &lease, &asked).await, ErrorCode::VerificationNeeded, "it remembers nobody");
    assert!(other.verify_pin(&pin(), &PERSON).await.unwrap().verified);
    sign_in(&lab, &other, &lease, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_ours_is_answered_and_each_challenge_once() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    let lease = started(&engine, tenant_id).await;
    let known = registered(&lab, tenant_id);
    let good = request(b"a challenge", &known);
    let changed = |pointer: &str, value: Value| {
        let mut request = good.clone();
        *request.pointer_mut(pointer).unwrap() = value;
        request
    };
    let origin = "/extensions/remoteDesktopClientOverride/origin";
    for (request, expected) in [
        (changed(origin, json!("https://login.microsoft.com.evil.example")), ErrorCode::OriginNotAllowed),
        (changed("/rpId", json!("login.microsoftonline.com")), ErrorCode::RelyingPartyNotAllowed),
        (changed("/allowCredentials/0/id", json!("AAAA")), ErrorCode::PasskeyNotAsked),
        (json!({ "challenge": "AAAA" }), ErrorCode::PasskeyNotAsked),
    ] {
        assert_eq!(refused(&engine, &lease, &request).await, expected, "{request}");
    }
    // The other sign-in host, by its own name: genuine, but the key is not for it.
    let mut other = changed(origin, json!("https://login.microsoftonline.com"));
    other["rpId"] = json!("login.microsoftonline.com");
    assert_eq!(refused(&engine, &lease, &other).await, ErrorCode::RelyingPartyNotAllowed);

    engine.forget_person();
    assert_eq!(refused(&engine, &lease, &good).await, ErrorCode::VerificationNeeded, "the screen was locked");
    engine.verify_pin(&pin(), &PERSON).await.unwrap();
    lab.clock.pass(8 * 3_600_000);
    assert!(!engine.person().await.unwrap().verified, "a working session is over");
    lab.clock.pass(-8 * 3_600_000);
    engine.assert_passkey(lease.lease_id, &good.to_string(), &PERSON).await.unwrap();
    assert_eq!(refused(&engine, &lease, &good).await, ErrorCode::PasskeyAnswered);

    let by_pass = engine.replace_credential(lease.lease_id, CredentialKind::Passkey, &PERSON, QUIET).await.unwrap();
    assert_eq!(by_pass.lease_id, lease.lease_id);
    assert_eq!(refused(&engine, &by_pass, &request(b"another", &known)).await, ErrorCode::LeaseNotUsable);
    let log = AuditQuery { event: Some(AuditEvent::PasskeyRefused), ..AuditQuery::default() };
    assert_eq!(engine.audit(&log).await.unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_a_passkey_who_was_not_verified() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = lab.engine().await;
    let (summary, prepared) = engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!(
        prepared.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(),
        [ErrorCode::VerificationNeeded]
    );
    assert_eq!(summary.credential.kind, CredentialKind::TemporaryAccessPass);
    assert!(summary.credential.unavailable[0].because.contains("holds no passkey"));
    assert!(registered(&lab, tenant_id).is_empty() && keys(&lab).is_empty());
    let lease = started(&engine, tenant_id).await;
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();

    // Later somebody is there, and the sweep makes up for it.
    engine.set_pin(None, &pin(), &PERSON).await.unwrap();
    lab.advance(1_000);
    engine.sweep().await.unwrap();
    assert_eq!(registered(&lab, tenant_id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_in_line_is_used_where_a_passkey_cannot_be() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = lab.engine().await;
    engine.set_pin(None, &pin(), &PERSON).await.unwrap();
    engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    let plan = engine.tenants().await.unwrap().remove(0).credential;
    assert!(plan.unavailable[0].because.contains("just now"), "it is on its way");
    let lease = started(&engine, tenant_id).await;
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.advance(31);
    // A browser that has no door for passkeys, and the command line.
    let lease = lab.start(&engine, tenant_id).await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert_eq!(started(&engine, tenant_id).await.credential, Some(CredentialKind::Passkey));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_refuses_is_replaced_once_down_the_line() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    let lease = started(&engine, tenant_id).await;
    let replace = |refused| engine.replace_credential(lease.lease_id, refused, &PERSON, QUIET);
    let by_pass = replace(CredentialKind::Passkey).await.unwrap();
    assert_eq!((by_pass.lease_id, by_pass.credential), (lease.lease_id, Some(CredentialKind::TemporaryAccessPass)));
    let during = lab.account(tenant_id);
    let secret = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap();
    assert_eq!(Some(secret.value), during.pass);
    assert_eq!(replace(CredentialKind::Passkey).await.unwrap(), by_pass, "it was replaced already");

    let by_password = replace(CredentialKind::TemporaryAccessPass).await.unwrap();
    assert_eq!(by_password.credential, Some(CredentialKind::Password));
    let nothing = replace(CredentialKind::Password).await.unwrap_err();
    assert_eq!(*nothing.failure(), Failure::NoOtherCredential);
    assert_eq!(engine.leases(false).await.unwrap()[0].state, LeaseState::Active, "the lease goes on with what it has");
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(tenant_id, &during);

    // For an hour it is not tried again.
    let plan = engine.tenants().await.unwrap().remove(0).credential;
    assert_eq!(plan.kind, CredentialKind::Password);
    assert!(plan.unavailable[0].because.contains("refused the passkey"));
    lab.advance(3_601);
    engine.sweep().await.unwrap();
    assert_eq!(engine.tenants().await.unwrap().remove(0).credential.kind, CredentialKind::Passkey);
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_is_lost_is_made_again() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    let first = registered(&lab, tenant_id).remove(0).id;

    // Here: the key store was reset.
    let [entry] = &keys(&lab)[..] else { panic!("one key") };
    latchkey_engine::SealedStore::discard(&lab.keys.sealed, entry).unwrap();
    let lease = started(&engine, tenant_id).await;
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.advance(1_000);
    engine.sweep().await.unwrap();
    let [second] = &registered(&lab, tenant_id)[..] else { panic!("the dead one is gone") };
    assert_ne!(second.id, first);
    lab.advance(31);
    let lease = started(&engine, tenant_id).await;
    sign_in(&lab, &engine, &lease, false).await;

    // At Microsoft: somebody deleted it, and a page says so.
    lab.change_user(tenant_id, |user| user.passkeys.clear());
    engine.replace_credential(lease.lease_id, CredentialKind::Passkey, &PERSON, QUIET).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.advance(3_601);
    engine.sweep().await.unwrap();
    assert_eq!((registered(&lab, tenant_id).len(), keys(&lab).len()), (1, 1));
    lab.advance(31);
    let lease = started(&engine, tenant_id).await;
    sign_in(&lab, &engine, &lease, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_was_not_answered_is_found_by_its_name() {
    for after in [true, false] {
        let lab = Lab::new().await;
        let may_list = [PERMISSIONS, &["UserAuthMethod-Passkey.Read.All"]].concat();
        let tenant_id = tenant_with(&lab, "Tailspin", &may_list);
        let engine = lab.engine().await;
        engine.set_pin(None, &pin(), &PERSON).await.unwrap();
        let fault = if after { "drop_after" } else { "drop_before" };
        lab.sim().faults.add(
            serde_json::from_value(json!({
                "match": { "method": "POST", "path_contains": "fido2Methods" }, "kind": fault, "times": 1,
            }))
            .unwrap(),
        );
        let (_, prepared) = engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
        assert_eq!(prepared.problems, [], "{fault}");
        let known = registered(&lab, tenant_id);
        assert_eq!(known.len(), 1, "{fault}");
        lab.advance(31);
        let lease = started(&engine, tenant_id).await;
        sign_in(&lab, &engine, &lease, false).await;
        // What had its answer lost and did not happen goes when it cannot happen any more.
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
        lab.advance(700);
        engine.prepare_account(tenant_id, &PERSON, QUIET).await.unwrap();
        assert_eq!((registered(&lab, tenant_id).len(), keys(&lab).len()), (1, 1), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_missing_is_named() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = lab.engine().await;
    let unavailable = async |change: &dyn Fn(&mut entra_sim::directory::tenant::Tenant)| {
        lab.change_tenant(tenant_id, |tenant| {
            tenant.passkey_policy = entra_sim::directory::passkey::PasskeyPolicy::default();
            change(tenant);
        });
        let plan = engine.inspect_tenant(&lab.wish(tenant_id)).await.unwrap().credential;
        assert_eq!(plan.kind, CredentialKind::TemporaryAccessPass);
        let [passkey] = plan.unavailable.try_into().unwrap();
        assert_eq!(passkey.kind, CredentialKind::Passkey);
        (passkey.because, passkey.remedy)
    };
    type Change = Box<dyn Fn(&mut entra_sim::directory::tenant::Tenant)>;
    let cases: [(Change, &str, &str); 5] = [
        (Box::new(|_| {}), "holds no passkey", "latchkey pin set"),
        (
            Box::new(|tenant| tenant.passkey_policy.state = MethodState::Disabled),
            "switched off",
            "switch the method on",
        ),
        (
            Box::new(|tenant| tenant.passkey_policy.is_self_service_registration_allowed = false),
            "be set up",
            "self-service",
        ),
        (Box::new(|tenant| tenant.passkey_policy.is_attestation_enforced = true), "attested", "Enforce attestation"),
        (
            Box::new(|tenant| {
                tenant.passkey_policy.key_restrictions.is_enforced = true;
                tenant.passkey_policy.key_restrictions.aaguids = vec![PASSKEY_AAGUID];
            }),
            "key restrictions",
            "AAGUID",
        ),
    ];
    for (change, because, remedy) in &cases {
        let (said, step) = unavailable(change).await;
        assert!(said.contains(because) && step.contains(remedy), "{said} {step}");
    }
    lab.change_tenant(tenant_id, |tenant| {
        tenant.applications[0].permissions.retain(|permission| !permission.contains("Passkey"));
    });
    lab.forget_exchanges();
    let (said, _) = unavailable(&|_| {}).await;
    assert!(said.contains("UserAuthMethod-Passkey.ReadWrite.All"), "{said}");
    let asked = lab.sim().exchanges.entries();
    assert!(
        !asked.iter().any(|exchange| exchange.path.to_lowercase().contains("fido2")),
        "what is not used is not read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_can_choose_a_lesser_credential() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    for (pinned, without) in [(CredentialKind::TemporaryAccessPass, 1), (CredentialKind::Password, 2)] {
        let mut settings = lab.settings();
        settings.policy.everywhere.credential = Some(pinned);
        let engine = lab.try_engine(settings).await.unwrap();
        let plan = engine.tenants().await.unwrap().remove(0).credential;
        assert_eq!((plan.kind, plan.unavailable.len()), (pinned, without));
        let lease = started(&engine, tenant_id).await;
        assert_eq!(lease.credential, Some(pinned));
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    }
    drop(engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_goes_with_its_account_and_its_tenant() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    assert_eq!(engine.credentials().await.unwrap().len(), 1);
    engine.remove_tenant(tenant_id, false, &PERSON, QUIET).await.unwrap();
    assert!(registered(&lab, tenant_id).is_empty() && keys(&lab).is_empty(), "the account stays, the passkey does not");
    assert!(engine.credentials().await.unwrap().is_empty());

    engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!((registered(&lab, tenant_id).len(), keys(&lab).len()), (1, 1));
    let listed = engine.credentials().await.unwrap().remove(0);
    assert!(listed.registered && listed.held && listed.display_name.starts_with("Latchkey "));
    engine.remove_technician(&engine.acting_technician(), &PERSON, &|_| {}).await.unwrap();
    assert_eq!(lab.find_account(tenant_id, "jit-alex@").map(|account| account.id), None);
    assert!(keys(&lab).is_empty());
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_somebody_else_made_is_left_alone() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    let mut theirs = registered(&lab, tenant_id).remove(0);
    theirs.id = "theirs2".to_owned();
    theirs.display_name = "Latchkey of another machine".to_owned();
    lab.change_user(tenant_id, |user| user.passkeys.push(theirs));
    engine.prepare_account(tenant_id, &PERSON, QUIET).await.unwrap();
    assert_eq!(registered(&lab, tenant_id).len(), 2);
    engine.remove_tenant(tenant_id, false, &PERSON, QUIET).await.unwrap();
    assert_eq!(registered(&lab, tenant_id).iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["theirs2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_each_lease_has_its_own_it_is_made_on_the_click_and_gone_at_the_end() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let per_lease = || {
        let mut settings = lab.settings();
        settings.policy.everywhere.passkeys = Some(PasskeyLife::PerLease);
        settings
    };
    let engine = lab.try_engine(per_lease()).await.unwrap();
    engine.set_pin(None, &pin(), &PERSON).await.unwrap();
    let (summary, prepared) = engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!((prepared.problems.len(), summary.credential.kind), (0, CredentialKind::Passkey));
    engine.sweep().await.unwrap();
    assert!(registered(&lab, tenant_id).is_empty() && keys(&lab).is_empty(), "a dormant account has none");
    engine.forget_person();

    // The click comes before the person has shown who is there; and then the passkey takes its time to arrive.
    let starting = {
        let engine = engine.clone();
        tokio::spawn(async move { started(&engine, tenant_id).await })
    };
    assert!(engine.verify_pin(&pin(), &PERSON).await.unwrap().verified);
    lab.wait_until(|| registered(&lab, tenant_id).len() == 1).await;
    assert!(!lab.account(tenant_id).enabled, "nothing is granted before");
    passkey_arrives(&lab, &engine).await;
    let lease = starting.await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::Passkey));
    sign_in(&lab, &engine, &lease, false).await;
    assert_eq!(started(&engine, tenant_id).await, lease, "asked for again");
    let during = lab.account(tenant_id);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_dormant(tenant_id, &during);
    assert!(registered(&lab, tenant_id).is_empty() && keys(&lab).is_empty());
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_waits_for_a_person_for_a_while_and_then_takes_the_next_in_line() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let mut settings = lab.settings();
    settings.policy.everywhere.passkeys = Some(PasskeyLife::PerLease);
    let engine = lab.try_engine(settings).await.unwrap();
    engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    let starting = {
        let engine = engine.clone();
        tokio::spawn(async move { started(&engine, tenant_id).await })
    };
    // Once, and not while something is sent: the loan on the account would seem to run short. If the wait has not begun by
    // then, it lasts as long as it lasts.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    lab.advance(21);
    let lease = starting.await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::TemporaryAccessPass));
    assert!(registered(&lab, tenant_id).is_empty() && keys(&lab).is_empty());
    // Nobody is waited for while a lease is open.
    assert_eq!(started(&engine, tenant_id).await, lease);
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_said_no_to_an_earlier_click_is_waited_for_again() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let mut settings = lab.settings();
    settings.policy.everywhere.passkeys = Some(PasskeyLife::PerLease);
    let engine = lab.try_engine(settings).await.unwrap();
    engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    engine.person_is_asked();
    engine.person_is_not_asked_any_more(true);
    lab.advance(1_000);
    engine.person_is_asked();
    let starting = {
        let engine = engine.clone();
        tokio::spawn(async move { started(&engine, tenant_id).await })
    };
    engine.person_was_verified("the lab", &PERSON).await.unwrap();
    passkey_arrives(&lab, &engine).await;
    let lease = starting.await.unwrap();
    assert_eq!(lease.credential, Some(CredentialKind::Passkey));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_goes_when_it_is_not_to_be_kept_any_more_whatever_microsoft_says_at_first() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    ready(&lab, tenant_id).await.close().await;
    let mut settings = lab.settings();
    settings.policy.everywhere.passkeys = Some(PasskeyLife::PerLease);
    let engine = lab.try_engine(settings).await.unwrap();
    let refusal = json!({
        "match": { "method": "DELETE", "path_contains": "fido2Methods" }, "kind": "status", "status": 403, "times": 2,
    });
    lab.sim().faults.add(serde_json::from_value(refusal).unwrap());
    lab.advance(1_000);
    engine.sweep().await.unwrap();
    assert!(keys(&lab).is_empty() && registered(&lab, tenant_id).len() == 1, "the key is destroyed at once");
    lab.advance(1_000);
    engine.sweep().await.unwrap();
    assert!(registered(&lab, tenant_id).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_kept_key_signs_opens_nothing_while_no_lease_is_open() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    let lease = started(&engine, tenant_id).await;
    let ask = || lab.sim().ask_for_passkey(Some(&lease.user_name)).unwrap();
    let sign_in = |question, answer| lab.sim().sign_in_with_passkey(None, Some(&lease.user_name), question, answer);
    // What whoever has the key could make at any time, made while that can be compared.
    let (now, later) = (ask(), ask());
    let known = registered(&lab, tenant_id);
    let answer_now = signed(&engine, &lease, &request(&now.challenge, &known)).await;
    let answer_later = signed(&engine, &lease, &request(&later.challenge, &known)).await;
    let session = sign_in(&now, &answer_now).unwrap();
    assert!(lab.sim().session(&session.session_id).is_some());

    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert_eq!(registered(&lab, tenant_id).len(), 1, "the key is still known there");
    assert_eq!(sign_in(&later, &answer_later).unwrap_err(), SignInError::Disabled);
    assert!(lab.sim().session(&session.session_id).is_none(), "and what it had opened is shut");
    // The same answer is good again as soon as the account is: it was the account that kept it out.
    let lease = started(&engine, tenant_id).await;
    sign_in(&later, &answer_later).unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_nothing_is_left(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_nothing_while_no_lease_is_open_and_stands_in_no_file() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let engine = ready(&lab, tenant_id).await;
    let account = lab.account(tenant_id);
    assert!(!account.enabled && account.roles.is_empty(), "whoever steals the key finds the account disabled");
    let [entry] = &keys(&lab)[..] else { panic!("one key") };
    let kept = latchkey_engine::SealedStore::unseal(&lab.keys.sealed, entry).unwrap().unwrap();
    let kept: Value = serde_json::from_str(secrecy::ExposeSecret::expose_secret(&kept)).unwrap();
    let key = kept["key"].as_str().unwrap().to_owned();
    let whole = BASE64_URL_SAFE_NO_PAD.decode(&key).unwrap();
    // The private half is the last 32 bytes of the longest byte string; any long piece of the text will do here.
    assert!(whole.len() > 32);
    engine.close().await;
    assert!(lab.database_contains(&[key[40..80].to_owned()].into()).is_empty());
    lab.keys.locked.store(false, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_summary_rests_on_its_own_keys_and_on_no_others() {
    let lab = Lab::new().await;
    let tenant_id = tenant(&lab);
    let other = tenant_with(&lab, "Wingtip", PERMISSIONS);
    let engine = ready(&lab, other).await;
    engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    lab.advance(31);
    let listed = engine.tenants().await.unwrap().into_iter().find(|one| one.tenant_id == tenant_id).unwrap();
    let (summary, _) = engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!(summary.credential.kind, CredentialKind::Passkey);
    assert_eq!(summary.credential, listed.credential, "one by one as in the list");

    // Another tenant's row that cannot be read is that tenant's trouble.
    let mut database = database(&lab).await;
    let damage = sqlx::query(
        "update passkeys set object_id = 'nonsense'
         where account_id in (select account_id from accounts where tenant_id = ?1)",
    );
    assert_eq!(damage.bind(other.to_string()).execute(&mut database).await.unwrap().rows_affected(), 1);
    engine.tenants().await.unwrap_err();
    let (summary, _) = engine.add_tenant(lab.wish(tenant_id), &PERSON, QUIET).await.unwrap();
    assert_eq!((summary.credential.kind, summary.credential.passkey_kept), (CredentialKind::Passkey, true));
}
