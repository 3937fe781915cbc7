//! Built-in directory roles and what the sensitive-action rule says about each. Facts: Entra permissions reference.

/// One built-in role; its template id is also its definition id.
#[derive(Clone, Copy, Debug)]
pub struct BuiltInRole {
    /// Name shown to people.
    pub name: &'static str,
    /// Template id.
    pub id: &'static str,
    /// Labelled privileged by Microsoft.
    pub privileged: bool,
}

const fn role(name: &'static str, id: &'static str, privileged: bool) -> BuiltInRole {
    BuiltInRole { name, id, privileged }
}

/// Global Administrator.
pub const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";
/// Privileged Authentication Administrator: may touch every administrator.
pub const PRIVILEGED_AUTHENTICATION_ADMINISTRATOR: &str = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13";
/// User Administrator: may touch everybody without a role, and holders of a few small roles.
pub const USER_ADMINISTRATOR: &str = "fe930be7-5e62-47db-91af-98c3a49a38b1";

/// The built-in roles.
pub const BUILT_IN: &[BuiltInRole] = &[
    role("Global Administrator", GLOBAL_ADMINISTRATOR, true),
    role("Global Reader", "f2ef992c-3afb-46b9-b7cf-a126ee74c451", true),
    role("Privileged Role Administrator", "e8611ab8-c189-46e8-94e1-60213ab1f814", true),
    role("Privileged Authentication Administrator", PRIVILEGED_AUTHENTICATION_ADMINISTRATOR, true),
    role("Authentication Administrator", "c4e39bd9-1100-46d3-8c65-fb160da0071f", true),
    role("Authentication Policy Administrator", "0526716b-113d-4c15-b2c8-68e3c22b9f80", false),
    role("User Administrator", USER_ADMINISTRATOR, true),
    role("Helpdesk Administrator", "729827e3-9c14-49f7-bb1b-9608f156bbb8", true),
    role("Password Administrator", "966707d0-3269-4727-9be2-8c3a10f19b9d", true),
    role("Groups Administrator", "fdd7a751-b60b-444a-984c-02652fe8fa1c", false),
    role("License Administrator", "4d6ac14f-3453-41d0-bef9-a3e0c569773a", false),
    role("Exchange Administrator", "29232cdf-9323-42fd-ade2-1d097af3e4de", false),
    role("Exchange Recipient Administrator", "31392ffb-586c-42d1-9346-e59415a2cc4e", false),
    role("SharePoint Administrator", "f28a1f50-f6e7-4571-818b-6a12f2af6b6c", false),
    role("Teams Administrator", "69091246-20e8-4a56-aa4d-066075b2a7a8", false),
    role("Intune Administrator", "3a2c62db-5318-420d-8d74-23affee5d9d5", true),
    role("Windows 365 Administrator", "11451d60-acb2-45eb-a7d6-43d0f0125c13", false),
    role("Cloud Device Administrator", "7698a772-787b-4ac8-901f-60d6b08affd2", true),
    role("Security Administrator", "194ae4cb-b126-40b2-bd5b-6091b380977d", true),
    role("Security Operator", "5f2222b1-57c3-48ba-8ad5-d4759f1fde6f", true),
    role("Security Reader", "5d6b6bb7-de71-4623-b4af-96380a352509", true),
    role("Conditional Access Administrator", "b1be1c3e-b65d-4f19-8427-f6fa0d97feb9", true),
    role("Compliance Administrator", "17315797-102d-40b4-93e0-432062caca18", false),
    role("Application Administrator", "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3", true),
    role("Cloud Application Administrator", "158c047a-c907-4556-b7ef-446551a6b5f7", true),
    role("Hybrid Identity Administrator", "8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2", true),
    role("Domain Name Administrator", "8329153b-31d0-4727-b945-745eb3bc5f31", true),
    role("Billing Administrator", "b0f54661-2d74-4c50-afa3-1ec803f12efe", false),
    role("Service Support Administrator", "f023fd81-a637-4b56-95fd-791ac0226033", false),
    role("Reports Reader", "4a5d8f65-41da-4de4-8968-e035b65339cf", false),
    role("Message Center Reader", "790c1fb9-7f7d-4f88-86a1-ef1f95c05c1b", false),
    role("Directory Readers", "88d8e3e3-8f55-4a1e-953a-9b9898b8876b", false),
    role("Directory Writers", "9360feb5-f418-4baa-8175-e2a00bac4301", true),
    role("Office Apps Administrator", "2b745bdf-0803-4d80-aa65-822c4493daac", false),
    role("Power Platform Administrator", "11648597-926c-4cf3-9c36-bcebb0ba8dcc", false),
    role("Fabric Administrator", "a9ea8996-122f-4c74-9520-8edcd192826c", false),
    role("Identity Governance Administrator", "45d8d3c5-c802-45c6-b32a-1d70b5e1e86e", false),
    role("Lifecycle Workflows Administrator", "59d46f88-662b-457b-bceb-5c3809e5908f", true),
    role("Attribute Assignment Administrator", "58a13ea3-c632-46ae-9ee0-9c0d43cd7f3d", false),
];

