//! What no single value can know: whether the values of the files fit together.

use std::ops::Range;

use latchkey_engine::{ALL_ADMINS, MOST_BREAK_GLASS_ACCOUNTS, TenantName};
use latchkey_protocol::TenantSummary;

use super::diagnostic::{Diagnostic, Place, Source, shown};
use super::file::{BreakGlassSection, EntitlementSection, File, Login, RulesSection};
use super::values::{Minutes, TechnicianName, Written};

/// Everything about the files that does not fit together; the personal file comes first.
pub(super) fn check(files: &[File], sources: &[Source]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    found.extend(set_twice(files, sources));
    found.extend(personal_keys_in_a_shared_file(files));
    found.extend(lengths(files));
    found.extend(same_tenant_twice(files));
    found.extend(same_technician_twice(files));
    found.extend(shared_accounts(files));
    found.extend(entitlements(files));
    found.extend(break_glass(files));
    found.extend(passwords_of_proxies(files));
    found
}

/// Names of tenants in the files that fit none of these.
pub(super) fn unknown_tenants(files: &[File], connected: &[TenantSummary]) -> Vec<Diagnostic> {
    let rules = everywhere(files, |file| &file.tenants).map(|(file, section)| (file, &section.value().tenant));
    let entitled = everywhere(files, |file| &file.entitlements)
        .filter_map(|(file, section)| Some((file, section.value().tenants.as_ref()?)))
        .flat_map(|(file, tenants)| tenants.value().iter().map(move |tenant| (file, tenant)));
    let emergencies = everywhere(files, |file| &file.break_glass)
        .filter_map(|(file, section)| Some((file, section.value().tenant.as_ref()?)));
    rules
        .chain(entitled)
        .chain(emergencies)
        .filter(|(_, said)| {
            let name = TenantName(said.value().as_str().to_owned());
            !connected.iter().any(|tenant| name.names(tenant.tenant_id, &tenant.name, &tenant.domains))
        })
        .map(|(file, said)| {
            Diagnostic::warning(
                place(file, said),
                format!("no connected tenant is called \"{}\"", said.value().as_str()),
                "see 'latchkey tenant list'; it is matched when such a tenant is connected",
            )
        })
        .collect()
}

/// A third break-glass account of one tenant, and the same one twice. (Two ways to name one tenant are found when its
/// accounts are prepared.)
fn break_glass(files: &[File]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let all: Vec<_> = everywhere(files, |file| &file.break_glass).collect();
    let tenant = |section: &BreakGlassSection| section.tenant.as_ref().map(|name| name.value().as_str().to_lowercase());
    for (number, (file, section)) in all.iter().enumerate() {
        let (section, here) = (section.value(), tenant(section.value()));
        let before = || all[..number].iter().map(|(_, earlier)| earlier.value());
        let same = |earlier: &&BreakGlassSection| earlier.name.value() == section.name.value();
        if before().filter(same).any(|earlier| tenant(earlier) == here) {
            found.push(Diagnostic::error(
                place(*file, &section.name),
                format!("the break-glass account \"{}\" is here twice", section.name.value().get().as_str()),
                "take one of them away, so that it is clear which counts",
            ));
            continue;
        }
        // Whose third it would be: that of the tenant it names, or that of any tenant that is named so far.
        let tenants = all[..=number].iter().map(|(_, earlier)| tenant(earlier.value()));
        let too_many = tenants
            .filter(|whose| here.is_none() || here == *whose)
            .map(|whose| {
                let mut names: Vec<_> = all[..=number]
                    .iter()
                    .map(|(_, earlier)| earlier.value())
                    .filter(|earlier| tenant(earlier).is_none_or(|named| Some(named) == whose))
                    .map(|earlier| earlier.name.value().get().as_str())
                    .collect();
                names.sort_unstable();
                names.dedup();
                names
            })
            .find(|names| names.len() > MOST_BREAK_GLASS_ACCOUNTS);
        if let Some(names) = too_many {
            found.push(Diagnostic::error(
                place(*file, &section.name),
                format!("this would be one break-glass account too many ({})", names.join(", ")),
                "a tenant has two at most: each is a standing administrator",
            ));
        }
        if section.roles.as_ref().is_some_and(Vec::is_empty) {
            found.push(Diagnostic::warning(
                place(*file, &section.name),
                "this break-glass account holds no role, and so can do nothing in an emergency",
                "leave \"roles\" out for Global Administrator",
            ));
        }
    }
    found
}

