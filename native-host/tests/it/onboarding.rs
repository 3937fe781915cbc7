//! Tenants that are connected by an administrator's sign-in, with the real binary.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;

use entra_sim::control::sign_in::{Visit, visit};
use entra_sim::directory::{Directory, seed};
use serde_json::{Value, json};

use crate::lab::{Lab, Start};

/// Starts a command that sends somebody to a sign-in page, and plays that somebody. `change` changes the address that
/// the browser is sent back to. Answers whether it succeeded, and what it wrote.
fn with_somebody(lab: &Lab, start: Start, user: &str, change: impl Fn(&str) -> String) -> (bool, Value, String) {
    let mut child: Child = start.spawn();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    let asked = loop {
        let asks_for_code = seen.trim_end().ends_with("enter this code:");
        let mut line = String::new();
        assert_ne!(errors.read_line(&mut line).unwrap(), 0, "nobody is sent anywhere: {seen}");
        seen.push_str(&line);
        if line.trim().starts_with("https://") {
            break json!({ "authorize_url": line.trim(), "user": user, "stay": true });
        }
        if asks_for_code {
            break json!({ "user_code": line.trim(), "user": user });
        }
    };
    let asked: Visit = serde_json::from_value(asked).unwrap();
    let by_code = asked.user_code.is_some();
    let answer = lab.runtime.block_on(visit(&lab.entra.sim, asked)).unwrap();
    if !by_code {
        let redirect = change(answer["redirect"].as_str().unwrap_or_else(|| panic!("{answer}")));
        lab.runtime.block_on(call(&redirect));
    }
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    errors.read_to_string(&mut seen).unwrap();
    let status = child.wait().unwrap();
    (status.success(), serde_json::from_str(&out).unwrap_or_default(), format!("{out}{seen}"))
}

/// The browser follows the redirect to this machine.
async fn call(address: &str) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let url = url::Url::parse(address).unwrap();
    let port = url.port().unwrap();
    let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
}

fn unchanged(address: &str) -> String {
    address.to_owned()
}

fn admin_of(directory: &Directory, tenant: &str) -> String {
    let tenant = directory.tenant(tenant).unwrap();
    let mut names = tenant.users.values().map(|user| user.user_principal_name.clone());
    names.find(|name| name.starts_with("admin@")).unwrap()
}

#[test]
fn an_administrator_onboards_a_tenant_and_takes_it_back() {
    let lab = Lab::new();
    let admin = admin_of(&lab.entra.sim.directory(), seed::FABRIKAM);
    let sign_in = ["--no-browser", "--sign-in-client-id", seed::MSP_PUBLIC_CLIENT];
    let onboard = |more: &[&str]| {
        let words = ["--json", "tenant", "onboard", "--role", "User Administrator", "--tenant-id", seed::FABRIKAM];
        with_somebody(&lab, lab.latchkey(&[&words[..], &sign_in, more].concat()), &admin, unchanged)
    };
    let applications = || {
        let directory = lab.entra.sim.directory();
        let tenant = directory.tenant(seed::FABRIKAM).unwrap();
        tenant.applications.iter().filter(|known| known.display_name == "Latchkey").count()
    };
    let (done, planned, shown) = onboard(&["--dry-run"]);
    assert!(done, "{shown}");
    assert!(planned["changes"].as_array().unwrap().len() > 8, "{planned}");
    assert_eq!(applications(), 0);

    let (done, onboarded, shown) = onboard(&[]);
    assert!(done, "{shown}");
    assert_eq!(applications(), 1);
    assert_eq!(onboarded["onboarded"]["tenant"]["tenant_id"], seed::FABRIKAM);
    let shown = lab.latchkey(&["--json", "tenant", "credential", "show", "Fabrikam"]).succeeds().document;
    assert_eq!(shown["credential"]["kind"], "certificate");
    assert!(
        lab.latchkey(&["--json", "tenant", "credential", "rotate", "Fabrikam"]).succeeds().document["left"].is_null()
    );
    lab.latchkey(&["start", "Fabrikam"]).succeeds();

    let words = ["tenant", "offboard", "Fabrikam", "--yes"];
    let (done, _, shown) = with_somebody(&lab, lab.latchkey(&[&words[..], &sign_in].concat()), &admin, unchanged);
    assert!(done, "{shown}");
    assert_eq!(applications(), 0);
    assert!(lab.latchkey(&["--json", "tenant", "list"]).succeeds().document.as_array().unwrap().is_empty());
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn without_a_browser_a_code_on_another_device_does_it_when_that_is_asked_for() {
    let lab = Lab::new();
    lab.entra.sim.turn(&json!({"device_code_interval_seconds": 1})).unwrap();
    let admin = admin_of(&lab.entra.sim.directory(), seed::FABRIKAM);
    let by_code = ["--device-code", "--sign-in-client-id", seed::MSP_PUBLIC_CLIENT];
    let words = ["--json", "tenant", "onboard", "--role", "User Administrator", "--tenant-id", seed::FABRIKAM];
    let start = lab.latchkey(&[&words[..], &by_code].concat());
    let (done, onboarded, shown) = with_somebody(&lab, start, &admin, unchanged);
    assert!(done && shown.contains("Enter it only if you started this yourself."), "{shown}");
    assert!(!shown.contains("https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize"), "{shown}");
    assert_eq!(onboarded["onboarded"]["tenant"]["tenant_id"], seed::FABRIKAM);
    lab.latchkey(&["start", "Fabrikam"]).succeeds();
    let start = lab.latchkey(&[&["tenant", "offboard", "Fabrikam", "--yes"][..], &by_code].concat());
    let (done, _, shown) = with_somebody(&lab, start, &admin, unchanged);
    assert!(done, "{shown}");
    assert!(lab.latchkey(&["--json", "tenant", "list"]).succeeds().document.as_array().unwrap().is_empty());
    lab.assert_nobody_is_active_without_a_lease();
}

#[test]
fn an_application_that_onboard_did_not_make_is_deleted_only_when_that_is_said() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let admin = admin_of(&lab.entra.sim.directory(), seed::CONTOSO);
    let offboard = |more: &[&str]| {
        let words = ["tenant", "offboard", "Contoso", "--no-browser", "--sign-in-client-id", seed::MSP_PUBLIC_CLIENT];
        with_somebody(&lab, lab.latchkey(&[&words[..], more].concat()), &admin, unchanged)
    };
    let connected = || lab.latchkey(&["--json", "tenant", "list"]).succeeds().document.as_array().unwrap().len();
    for more in [&["--yes"][..], &["--dry-run"]] {
        let (done, _, shown) = offboard(more);
        assert!(!done && shown.contains("was not made by") && shown.contains("--any-application"), "{shown}");
    }
    assert_eq!(connected(), 1);
    assert!(lab.account(&contoso).is_dormant());
    let (done, _, shown) = offboard(&["--yes", "--any-application"]);
    assert!(done, "{shown}");
    assert_eq!(connected(), 0);
}