/// Roles whose holders a User Administrator may still touch. Guest Inviter and Usage Summary Reports Reader are on
/// Microsoft's list too but not among the roles above.
const WITHIN_USER_ADMINISTRATOR: &[&str] = &[
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b", // Directory Readers
    "fdd7a751-b60b-444a-984c-02652fe8fa1c", // Groups Administrator
    "729827e3-9c14-49f7-bb1b-9608f156bbb8", // Helpdesk Administrator
    "790c1fb9-7f7d-4f88-86a1-ef1f95c05c1b", // Message Center Reader
    "966707d0-3269-4727-9be2-8c3a10f19b9d", // Password Administrator
    "4a5d8f65-41da-4de4-8968-e035b65339cf", // Reports Reader
    USER_ADMINISTRATOR,
];

/// The built-in role with this template id.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static BuiltInRole> {
    BUILT_IN.iter().find(|role| role.id.eq_ignore_ascii_case(id))
}

/// The built-in role with this display name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static BuiltInRole> {
    BUILT_IN.iter().find(|role| role.name.eq_ignore_ascii_case(name))
}

/// Whether an app that holds `caller_roles` may do a sensitive action on somebody who holds `target_roles`, or who
/// is in a role-assignable group (`in_role_group`).
#[must_use]
pub fn may_touch(caller_roles: &[String], target_roles: &[String], in_role_group: bool) -> bool {
    let holds = |wanted: &str| caller_roles.iter().any(|held| held.eq_ignore_ascii_case(wanted));
    if target_roles.is_empty() && !in_role_group {
        return true;
    }
    if holds(GLOBAL_ADMINISTRATOR) || holds(PRIVILEGED_AUTHENTICATION_ADMINISTRATOR) {
        return true;
    }
    holds(USER_ADMINISTRATOR)
        && !in_role_group
        && target_roles
            .iter()
            .all(|role| WITHIN_USER_ADMINISTRATOR.iter().any(|small| small.eq_ignore_ascii_case(role)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_privileged_authentication_administrators_touch_administrators() {
        let none: &[String] = &[];
        let global = [GLOBAL_ADMINISTRATOR.to_owned()];
        let users = [USER_ADMINISTRATOR.to_owned()];
        let privileged = [PRIVILEGED_AUTHENTICATION_ADMINISTRATOR.to_owned()];
        assert!(may_touch(none, none, false));
        assert!(!may_touch(none, &users, false));
        assert!(!may_touch(none, none, true));
        assert!(may_touch(&users, &users, false));
        assert!(!may_touch(&users, &global, false));
        assert!(!may_touch(&users, none, true));
        assert!(may_touch(&privileged, &global, true));
    }
}
