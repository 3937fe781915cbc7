//! Who may get what: accounts of several technicians, profiles, limits, shared accounts, leaving.

use latchkey_engine::{AccountKind, AccountSummary, Engine, EngineSettings, Technician};
use latchkey_protocol::LeaseState;
use uuid::Uuid;

use crate::lab::{CONTOSO, Lab, PERSON, QUIET};

fn technician(local_part: &str, groups: &[&str]) -> Technician {
    Technician {
        name: format!("{local_part}@msp.example"),
        local_part: local_part.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

/// The settings of another technician's machine, with a store of its own.
fn machine_of(lab: &Lab, local_part: &str) -> EngineSettings {
    let mut settings = lab.settings_of(local_part);
    settings.database_path = lab.folder.path().join(local_part).join("latchkey.db");
    settings
}

async fn account_of(engine: &Engine, tenant_id: Uuid, local_part: &str) -> AccountSummary {
    let accounts = engine.accounts().await.unwrap();
    let found = accounts.into_iter().find(|account| {
        account.tenant_id == tenant_id && account.owner.local_part == local_part && account.object_id.is_some()
    });
    found.expect("the store knows the account")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_prepared_for_somebody_else_is_theirs_to_decide_about() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let kim = technician("kim", &[]);
    let prepared = engine.prepare_account_for(CONTOSO, &kim, &PERSON, QUIET).await.unwrap();
    assert!(prepared.created);
    assert_eq!(prepared.user_name, "jit-kim@contoso.onmicrosoft.com");
    assert!(!lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);
    assert!(!account_of(&engine, CONTOSO, "kim").await.here);
    assert!(account_of(&engine, CONTOSO, "alex").await.here);

    // On Kim's machine the account is found by its mark.
    let hers = lab.try_engine(machine_of(&lab, "kim")).await.unwrap();
    let (_, found) = hers.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    assert_eq!((found.created, found.object_id), (false, prepared.object_id));
    let lease = lab.start(&hers, CONTOSO).await.unwrap();
    assert_eq!(lease.user_name, prepared.user_name);

    // Neither a scan here nor preparing again takes from Kim what she works with.
    lab.advance(1_000);
    assert!(engine.sweep().await.unwrap().repaired.is_empty());
    let again = engine.prepare_account_for(CONTOSO, &kim, &PERSON, QUIET).await.unwrap();
    assert_eq!((again.created, again.object_id), (false, prepared.object_id));
    assert!(lab.find_account(CONTOSO, "jit-kim@").unwrap().enabled);
    hers.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    lab.assert_conformant().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_has_no_account_left_even_in_the_middle_of_a_lease_elsewhere() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let kim = technician("kim", &[]);
    engine.prepare_account_for(CONTOSO, &kim, &PERSON, QUIET).await.unwrap();
    let hers = lab.try_engine(machine_of(&lab, "kim")).await.unwrap();
    hers.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    lab.start(&hers, CONTOSO).await.unwrap();

    let account = account_of(&engine, CONTOSO, "kim").await;
    engine.remove_account(account.account_id, &PERSON, QUIET).await.unwrap();
    assert!(lab.find_account(CONTOSO, "jit-kim@").is_none());
    assert!(engine.accounts().await.unwrap().iter().all(|account| account.owner.local_part == "alex"));
    lab.assert_conformant().await;

    // Removed is not forbidden: whoever comes back gets a new one.
    let prepared = engine.prepare_account_for(CONTOSO, &kim, &PERSON, QUIET).await.unwrap();
    assert!(prepared.created);
    let account = account_of(&engine, CONTOSO, "kim").await;
    assert_eq!((account.owner.kind, account.open_leases), (AccountKind::Individual, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_domain_leaves_nothing_of_the_old_account_behind() {
    let lab = Lab::new().await;
    let engine = lab.connected(CONTOSO).await;
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let mut wish = lab.wish(CONTOSO);
    wish.domain = Some("contoso.com".to_owned());
    let (summary, _) = engine.add_tenant(wish, &PERSON, QUIET).await.unwrap();
    assert_eq!(summary.user_name, "jit-alex@contoso.com");
    let old = || lab.find_account(CONTOSO, "jit-alex@contoso.onmicrosoft.com").unwrap();
    assert!(old().enabled, "its lease goes on");

    // The old lease ends at its time, and the old account is still watched.
    lab.advance(3_700);
    assert_eq!(engine.sweep().await.unwrap().ended[0].lease_id, lease.lease_id);
    assert!(!old().enabled && old().roles.is_empty());
    lab.advance(10_000);
    let id = old().id;
    lab.change_tenant(CONTOSO, |tenant| tenant.users.get_mut(&id).unwrap().account_enabled = true);
    assert_eq!(engine.sweep().await.unwrap().repaired, ["jit-alex@contoso.onmicrosoft.com"]);

    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    assert_eq!((lease.state, lease.user_name.as_str()), (LeaseState::Active, "jit-alex@contoso.com"));
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    engine.remove_tenant(CONTOSO, true, &PERSON, QUIET).await.unwrap();
    assert!(lab.find_account(CONTOSO, "jit-alex@").is_none());
    lab.assert_nothing_is_left(&engine).await;
}