/// The acting technician, when the files name technicians and not this one.
pub(super) fn stranger(files: &[File], acting: &TechnicianName) -> Option<Diagnostic> {
    let mut listed = everywhere(files, |file| &file.technicians).peekable();
    let (first_file, first) = *listed.peek()?;
    if listed.any(|(_, section)| section.value().name.value().is(acting)) {
        return None;
    }
    let said = files.first().and_then(|file| file.technician.as_ref());
    let place = said.map_or_else(|| place(first_file, first), |said| place(0, said));
    Some(Diagnostic::warning(
        place,
        format!("{} is not among [[technicians]], and so in no group but '{ALL_ADMINS}'", acting.as_str()),
        format!("if that is not meant: latchkey technician add {}", acting.as_str()),
    ))
}

/// A key that the personal and the shared file both set.
fn set_twice(files: &[File], sources: &[Source]) -> Vec<Diagnostic> {
    let [personal, shared, ..] = files else { return Vec::new() };
    let spans = |file: &File| -> Vec<(&'static str, Option<Range<usize>>)> {
        let (access, network) = (&file.access, &file.network);
        vec![
            ("account_prefix", file.account_prefix.as_ref().map(Written::span)),
            ("network.proxy", network.proxy.as_ref().map(Written::span)),
            ("network.extra_root_certificate", network.extra_root_certificate.as_ref().map(Written::span)),
            ("directory", file.directory.as_ref().map(Written::span)),
            ("access.minutes", access.minutes.as_ref().map(Written::span)),
            ("access.maximum_minutes", access.maximum_minutes.as_ref().map(Written::span)),
            ("access.leases_at_once", access.leases_at_once.as_ref().map(Written::span)),
            ("access.reason", access.reason.as_ref().map(Written::span)),
            ("access.ticket", access.ticket.as_ref().map(Written::span)),
            ("access.login", access.login.as_ref().map(Written::span)),
            ("access.password_length", access.password_length.as_ref().map(Written::span)),
            ("application.client_id", file.application.client_id.as_ref().map(Written::span)),
            ("application.sign_in_client_id", file.application.sign_in_client_id.as_ref().map(Written::span)),
            ("access.timed_roles", access.timed_roles.as_ref().map(Written::span)),
            ("access.credential", access.credential.as_ref().map(Written::span)),
            ("access.passkeys", access.passkeys.as_ref().map(Written::span)),
            ("access.one_time_codes_beta", access.one_time_codes_beta.as_ref().map(Written::span)),
            ("verification.minutes", file.verification.minutes.as_ref().map(Written::span)),
            ("audit.keep_days", file.audit.keep_days.as_ref().map(Written::span)),
            ("webhook.url", file.webhook.url.as_ref().map(Written::span)),
        ]
    };
    spans(personal)
        .into_iter()
        .zip(spans(shared))
        .filter_map(|((key, personal), (_, shared))| {
            let (personal, shared) = (Place { file: 0, span: personal? }, Place { file: 1, span: shared? });
            let other = sources.get(1).map(|source| shown(&source.path)).unwrap_or_default();
            let message = format!("{key} is set here and in {other}");
            let error = Diagnostic::error(personal, message, "take one of them away, so that it is clear which counts");
            Some(error.beside(shared, "and here"))
        })
        .collect()
}

fn personal_keys_in_a_shared_file(files: &[File]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (number, file) in files.iter().enumerate().skip(1) {
        if let Some(technician) = &file.technician {
            found.push(Diagnostic::error(
                place(number, technician),
                "an included file must not say who works at this machine",
                "move the key \"technician\" to each person's own config.toml",
            ));
        }
        if let Some(include) = &file.include {
            found.push(Diagnostic::error(
                place(number, include),
                "an included file must not include another one",
                "include that file from the personal config.toml instead",
            ));
        }
    }
    found
}

