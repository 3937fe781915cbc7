//! What a sign-in must have proved before an application opens: Conditional Access and security defaults.
//!
//! It answers questions and changes nothing. Conditions that the lab cannot know (device, place, risk) are read the
//! strict way: a policy applies unless it says that it does not. Facts: Microsoft Entra, Conditional Access and
//! authentication strengths.

use jiff::Timestamp;
use serde_json::Value;

use super::{Directory, SignedIn, Tenant};
use crate::clock::Clock;
use crate::knobs::Knobs;

/// Ways to sign in that are multi-factor, in the words of authentication strengths.
const MULTI_FACTOR: &[&str] = &[
    "fido2",
    "temporaryAccessPassOneTime",
    "temporaryAccessPassMultiUse",
    "password,hardwareOath",
    "password,softwareOath",
    "password,microsoftAuthenticatorPush",
];
/// Those that nobody can be tricked out of.
const PHISHING_RESISTANT: &[&str] = &["fido2"];
/// The strengths that every tenant has, by id.
const STRENGTHS: &[(&str, &[&str])] = &[
    ("00000000-0000-0000-0000-000000000002", MULTI_FACTOR),
    ("00000000-0000-0000-0000-000000000003", PHISHING_RESISTANT),
    ("00000000-0000-0000-0000-000000000004", PHISHING_RESISTANT),
];
/// Applications that `MicrosoftAdminPortals` stands for.
const ADMIN_PORTALS: [&str; 2] = ["c44b4083-3bb0-49c1-b47d-974e53cbdf3c", "00000006-0000-0ff1-ce00-000000000000"];

/// Something that a user has registered and may prove besides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// A passkey.
    Passkey,
    /// The code of a hardware token.
    Code,
}

/// Whether a sign-in is enough.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Demand {
    /// It is.
    Met,
    /// It is not, and nothing that the person could prove would help: the AADSTS number.
    Blocked(u32),
    /// A policy says that it is not; any of these would do. None: the person has to register something first.
    More(Vec<Proof>),
}

impl Directory {
    /// What is missing for `signed_in` to open the application `client_id`.
    #[must_use]
    pub fn demand(&self, signed_in: &SignedIn, client_id: &str, clock: &Clock, knobs: &Knobs) -> Demand {
        let now = clock.now();
        let Some(tenant) = self.tenant(&signed_in.tenant_id) else {
            return Demand::Met;
        };
        let verdict = tenant.verdict(&signed_in.user_id, client_id, &signed_in.combinations, now);
        match verdict {
            Verdict::Met => return Demand::Met,
            Verdict::Blocked(number) => return Demand::Blocked(number),
            Verdict::Defaults | Verdict::More => {}
        }
        let mut proofs = self.proofs_of(&signed_in.user_id, clock, knobs);
        proofs.retain(|proof| {
            let mut proved = signed_in.combinations.clone();
            proved.extend(proof.combination(&signed_in.combinations));
            tenant.verdict(&signed_in.user_id, client_id, &proved, now) == Verdict::Met
        });
        if verdict == Verdict::Defaults && proofs.is_empty() {
            // Registration is asked for, but by the page, which may let it be put off.
            return Demand::Met;
        }
        Demand::More(proofs)
    }
}

impl Proof {
    /// What it makes of a sign-in that has proved `before`.
    fn combination(self, before: &[&str]) -> Option<&'static str> {
        match self {
            Self::Passkey => Some("fido2"),
            Self::Code => before.contains(&"password").then_some("password,hardwareOath"),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Met,
    /// Security defaults alone ask for a second factor.
    Defaults,
    More,
    Blocked(u32),
}

impl Tenant {
    fn verdict(&self, user_id: &str, client_id: &str, proved: &[&str], now: Timestamp) -> Verdict {
        let multi_factor = proved.iter().any(|way| MULTI_FACTOR.contains(way));
        let mut verdict = Verdict::Met;
        if self.security_defaults && !multi_factor && !self.roles_of(user_id, now).is_empty() {
            verdict = Verdict::Defaults;
        }
        for policy in &self.conditional_access {
            if !self.applies(policy, user_id, client_id, now) {
                continue;
            }
            match of_policy(policy, proved, multi_factor) {
                blocked @ Verdict::Blocked(_) => return blocked,
                Verdict::More => verdict = Verdict::More,
                Verdict::Met | Verdict::Defaults => {}
            }
        }
        verdict
    }

