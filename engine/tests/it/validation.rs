//! What a connected tenant can do, one line each.

use latchkey_engine::{Check, CheckState, Validation};
use serde_json::json;

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET};

fn of<'a>(validation: &'a Validation, subject: &str) -> &'a Check {
    validation.checks.iter().find(|check| check.subject == subject).unwrap_or_else(|| panic!("{subject} is missing"))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_exactly_the_documented_permissions_everything_is_looked_at_or_said_to_be_unseen() {
    let lab = Lab::new().await;
    let engine = lab.connected(FABRIKAM).await;
    lab.forget_exchanges();
    let validation = engine.validate_tenant(FABRIKAM).await.unwrap();
    assert!(validation.is_sound(), "{validation:?}");
    for subject in ["permissions", "domain", "role", "application_roles", "licences"] {
        assert_eq!(of(&validation, subject).state, CheckState::Good, "{subject}");
    }
    // Not in the 12, and said so with what would show it.
    for subject in ["security_defaults", "conditional_access"] {
        let check = of(&validation, subject);
        assert_eq!(check.state, CheckState::Unseen);
        assert!(check.next_step.as_ref().unwrap().contains("Policy.Read.All"));
    }
    let passes = of(&validation, "passes");
    assert_eq!(passes.state, CheckState::Warning);
    assert!(passes.next_step.as_ref().unwrap().contains("UserAuthMethod-TAP.ReadWrite.All"));
    assert!(validation.checks.iter().all(|check| check.state == CheckState::Good || check.next_step.is_some()));
    // It only reads.
    let writes = lab.sim().exchanges.entries().into_iter().filter(|exchange| {
        exchange.endpoint == entra_sim::exchanges::Endpoint::Graph
            && exchange.method != "GET"
            && !exchange.path.ends_with("$batch")
    });
    assert_eq!(writes.count(), 0);
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_read_is_read() {
    let lab = Lab::new().await;
    let engine = lab.engine().await;
    lab.change_tenant(CONTOSO, |tenant| {
        let permissions = &mut tenant.applications[0].permissions;
        permissions.insert("Policy.Read.All".to_owned());
        permissions.insert("Application.Read.All".to_owned());
        tenant.security_defaults = true;
    });
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    let validation = engine.validate_tenant(CONTOSO).await.unwrap();
    assert!(of(&validation, "security_defaults").found.contains("are on"), "{validation:?}");
    assert_eq!(of(&validation, "conditional_access").state, CheckState::Good);
    // The secret's end was read from the registration, and is kept.
    let known = engine.tenants().await.unwrap()[0].credential_expires;
    assert!(known.is_some_and(|end| end > lab.clock_now()), "{known:?}");
    assert_eq!(of(&engine.validate_tenant(CONTOSO).await.unwrap(), "credential").state, CheckState::Good);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_afterwards_shows_with_the_one_thing_to_do() {
    let lab = Lab::new().await;
    let mut wish = lab.wish(CONTOSO);
    let group = {
        let directory = lab.sim().directory();
        let tenant = directory.tenant(&CONTOSO.to_string()).unwrap();
        tenant.groups.values().find(|group| group.display_name == "Project Alpha").unwrap().id.clone()
    };
    wish.groups = vec![group.parse().unwrap()];
    let engine = lab.engine().await;
    engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    assert_eq!(of(&engine.validate_tenant(CONTOSO).await.unwrap(), "group").state, CheckState::Good);
    lab.sim().turn(&json!({ "create_lag_ms": 0 })).unwrap();
    lab.change_tenant(CONTOSO, |tenant| {
        tenant.groups.remove(&group);
        tenant.applications[0].permissions.remove("User-PasswordProfile.ReadWrite.All");
        tenant.pass_policy.enabled = false;
    });
    let validation = lab.engine().await.validate_tenant(CONTOSO).await.unwrap();
    assert!(!validation.is_sound());
    for (subject, state) in
        [("permissions", CheckState::Broken), ("group", CheckState::Broken), ("passes", CheckState::Warning)]
    {
        let check = of(&validation, subject);
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.next_step.is_some());
    }
    assert!(of(&validation, "permissions").found.contains("User-PasswordProfile.ReadWrite.All"));
}