/// Usual lengths that are longer than the longest allowed.
fn lengths(files: &[File]) -> Vec<Diagnostic> {
    struct Lengths<'a> {
        usual: Option<(usize, &'a Written<Minutes>)>,
        longest: Option<(usize, &'a Written<Minutes>)>,
    }
    fn of(file: usize, rules: &RulesSection) -> Lengths<'_> {
        Lengths {
            usual: rules.minutes.as_ref().map(|minutes| (file, minutes)),
            longest: rules.maximum_minutes.as_ref().map(|minutes| (file, minutes)),
        }
    }
    let mut everywhere_ = Lengths { usual: None, longest: None };
    for (number, file) in files.iter().enumerate() {
        let here = of(number, &file.access);
        everywhere_.usual = everywhere_.usual.or(here.usual);
        everywhere_.longest = everywhere_.longest.or(here.longest);
    }
    let mut found = Vec::new();
    let mut compare = |usual: Option<(usize, &Written<Minutes>)>, longest: Option<(usize, &Written<Minutes>)>| {
        let (Some((usual_file, usual)), Some((longest_file, longest))) = (usual, longest) else { return };
        if usual.value() > longest.value() {
            let message = format!(
                "the usual length ({} min) is longer than the longest allowed ({} min)",
                usual.value().get(),
                longest.value().get()
            );
            found.push(
                Diagnostic::error(place(usual_file, usual), message, "lower this one or raise the other")
                    .beside(place(longest_file, longest), "the longest"),
            );
        }
    };
    compare(everywhere_.usual, everywhere_.longest);
    let tenants: Vec<_> =
        everywhere(files, |file| &file.tenants).map(|(file, section)| (file, section.value().rules())).collect();
    for (file, rules) in &tenants {
        let own = of(*file, rules);
        // Both from [access] was compared above, once.
        if own.usual.is_some() || own.longest.is_some() {
            compare(own.usual.or(everywhere_.usual), own.longest.or(everywhere_.longest));
        }
    }
    found
}

fn same_tenant_twice(files: &[File]) -> Vec<Diagnostic> {
    let mut seen: Vec<(usize, &Written<_>)> = Vec::new();
    let mut found = Vec::new();
    for (file, section) in everywhere(files, |file| &file.tenants) {
        let tenant = &section.value().tenant;
        let name = tenant.value();
        let before = seen.iter().find(|(_, other): &&(usize, &Written<super::values::Name>)| {
            other.value().as_str().to_lowercase() == name.as_str().to_lowercase()
        });
        match before {
            Some((first, other)) => found.push(
                Diagnostic::error(
                    place(file, tenant),
                    format!("\"{}\" has a section [[tenants]] already", name.as_str()),
                    "put the keys of both into one",
                )
                .beside(place(*first, other), "the first one"),
            ),
            None => seen.push((file, tenant)),
        }
    }
    found
}

fn same_technician_twice(files: &[File]) -> Vec<Diagnostic> {
    let mut seen: Vec<(usize, &Written<TechnicianName>)> = Vec::new();
    let mut found = Vec::new();
    for (file, section) in everywhere(files, |file| &file.technicians) {
        let name = &section.value().name;
        let (text, local_part) = (name.value().as_str(), name.value().local_part());
        let before = seen.iter().find(|(_, other)| other.value().local_part() == local_part);
        match before {
            Some((first, other)) => {
                let error = if other.value().is(name.value()) {
                    let message = format!("{text} is among [[technicians]] already");
                    Diagnostic::error(place(file, name), message, "put the groups of both into one")
                } else {
                    Diagnostic::error(
                        place(file, name),
                        format!("{text} would have the same account (…{local_part}) as {}", other.value().as_str()),
                        "names of technicians must differ before the @",
                    )
                };
                found.push(error.beside(place(*first, other), "the first one"));
            }
            None => seen.push((file, name)),
        }
    }
    found
}

/// Shared accounts that are a technician's own.
fn shared_accounts(files: &[File]) -> Vec<Diagnostic> {
    let mut logins: Vec<(usize, Written<Login>)> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        logins.extend(file.access.login.clone().map(|login| (number, login)));
        logins.extend(file.tenants.iter().filter_map(|section| Some((number, section.value().login.clone()?))));
    }
    let mut found = Vec::new();
    for (file, login) in &logins {
        let Login::Shared(account) = login.value() else { continue };
        let own = everywhere(files, |file| &file.technicians)
            .map(|(file, section)| (file, &section.value().name))
            .find(|(_, name)| name.value().local_part() == account.as_str());
        if let Some((other, name)) = own {
            let message = format!("the shared account is {}'s own", name.value().as_str());
            found.push(
                Diagnostic::error(place(*file, login), message, "give the shared account another name")
                    .beside(place(other, name), "this technician"),
            );
        }
    }
    found
}

fn entitlements(files: &[File]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (file, section) in everywhere(files, |file| &file.entitlements) {
        let entitlement = section.value();
        if entitlement.roles.is_empty() && entitlement.groups.is_empty() {
            found.push(Diagnostic::error(
                place(file, section),
                "this entitlement gives nothing: it has neither roles nor groups",
                "add roles = [\"…\"] or groups = [\"…\"]",
            ));
        }
        if let Some(tenants) = entitlement.tenants.as_ref().filter(|tenants| tenants.value().is_empty()) {
            found.push(Diagnostic::error(
                place(file, tenants),
                "this entitlement applies to no tenant: the list is empty",
                "name tenants, or take the key away to mean all of them",
            ));
        }
        found.extend(empty_group(files, file, entitlement));
    }
    found
}

