//! The golden messages in `fixtures/`: what Rust writes is what is on file, and what is on file is read back as the
//! same value. The extension's JavaScript tests read the same files. `LATCHKEY_WRITE_FIXTURES=1 cargo test -p
//! latchkey-protocol` writes them anew after a deliberate change of the protocol.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use latchkey_protocol::{cloud::Cloud, *};
use serde::{Serialize, de::DeserializeOwned};
use uuid::{Uuid, uuid};

const TENANT: Uuid = uuid!("0b6dd2b3-5a3c-4c7e-9f43-1f6b9f3f0a11");
const LEASE: Uuid = uuid!("0193a6f0-8a10-7c3e-b0a4-5d1f6f0c2b77");

fn lease() -> LeaseSummary {
    LeaseSummary {
        lease_id: LEASE,
        tenant_id: TENANT,
        tenant_name: "Contoso".into(),
        user_name: "jit-alex@contoso.onmicrosoft.com".into(),
        roles: vec!["User Administrator".into()],
        state: LeaseState::Active,
        credential: Some(CredentialKind::TemporaryAccessPass),
        credential_held: true,
        from: 1_795_341_600_000,
        until: 1_795_356_000_000,
        problem: None,
        profile: Some("Helpdesk".into()),
        technician: Some("alex@msp.example".into()),
        ticket: Some("INC-1042".into()),
        credential_until: Some(1_795_349_600_000),
    }
}

fn troubled_lease() -> LeaseSummary {
    let mut problem = ErrorBody::new(
        ErrorCode::EndingUnverified,
        "Microsoft Graph has not confirmed that the account is disabled.",
        "Nothing: Latchkey keeps trying. If this lasts, disable the account in the Entra admin center.",
    );
    problem.tenant = Some("Contoso".into());
    problem.graph_request_id = Some("8f0c2b77-0000-4000-8000-5d1f6f0c2b77".into());
    LeaseSummary { state: LeaseState::Stuck, credential_held: false, problem: Some(problem), ..lease() }
}

fn tenant() -> TenantSummary {
    TenantSummary {
        tenant_id: TENANT,
        name: "Contoso".into(),
        domains: vec!["contoso.onmicrosoft.com".into(), "contoso.com".into()],
        cloud: Cloud::Global,
        user_name: "jit-alex@contoso.onmicrosoft.com".into(),
        roles: vec!["User Administrator".into()],
        minutes: 240,
        maximum_minutes: 480,
        credential: CredentialPlan {
            kind: CredentialKind::Password,
            because: Some("The tenant's policy does not allow Temporary Access Passes.".into()),
            unavailable: vec![CredentialUnavailable {
                kind: CredentialKind::Passkey,
                because: "Passkeys are switched off in the tenant's authentication methods.".into(),
                remedy: "Switch the method Passkey (FIDO2) on for all users.".into(),
            }],
            otherwise: None,
            passkey_kept: false,
        },
        credential_expires: Some(1_797_933_600_000),
        lease: Some(lease()),
        last_used: Some(1_795_341_600_000),
        profiles: vec![ProfileSummary {
            name: "Helpdesk".into(),
            roles: vec!["User Administrator".into()],
            groups: vec!["SG-Support".into()],
            minutes: 240,
            maximum_minutes: 480,
        }],
        reason_required: true,
        ticket_pattern: Some("INC-[0-9]+".into()),
    }
}

