//! Who may get what, from the command line and through native messaging: profiles, reasons, tickets, extending.

use serde_json::json;

use crate::lab::Lab;

const RULES: &str = r#"
[access]
minutes = 60
maximum_minutes = 120
reason = true
ticket = "INC-[0-9]+"

[[entitlements]]
group = "All admins"
profile = "Helpdesk"
roles = ["Helpdesk Administrator"]

[[entitlements]]
group = "All admins"
profile = "Users"
roles = ["User Administrator"]
groups = ["Project Alpha"]
maximum_minutes = 90
"#;

#[test]
fn profiles_tickets_and_extensions_are_said_on_the_command_line_and_decided_by_the_engine() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let file = lab.machine.home().join(".config/latchkey/config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + RULES).unwrap();

    let mut said = String::new();
    let mut say = |arguments: &[&str], code: i32| {
        let ran = lab.latchkey(arguments).run();
        said.push_str(&format!("$ latchkey {}\n{}{}\n", arguments.join(" "), ran.out, ran.err));
        assert_eq!(ran.status.code(), Some(code), "{said}");
        ran
    };
    let start = ["start", "Contoso", "--reason", "mailbox rights", "--ticket", "INC-1042"];
    let without = say(&["start", "Contoso", "--ticket", "INC-1042"], 50);
    assert!(without.err.contains("reason_missing"), "{}", without.err);
    let unfit = say(&["start", "Contoso", "--reason", "mailbox rights", "--ticket", "1042"], 50);
    assert!(unfit.err.contains("INC-[0-9]+"), "{}", unfit.err);
    let unknown = say(&[&start[..], &["--profile", "Everything"]].concat(), 50);
    assert!(unknown.err.contains("Choose Helpdesk, or Users."), "{}", unknown.err);

    // Nothing asked for: the least powerful. Then another one beside it.
    let started = say(&start, 0);
    assert!(started.out.contains("Helpdesk: Helpdesk Administrator"), "{}", started.out);
    assert!(lab.account(&contoso).is_active_as("Helpdesk Administrator"));
    say(&[&start[..], &["--profile", "users"]].concat(), 0);
    assert!(lab.account(&contoso).is_active_as("User Administrator"));
    let list = say(&["list"], 0);
    assert!(list.out.contains("Helpdesk") && list.out.contains("Users"), "{}", list.out);
    assert!(list.out.contains("User Administrator, group Project Alpha"), "{}", list.out);

    // Extended within the maximum of each, through the browser's side as well.
    let leases = lab.leases();
    let of = |profile: &str| {
        let found = leases.iter().find(|lease| lease["profile"] == profile).unwrap();
        assert_eq!(found["ticket"], "INC-1042");
        assert_eq!(found["groups"], if profile == "Users" { json!(["Project Alpha"]) } else { json!(null) });
        found["lease_id"].as_str().unwrap().to_owned()
    };
    let (helpdesk, users) = (of("Helpdesk"), of("Users"));
    let too_long = say(&["extend", &users, "--minutes", "31", "--reason", "the restore still runs"], 50);
    assert!(too_long.err.contains("Ask for 30 minutes or less."), "{}", too_long.err);
    let extended = say(&["extend", &users, "--minutes", "30", "--reason", "the restore still runs"], 0);
    assert!(extended.out.contains("Temporary Access Pass still ends"), "{}", extended.out);

    let mut host = lab.host();
    host.hello();
    let answer = host.ask(&json!({"verb": "list_tenants"}));
    let tenant = &answer["reply"]["tenants"][0];
    assert_eq!(tenant["profiles"][0]["name"], "Helpdesk");
    assert_eq!(tenant["profiles"][1]["maximum_minutes"], 90);
    assert_eq!((&tenant["reason_required"], &tenant["ticket_pattern"]), (&json!(true), &json!("INC-[0-9]+")));
    let answer = host.ask(&json!({"verb": "start_lease", "tenant_id": contoso.id, "profile": "Everything"}));
    assert_eq!(answer["error"]["name"], "profile_unknown", "{answer}");
    let more = json!({"verb": "extend_lease", "lease_id": helpdesk, "minutes": 61, "reason": "not done"});
    assert_eq!(host.ask(&more)["error"]["name"], "duration_not_allowed");
    let more = json!({"verb": "extend_lease", "lease_id": helpdesk, "minutes": 60, "reason": "not done"});
    let answer = host.ask(&more);
    assert_eq!(answer["reply"]["lease"]["profile"], "Helpdesk", "{answer}");
    assert!(host.close().success());

    say(&["end", "--all"], 0);
    lab.assert_nobody_is_active_without_a_lease();
}