#[test]
fn a_consent_connects_the_tenant_that_proves_it_and_no_other() {
    let lab = Lab::new();
    let configuration = lab.machine.home().join(".config/latchkey");
    std::fs::create_dir_all(&configuration).unwrap();
    let text = format!("technician = \"alex@msp.example\"\n[application]\nclient_id = \"{}\"\n", seed::MSP_APPLICATION);
    std::fs::write(configuration.join("config.toml"), text).unwrap();
    let admin = admin_of(&lab.entra.sim.directory(), seed::CONTOSO);
    let authorize = |change: &dyn Fn(&str) -> String, more: &[&str]| {
        let words = ["--json", "tenant", "authorize", "--no-browser", "--role", "User Administrator"];
        let mut start = lab.latchkey(&[&words[..], more].concat());
        start.command.current_dir(lab.machine.home());
        with_somebody(&lab, start, &admin, change)
    };
    let connected = || lab.latchkey(&["--json", "tenant", "list"]).succeeds().document;

    // The first run makes the certificate of the application, for somebody to upload at home.
    let (done, document, shown) = authorize(&unchanged, &[]);
    assert!(!done && shown.contains("certificate_refused"), "{shown}");
    let pem = document["certificate"]["pem"].as_str().unwrap();
    let key = entra_sim::assertion::read_certificate_text(pem, None).unwrap();
    {
        let mut directory = lab.entra.sim.directory();
        directory.tenant_mut(seed::MSP).unwrap().applications[0].keys.push(key);
    }

    // Another tenant in the redirect: it issues no token.
    let (done, _, shown) =
        authorize(&|address| address.replace(seed::CONTOSO, seed::NORTHWIND), &["--tenant-id", seed::CONTOSO]);
    assert!(!done && shown.contains("not the one that was asked for"), "{shown}");
    // A refusal.
    let (done, _, shown) = authorize(
        &|address| {
            let mut url = url::Url::parse(address).unwrap();
            let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
            url.query_pairs_mut().clear().append_pair("error", "access_denied").append_pair("state", &state);
            url.to_string()
        },
        &[],
    );
    assert!(!done, "{shown}");
    assert!(connected().as_array().unwrap().is_empty());

    // The answer itself, after one with a state that is not ours, which counts for nothing.
    let (done, document, shown) = authorize(
        &|address| {
            let mut forged = url::Url::parse(address).unwrap();
            forged.query_pairs_mut().clear().append_pair("admin_consent", "True").append_pair("state", "forged");
            let forged = forged.query_pairs_mut().append_pair("tenant", seed::NORTHWIND).finish().to_string();
            std::thread::scope(|scope| {
                scope.spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(call(&forged))).join().unwrap();
            });
            address.to_owned()
        },
        &[],
    );
    assert!(done, "{shown}");
    assert_eq!(document["tenant"]["tenant_id"], seed::CONTOSO);
    assert_eq!(connected().as_array().unwrap().len(), 1);
    lab.latchkey(&["start", "Contoso"]).succeeds();
    lab.latchkey(&["end", "--all"]).succeeds();

    // Taken back: what the consent made in the customer's tenant is gone, the application at home is for the others.
    let left = || {
        let directory = lab.entra.sim.directory();
        let of = |tenant: &str| {
            let tenant = directory.tenant(tenant).unwrap();
            tenant.applications.iter().filter(|known| known.client_id == seed::MSP_APPLICATION).count()
        };
        (of(seed::CONTOSO), of(seed::MSP))
    };
    let before = left();
    let words = ["tenant", "offboard", "Contoso", "--no-browser", "--sign-in-client-id", seed::MSP_PUBLIC_CLIENT];
    let (done, _, shown) = with_somebody(&lab, lab.latchkey(&[&words[..], &["--yes"]].concat()), &admin, unchanged);
    assert!(done, "{shown}");
    assert_eq!((before, left()), ((1, 1), (0, 1)));
    assert!(connected().as_array().unwrap().is_empty());
    assert!(lab.account(&lab.tenant("Contoso")).0.is_null());
    lab.assert_nobody_is_active_without_a_lease();
}