fn document() -> Document {
    Document {
        tab_id: 7,
        document_id: "9F2C0E7E51B94F6AA6F1A4C1D2E3F405".into(),
        origin: "https://login.microsoftonline.com".into(),
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    names: &mut BTreeSet<String>,
    name: &str,
    value: &T,
) {
    let path = folder().join(format!("{name}.json"));
    let written = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("LATCHKEY_WRITE_FIXTURES").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let on_file = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(written, on_file, "{name}: what Rust writes is not what is on file");
    assert_eq!(&serde_json::from_str::<T>(&on_file).unwrap(), value, "{name}: read back");
    assert!(names.insert(format!("{name}.json")), "{name} twice");
}

#[test]
fn every_message_is_as_on_file() {
    let mut names = BTreeSet::new();
    let requests = [
        ("hello", Request::Hello(Hello { protocol: PROTOCOL_VERSION, extension_version: "0.1.0".into() })),
        ("list-tenants", Request::ListTenants { hint: None }),
        (
            "list-tenants-with-hint",
            Request::ListTenants {
                hint: Some(TenantHint { tenant: Some("contoso.onmicrosoft.com".into()), user_name: None }),
            },
        ),
        (
            "start-lease",
            Request::StartLease {
                tenant_id: TENANT,
                minutes: Some(60),
                reason: Some("mailbox rights".into()),
                profile: Some("Helpdesk".into()),
                ticket: Some("INC-1042".into()),
                passkey: true,
            },
        ),
        (
            "start-lease-by-default",
            Request::StartLease {
                tenant_id: TENANT,
                minutes: None,
                reason: None,
                profile: None,
                ticket: None,
                passkey: false,
            },
        ),
        ("extend-lease", Request::ExtendLease { lease_id: LEASE, minutes: 30, reason: Some("not done".into()) }),
        (
            "fill-credential",
            Request::FillCredential { lease_id: LEASE, field: FillField::AccessPass, document: document() },
        ),
        ("confirm-sign-in", Request::ConfirmSignIn { lease_id: LEASE }),
        ("reveal-credential", Request::RevealCredential { lease_id: LEASE }),
        (
            "replace-credential",
            Request::ReplaceCredential { lease_id: LEASE, refused: CredentialKind::TemporaryAccessPass },
        ),
        ("assert-passkey", Request::AssertPasskey { lease_id: LEASE, request: r#"{"challenge":"AA"}"#.into() }),
        ("verify-person", Request::VerifyPerson { pin: None, tenant_id: None }),
        ("verify-person-by-pin", Request::VerifyPerson { pin: Some(Pin("not-a-real-pin".into())), tenant_id: None }),
        ("end-lease", Request::EndLease { lease_id: LEASE }),
        ("list-leases", Request::ListLeases {}),
        ("note-unknown-page", Request::NoteUnknownPage {}),
        ("examine", Request::Examine {}),
        (
            "fill-one-time-code",
            Request::FillCredential { lease_id: LEASE, field: FillField::OneTimeCode, document: document() },
        ),
        ("verify-person-for-tenant", Request::VerifyPerson { pin: None, tenant_id: Some(TENANT) }),
    ];
    for (number, (name, request)) in (1..).zip(requests) {
        check(&mut names, &format!("request-{name}"), &RequestFrame { id: RequestId(number), request });
    }

    let id = RequestId(7);
    let frames = [
        (
            "reply-welcome",
            HostFrame::Reply {
                id,
                reply: Reply::Welcome(Welcome { protocol: PROTOCOL_VERSION, host_version: "0.1.0".into() }),
            },
        ),
        (
            "reply-tenants",
            HostFrame::Reply { id, reply: Reply::Tenants { tenants: vec![tenant()], recognized: Some(TENANT) } },
        ),
        ("reply-lease", HostFrame::Reply { id, reply: Reply::Lease { lease: lease() } }),
        ("reply-leases", HostFrame::Reply { id, reply: Reply::Leases { leases: vec![lease(), troubled_lease()] } }),
        (
            "reply-findings",
            HostFrame::Reply {
                id,
                reply: Reply::Findings {
                    findings: vec![
                        Finding {
                            link: "key_store".into(),
                            state: FindingState::Good,
                            found: "Secret Service, unlocked".into(),
                            next_step: String::new(),
                        },
                        Finding {
                            link: "schedule".into(),
                            state: FindingState::Broken,
                            found: "Nothing ends leases on schedule.".into(),
                            next_step: "Run 'latchkey install'.".into(),
                        },
                    ],
                },
            },
        ),
        (
            "reply-secret",
            HostFrame::Reply {
                id,
                reply: Reply::Secret(Secret {
                    lease_id: LEASE,
                    credential: CredentialKind::TemporaryAccessPass,
                    user_name: "jit-alex@contoso.onmicrosoft.com".into(),
                    value: "not-a-real-pass".into(),
                }),
            },
        ),
        (
            "reply-one-time-code",
            HostFrame::Reply {
                id,
                reply: Reply::Secret(Secret {
                    lease_id: LEASE,
                    credential: CredentialKind::PasswordTotp,
                    user_name: "jit-alex@contoso.onmicrosoft.com".into(),
                    value: "not-a-real-code".into(),
                }),
            },
        ),
        ("reply-noted", HostFrame::Reply { id, reply: Reply::Noted {} }),
        (
            "reply-passkey",
            HostFrame::Reply {
                id,
                reply: Reply::Passkey(PasskeyResponse { lease_id: LEASE, response: r#"{"type":"public-key"}"#.into() }),
            },
        ),
        (
            "reply-person",
            HostFrame::Reply {
                id,
                reply: Reply::Person(PersonState {
                    verified: false,
                    until: None,
                    pin_set: true,
                    wrong: true,
                    tries_left: Some(2),
                    wait_until: Some(1_795_341_660_000),
                }),
            },
        ),
        ("tenants", HostFrame::Tenants { id, tenants: vec![tenant()] }),
        (
            "progress",
            HostFrame::Progress { id, progress: Progress { step: Step::AssignRoles, state: StepState::Done } },
        ),
        ("lease-changed", HostFrame::LeaseChanged { lease: troubled_lease() }),
        (
            "error-unknown-verb",
            HostFrame::Error {
                id: Some(id),
                error: ErrorBody::new(
                    ErrorCode::UnknownVerb,
                    "This version of Latchkey does not know what the extension asked for.",
                    "Update Latchkey on this computer.",
                ),
            },
        ),
        (
            "error-malformed",
            HostFrame::Error {
                id: None,
                error: ErrorBody::new(
                    ErrorCode::MalformedMessage,
                    "The message is not one of Latchkey's.",
                    "Update the extension and Latchkey on this computer.",
                ),
            },
        ),
    ];
    for (name, frame) in &frames {
        check(&mut names, name, frame);
    }

    let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| (code.number(), code.name().to_owned())).collect();
    check(&mut names, "error-codes", &codes);

    let on_file: BTreeSet<_> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, on_file, "fixtures/ holds exactly the messages of the protocol");
}

#[test]
fn what_is_not_in_the_protocol_is_refused() {
    for text in [
        r#"{"id":1,"request":{"verb":"read_file","path":"/etc/passwd"}}"#,
        r#"{"id":1,"request":{"verb":"list_leases","all":true}}"#,
        r#"{"id":1,"request":{"verb":"list_leases"},"tab":3}"#,
        r#"{"id":-1,"request":{"verb":"list_leases"}}"#,
        r#"{"request":{"verb":"list_leases"}}"#,
        r#"{"id":1,"request":{"verb":"end_lease","lease_id":"not-a-uuid"}}"#,
        r#"[]"#,
        "",
    ] {
        assert!(serde_json::from_str::<RequestFrame>(text).is_err(), "{text}");
    }
}

#[test]
fn a_secret_cannot_be_printed() {
    let secret = Secret {
        lease_id: LEASE,
        credential: CredentialKind::Password,
        user_name: "jit-alex@contoso.onmicrosoft.com".into(),
        value: "correct horse".into(),
    };
    let frame = HostFrame::Reply { id: RequestId(1), reply: Reply::Secret(secret) };
    assert!(!format!("{frame:?}").contains("correct horse"));
    let response = PasskeyResponse { lease_id: LEASE, response: "correct horse".into() };
    assert!(!format!("{:?}", Reply::Passkey(response)).contains("correct horse"));
    let request = Request::VerifyPerson { pin: Some(Pin("correct horse".into())), tenant_id: None };
    assert!(!format!("{request:?}").contains("correct horse"));
}

#[test]
fn error_numbers_are_unique_and_go_both_ways() {
    let mut numbers = BTreeSet::new();
    for code in ErrorCode::ALL {
        assert!(numbers.insert(code.number()), "{} has a number that is taken", code.name());
        assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
    }
}