/// An entitlement's group that nobody is in.
fn empty_group(files: &[File], file: usize, entitlement: &EntitlementSection) -> Option<Diagnostic> {
    let said = entitlement.group.value().as_str();
    let is_said = |name: &str| name.to_lowercase() == said.to_lowercase();
    let mut groups = everywhere(files, |file| &file.technicians).flat_map(|(_, section)| &section.value().groups);
    if is_said(ALL_ADMINS) || groups.any(|group| is_said(group.value().as_str())) {
        return None;
    }
    Some(Diagnostic::warning(
        place(file, &entitlement.group),
        format!("no technician is in the group \"{said}\""),
        format!("name it at a technician's groups; everybody is in \"{ALL_ADMINS}\""),
    ))
}

fn passwords_of_proxies(files: &[File]) -> Vec<Diagnostic> {
    files
        .iter()
        .enumerate()
        .filter_map(|(number, file)| {
            let proxy = file.network.proxy.as_ref().filter(|proxy| proxy.value().has_password())?;
            Some(Diagnostic::warning(
                place(number, proxy),
                "the proxy's password stands in this file, where secrets never should",
                "set it in the environment (HTTPS_PROXY) instead, and do not share the file",
            ))
        })
        .collect()
}

/// The elements of a list in all files, each with the number of its file.
fn everywhere<'a, T: 'a>(
    files: &'a [File],
    list: impl Fn(&'a File) -> &'a Vec<T>,
) -> impl Iterator<Item = (usize, &'a T)> {
    files.iter().enumerate().flat_map(move |(number, file)| list(file).iter().map(move |element| (number, element)))
}

fn place<T>(file: usize, written: &Written<T>) -> Place {
    Place { file, span: written.span() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::diagnostic::{Severity, position};
    use super::super::read::read;
    use super::*;

    /// `file:line severity message` of what does not fit, by place.
    fn found(texts: &[&str]) -> Vec<String> {
        let files: Vec<File> = texts
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let (file, faults) = read(text, number);
                assert!(faults.is_empty(), "{faults:?}");
                file
            })
            .collect();
        let sources: Vec<Source> = texts
            .iter()
            .enumerate()
            .map(|(number, text)| Source { path: format!("{number}.toml").into(), text: (*text).to_owned() })
            .collect();
        let mut diagnostics = check(&files, &sources);
        diagnostics.sort_by_key(|diagnostic| (diagnostic.place.file, diagnostic.place.span.start));
        diagnostics
            .iter()
            .map(|diagnostic| {
                let file = diagnostic.place.file;
                let (line, _) = position(texts[file], diagnostic.place.span.start);
                let severity = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
                format!("{file}:{line} {severity}: {}", diagnostic.message)
            })
            .collect()
    }

    #[test]
    fn a_usual_length_beyond_the_longest_is_refused() {
        assert_eq!(
            found(&["[access]\nminutes = 300\nmaximum_minutes = 240\n"]),
            ["0:2 error: The usual length (300 min) is longer than the longest allowed (240 min)."]
        );
        // A tenant's own against what holds everywhere, both ways; [access] alone is reported once.
        let text = "[access]\nminutes = 100\nmaximum_minutes = 200\n[[tenants]]\ntenant = \"A\"\nminutes = 201\n\
                    [[tenants]]\ntenant = \"B\"\nmaximum_minutes = 99\n[[tenants]]\ntenant = \"C\"\nreason = true\n";
        let found = found(&[text]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("0:2 error: The usual length (100 min) is longer than the longest allowed (99"));
        assert!(found[1].starts_with("0:6 error: The usual length (201 min)"));
    }

    #[test]
    fn nothing_is_there_twice() {
        let text = "[[tenants]]\ntenant = \"Contoso\"\n[[tenants]]\ntenant = \"contoso\"\n[[technicians]]\n\
                    name = \"alex@msp.example\"\n[[technicians]]\nname = \"Alex@MSP.example\"\n[[technicians]]\n\
                    name = \"alex@other.example\"\n[[technicians]]\nname = \"kim@msp.example\"\n";
        assert_eq!(
            found(&[text]),
            [
                "0:4 error: \"contoso\" has a section [[tenants]] already.",
                "0:8 error: Alex@MSP.example is among [[technicians]] already.",
                "0:10 error: alex@other.example would have the same account (…alex) as alex@msp.example.",
            ]
        );
    }

    #[test]
    fn an_entitlement_gives_something_to_somebody_somewhere() {
        let text = "[[technicians]]\nname = \"alex\"\ngroups = [\"Level 1\"]\n[[entitlements]]\ngroup = \"level 1\"\n\
                    [[entitlements]]\ngroup = \"Level 2\"\ngroups = [\"G\"]\n[[entitlements]]\ngroup = \"all admins\"\n\
                    roles = [\"R\"]\ntenants = []\n";
        assert_eq!(
            found(&[text]),
            [
                "0:4 error: This entitlement gives nothing: it has neither roles nor groups.",
                "0:7 warning: No technician is in the group \"Level 2\".",
                "0:12 error: This entitlement applies to no tenant: the list is empty.",
            ]
        );
    }

    #[test]
    fn a_shared_account_is_nobodys_own() {
        let text = "[access]\nlogin = { shared = \"alex\" }\n[[technicians]]\nname = \"alex@msp.example\"\n";
        assert_eq!(found(&[text]), ["0:2 error: The shared account is alex@msp.example's own."]);
    }

    #[test]
    fn an_included_file_is_nobodys_own_and_sets_nothing_again() {
        let personal = "technician = \"alex\"\ninclude = \"1.toml\"\n[access]\nminutes = 60\n[network]\nproxy = \"http://u:p@p:1\"\n";
        let shared = "include = \"2.toml\"\ntechnician = \"kim\"\n[access]\nminutes = 60\nmaximum_minutes = 30\n";
        assert_eq!(
            found(&[personal, shared]),
            [
                "0:4 error: access.minutes is set here and in 1.toml.",
                "0:4 error: The usual length (60 min) is longer than the longest allowed (30 min).",
                "0:6 warning: The proxy's password stands in this file, where secrets never should.",
                "1:1 error: An included file must not include another one.",
                "1:2 error: An included file must not say who works at this machine.",
            ]
        );
    }

    #[test]
    fn a_tenant_has_two_break_glass_accounts_at_most() {
        let one = |tenant: &str, name: &str| {
            let tenant = if tenant.is_empty() { String::new() } else { format!("tenant = \"{tenant}\"\n") };
            format!("[[break_glass]]\nname = \"{name}\"\n{tenant}")
        };
        let faults = |sections: &[(&str, &str)]| {
            found(&[sections.iter().map(|(tenant, name)| one(tenant, name)).collect::<String>().as_str()])
        };
        assert!(faults(&[("", "a"), ("", "b")]).is_empty());
        assert!(faults(&[("Contoso", "a"), ("", "b"), ("Fabrikam", "c")]).is_empty());
        // One for a tenant takes the place of one of the same name for all.
        assert!(faults(&[("", "a"), ("", "b"), ("Contoso", "b")]).is_empty());
        for three in [
            [("", "a"), ("", "b"), ("", "c")],
            [("", "a"), ("", "b"), ("Contoso", "c")],
            [("Contoso", "a"), ("contoso", "b"), ("", "c")],
        ] {
            let faults = faults(&three);
            assert!(faults.len() == 1 && faults[0].contains("too many (a, b, c)"), "{faults:?}");
        }
        assert!(faults(&[("", "a"), ("", "A")])[0].contains("is here twice"));
    }

    #[test]
    fn tenants_that_are_not_connected_and_strangers_are_noticed() {
        let (file, _) = read(
            "[[tenants]]\ntenant = \"contoso\"\n[[tenants]]\ntenant = \"fabrikam.example\"\n[[technicians]]\nname = \"kim\"\n\
             [[entitlements]]\ngroup = \"All admins\"\nroles = [\"R\"]\ntenants = [\"Northwind\"]\n",
            0,
        );
        let connected: TenantSummary = serde_json::from_value(serde_json::json!({
            "tenant_id": "11111111-1111-4111-8111-111111111111", "name": "Contoso", "domains": [], "cloud": "global",
            "user_name": "jit-alex@x", "roles": [], "minutes": 240, "maximum_minutes": 480,
            "credential": {"kind": "password"},
        }))
        .unwrap();
        let files = [file];
        let unknown: Vec<_> = unknown_tenants(&files, &[connected]).into_iter().map(|found| found.message).collect();
        assert_eq!(
            unknown,
            ["No connected tenant is called \"fabrikam.example\".", "No connected tenant is called \"Northwind\"."]
        );
        let name = |text: &str| TechnicianName::try_from(text.to_owned()).unwrap();
        assert!(stranger(&files, &name("KIM")).is_none());
        assert!(stranger(&files, &name("alex")).unwrap().message.starts_with("Alex is not among"));
        assert!(stranger(&[File::default()], &name("alex")).is_none());
    }
}