    fn applies(&self, policy: &Value, user_id: &str, client_id: &str, now: Timestamp) -> bool {
        let conditions = &policy["conditions"];
        let risky = |name: &str| conditions[name].as_array().is_some_and(|levels| !levels.is_empty());
        let browser = names(&conditions["clientAppTypes"]).all(|kind| !matches!(kind, "all" | "browser"))
            && names(&conditions["clientAppTypes"]).next().is_some();
        if policy["state"] != "enabled" || risky("userRiskLevels") || risky("signInRiskLevels") || browser {
            return false;
        }
        let is_app = |name: &str| match name {
            "All" => true,
            "MicrosoftAdminPortals" => ADMIN_PORTALS.contains(&client_id),
            id => id.eq_ignore_ascii_case(client_id),
        };
        let applications = &conditions["applications"];
        if !names(&applications["includeApplications"]).any(is_app)
            || names(&applications["excludeApplications"]).any(is_app)
        {
            return false;
        }
        let (roles, groups) = (self.roles_of(user_id, now), self.groups_of(user_id));
        let is_user = |which: &str| {
            let list = |kind: &str| &conditions["users"][format!("{which}{kind}").as_str()];
            names(list("Users")).any(|name| name == "All" || name.eq_ignore_ascii_case(user_id))
                || names(list("Roles")).any(|id| roles.iter().any(|held| held.eq_ignore_ascii_case(id)))
                || names(list("Groups")).any(|id| groups.iter().any(|group| group.id.eq_ignore_ascii_case(id)))
        };
        is_user("include") && !is_user("exclude")
    }
}

fn of_policy(policy: &Value, proved: &[&str], multi_factor: bool) -> Verdict {
    let grant = &policy["grantControls"];
    let mut controls: Vec<Verdict> = names(&grant["builtInControls"])
        .map(|control| match control {
            "mfa" if multi_factor => Verdict::Met,
            "mfa" => Verdict::More,
            // No device of the lab is managed.
            "compliantDevice" => Verdict::Blocked(53_000),
            "domainJoinedDevice" => Verdict::Blocked(53_001),
            _ => Verdict::Blocked(53_003),
        })
        .collect();
    if names(&grant["builtInControls"]).any(|control| control == "block") {
        return Verdict::Blocked(53_003);
    }
    if grant["authenticationStrength"].is_object() {
        controls.push(of_strength(&grant["authenticationStrength"], proved));
    }
    let any = grant["operator"] != "AND";
    let blocked = controls.iter().find(|control| matches!(control, Verdict::Blocked(_)));
    match (any, blocked) {
        _ if controls.iter().all(|control| *control == Verdict::Met) => Verdict::Met,
        (true, _) if controls.contains(&Verdict::Met) => Verdict::Met,
        (true, _) if controls.contains(&Verdict::More) => Verdict::More,
        (_, Some(blocked)) => *blocked,
        (_, None) => Verdict::More,
    }
}

fn of_strength(strength: &Value, proved: &[&str]) -> Verdict {
    let known = STRENGTHS.iter().find(|(id, _)| strength["id"].as_str() == Some(id)).map(|(_, ways)| *ways);
    let listed: Vec<&str> = names(&strength["allowedCombinations"]).collect();
    let allowed = if listed.is_empty() { known.unwrap_or_default() } else { listed.as_slice() };
    if proved.iter().any(|way| allowed.contains(way)) { Verdict::Met } else { Verdict::More }
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(grant: Value, proved: &[&str]) -> Verdict {
        let multi_factor = proved.iter().any(|way| MULTI_FACTOR.contains(way));
        of_policy(&json!({ "grantControls": grant }), proved, multi_factor)
    }

    #[test]
    fn one_of_several_controls_is_enough_or_all_are_needed() {
        let either = json!({"operator": "OR", "builtInControls": ["mfa", "compliantDevice"]});
        assert_eq!(judged(either.clone(), &["password"]), Verdict::More);
        assert_eq!(judged(either, &["fido2"]), Verdict::Met);
        let both = json!({"operator": "AND", "builtInControls": ["mfa", "compliantDevice"]});
        assert_eq!(judged(both, &["fido2"]), Verdict::Blocked(53_000));
        let block = json!({"operator": "OR", "builtInControls": ["block"]});
        assert_eq!(judged(block, &["fido2"]), Verdict::Blocked(53_003));
    }

    #[test]
    fn only_a_passkey_withstands_phishing() {
        let resistant = json!({
            "operator": "OR", "builtInControls": [],
            "authenticationStrength": {"id": "00000000-0000-0000-0000-000000000004"},
        });
        for (way, verdict) in [
            ("password", Verdict::More),
            ("temporaryAccessPassMultiUse", Verdict::More),
            ("password,hardwareOath", Verdict::More),
            ("fido2", Verdict::Met),
        ] {
            assert_eq!(judged(resistant.clone(), &[way]), verdict, "{way}");
        }
        let own = json!({"authenticationStrength": {"allowedCombinations": ["password,hardwareOath"]}});
        assert_eq!(judged(own, &["password", "password,hardwareOath"]), Verdict::Met);
    }
}
