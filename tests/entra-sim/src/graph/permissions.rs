//! Microsoft Graph's own service principal: the application permissions it offers and their ids, and the delegated ones
//! that people may be asked for. Facts: Microsoft Graph permissions reference.

use serde_json::{Value, json};

use crate::directory::Tenant;
use crate::directory::seed::derived_id;

/// The `appId` of Microsoft Graph, the same in every tenant and cloud.
pub const GRAPH_APP: &str = "00000003-0000-0000-c000-000000000000";

/// Application permissions by name, with the ids of their app roles.
pub const APPLICATION: &[(&str, &str)] = &[
    ("AdministrativeUnit.Read.All", "134fd756-38ce-4afd-ba33-e9623dbe66c2"),
    ("AdministrativeUnit.ReadWrite.All", "5eb59dd3-1da2-4329-8733-9dabdc435916"),
    ("AgentIdUser.ReadWrite.All", "d0ca41aa-9212-8ec6-8bee-d30600b82eda"),
    ("AgentIdUser.ReadWrite.IdentityParentedBy", "b289933a-7ef7-c0d0-dedf-17468cb8aaf4"),
    ("AppRoleAssignment.ReadWrite.All", "06b708a9-e830-4db3-a914-8e69da51d44f"),
    ("Application.Read.All", "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"),
    ("Application.ReadWrite.All", "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9"),
    ("Application.ReadWrite.OwnedBy", "18a4783c-866b-4cc7-a460-3d5e5662c884"),
    ("AuditLog.Read.All", "b0afded3-3588-46d8-8b3d-9842eff778da"),
    ("CrossTenantInformation.ReadBasic.All", "cac88765-0581-4025-9725-5ebc13f729ee"),
    ("DelegatedPermissionGrant.ReadWrite.All", "8e8e4742-1d95-4f68-9d56-6ee75648c72a"),
    ("Device.Read.All", "7438b122-aefc-4978-80ed-43db9fcc7715"),
    ("Device.ReadWrite.All", "1138cb37-bd11-4084-a2b7-9f71582aeddb"),
    ("DeviceManagementApps.Read.All", "7a6ee1e7-141e-4cec-ae74-d9db155731ff"),
    ("DeviceManagementApps.ReadWrite.All", "78145de6-330d-4800-a6ce-494ff2d33d07"),
    ("DeviceManagementConfiguration.Read.All", "dc377aa6-52d8-4e23-b271-2a7ae04cedf3"),
    ("DeviceManagementConfiguration.ReadWrite.All", "9241abd9-d0e6-425a-bd4f-47ba86e767a4"),
    ("DeviceManagementManagedDevices.Read.All", "2f51be20-0bb4-4fed-bf7b-db946066c75e"),
    ("DeviceManagementManagedDevices.ReadWrite.All", "243333ab-4d21-40cb-a475-36241daa0842"),
    ("DeviceManagementServiceConfig.Read.All", "06a5fe6d-c49d-46a7-b082-56b1b14103c7"),
    ("DeviceManagementServiceConfig.ReadWrite.All", "5ac13192-7ace-4fcf-b828-1a26f28068ee"),
    ("Directory.Read.All", "7ab1d382-f21e-4acd-a863-ba3e13f7da61"),
    ("Directory.ReadWrite.All", "19dbc75e-c2e2-444c-a770-ec69d8559fc7"),
    ("Domain-InternalFederation.Read.All", "c0e5a7b0-e8b7-40a7-b8e0-8249e6ea81d5"),
    ("Domain-InternalFederation.ReadWrite.All", "64d40371-8d58-4270-bc8a-b4a66de36b9a"),
    ("Domain.Read.All", "dbb9058a-0e50-45d7-ae91-66909b5d4664"),
    ("Domain.ReadWrite.All", "7e05723c-0bb0-42da-be95-ae9f08a6e53c"),
    ("Group-NestingSupport.ReadWrite.All", "b4c7d8e9-f2a5-4b6c-9d8e-1f2a3b4c5d6e"),
    ("Group-PreferredDataLocation.ReadWrite.All", "603ce4e3-fb05-4b63-91ba-729bb1dca667"),
    ("Group-XTenantIdentitySync.Read.All", "35b96aac-d839-4362-abd4-7381f2b27ccd"),
    ("Group.Create", "bf7b1a76-6e77-406b-b258-bf5c7720e98f"),
    ("Group.ManageProtection.All", "60f8cea0-2476-45c9-ab18-70e79e60ad14"),
    ("Group.Read.All", "5b567255-7703-4780-807c-7be8301ae99b"),
    ("Group.ReadBasic.All", "07d67222-3a10-4d3b-9ddc-b8aa43198a00"),
    ("Group.ReadWrite.All", "62a82d76-70ea-41e2-9197-370581804d09"),
    ("GroupMember.Read.All", "98830695-27a2-44f7-8c18-0c3ebc9698f6"),
    ("GroupMember.ReadBasic.All", "8222c640-cae5-4860-8d11-b32cfad95e03"),
    ("GroupMember.ReadWrite.All", "dbaae8cf-10b5-4b86-a4a1-f871c94c6695"),
    ("LicenseAssignment.Read.All", "e2f98668-2877-4f38-a2f4-8202e0717aa1"),
    ("LicenseAssignment.ReadWrite.All", "5facf0c1-8979-4e95-abcf-ff3d079771c0"),
    ("Organization.Read.All", "498476ce-e0fe-48b0-b801-37ba7e2685c6"),
    ("Organization.ReadWrite.All", "292d869f-3427-49a8-9dab-8c70152b74e9"),
    ("Policy.Read.All", "246dd0d5-5bd0-4def-940b-0421030a5b68"),
    ("Policy.Read.AuthenticationMethod", "8e3bc81b-d2f3-4b7b-838c-32c88218d2f0"),
    ("Policy.ReadWrite.AuthenticationMethod", "29c18626-4985-4dcd-85c0-193eef327366"),
    ("Policy.ReadWrite.Authorization", "fb221be6-99f2-473f-bd32-01c6a0e9ca3b"),
    ("Policy.ReadWrite.ConditionalAccess", "01c0a623-fc9b-48e9-b794-0756f8e8f067"),
    ("Policy.ReadWrite.SecurityDefaults", "1c6e93a6-28e2-4cbb-9f64-1a46a821124d"),
    ("RoleAssignmentSchedule.Read.Directory", "d5fe8ce8-684c-4c83-a52c-46e882ce4be1"),
    ("RoleAssignmentSchedule.ReadWrite.Directory", "dd199f4a-f148-40a4-a2ec-f0069cc799ec"),
    ("RoleAssignmentSchedule.Remove.Directory", "d3495511-98b7-4df3-b317-4e35c19f6129"),
    ("RoleEligibilitySchedule.Read.Directory", "ff278e11-4a33-4d0c-83d2-d01dc58929a5"),
    ("RoleEligibilitySchedule.ReadWrite.Directory", "fee28b28-e1f3-4841-818e-2704dc62245f"),
    ("RoleEligibilitySchedule.Remove.Directory", "79c7e69c-0d9f-4eff-97a8-49170a5a08ba"),
    ("RoleManagement.Read.All", "c7fbd983-d9aa-4fa7-84b8-17382c103bc4"),
    ("RoleManagement.Read.Directory", "483bed4a-2ad3-4361-a73b-c83ccdbdc53c"),
    ("RoleManagement.ReadWrite.Directory", "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8"),
    ("User-Mail.ReadWrite.All", "280d0935-0796-47d1-8d26-273470a3f17a"),
    ("User-PasswordProfile.ReadWrite.All", "cc117bb9-00cf-4eb8-b580-ea2a878fe8f7"),
    ("User-Phone.ReadWrite.All", "86ceff06-c822-49ff-989a-d912845ffe69"),
    ("User.DeleteRestore.All", "eccc023d-eccf-4e7b-9683-8813ab36cecc"),
    ("User.EnableDisableAccount.All", "3011c876-62b7-4ada-afa2-506cbbecc68c"),
    ("User.Invite.All", "09850681-111b-4a89-9bed-3f2cae46d706"),
    ("User.ManageIdentities.All", "c529cfca-c91b-489c-af2b-d92990b66ce6"),
    ("User.Read.All", "df021288-bdef-4463-88db-98f22de89214"),
    ("User.ReadBasic.All", "97235f07-e226-4f63-ace3-39588e11d3a1"),
    ("User.ReadWrite.All", "741f803b-c850-494e-b5df-cde7c675a1ca"),
    ("User.ReadWrite.CrossCloud", "5652f862-b626-407b-a3e6-248aeb95763c"),
    ("User.RevokeSessions.All", "77f3a031-c388-4f99-b373-dc68676a979e"),
    ("UserAuthMethod-Email.Read.All", "a1e58be0-1095-422b-b067-73434bd7d40f"),
    ("UserAuthMethod-Email.ReadWrite.All", "e8ecb853-1435-4a49-95ba-ec5b31b11672"),
    ("UserAuthMethod-HardwareOATH.ReadWrite.All", "7e9ebcc1-90aa-4471-8051-e68d6b4e9c89"),
    ("UserAuthMethod-MicrosoftAuthApp.Read.All", "a9c5f16e-e5ca-4e33-89ad-903fcfc01c23"),
    ("UserAuthMethod-MicrosoftAuthApp.ReadWrite.All", "c833c349-a1ab-4b6d-94a2-fa9a8674420c"),
    ("UserAuthMethod-Passkey.Read.All", "72e00c1d-3e3d-43bb-a0b9-c435611bb1d2"),
    ("UserAuthMethod-Passkey.ReadWrite.All", "0400e371-7db1-4338-a269-96069eb65227"),
    ("UserAuthMethod-Password.Read.All", "8d2c17ff-b93d-40d5-9def-d843680509cb"),
    ("UserAuthMethod-Password.ReadWrite.All", "f6d38dfd-ec08-4995-8f07-23e929df0936"),
    ("UserAuthMethod-Phone.Read.All", "f529a223-ea70-43ec-b268-5012de2fbaa2"),
    ("UserAuthMethod-Phone.ReadWrite.All", "6e85d483-7092-4375-babe-0a94a8213a58"),
    ("UserAuthMethod-PlatformCred.Read.All", "07c0b1e4-15bd-442f-834b-30f8291388d1"),
    ("UserAuthMethod-PlatformCred.ReadWrite.All", "1a87acf4-a9ca-4576-a974-452ea265d5f6"),
    ("UserAuthMethod-SoftwareOATH.Read.All", "a6b423df-a0c8-411d-a809-a4a5985d2939"),
    ("UserAuthMethod-SoftwareOATH.ReadWrite.All", "787442d4-3c6e-4e99-aa95-8ccca20a48ff"),
    ("UserAuthMethod-TAP.Read.All", "bf82209c-b22b-4747-ac88-a68be99032cf"),
    ("UserAuthMethod-TAP.ReadWrite.All", "627169a8-8c15-451c-861a-5b80e383de5c"),
    ("UserAuthMethod-WindowsHello.Read.All", "9b8dd4c7-8cca-4ef5-a34a-9c2c75fcc934"),
    ("UserAuthMethod-WindowsHello.ReadWrite.All", "f14eee8a-713e-45aa-8223-2ab74632db1a"),
    ("UserAuthenticationMethod.Read.All", "38d9df27-64da-44fd-b7c5-a6fbac20248f"),
    ("UserAuthenticationMethod.ReadWrite.All", "50483e42-d915-4231-9639-7fdb7fd190e5"),
];

/// Delegated permissions that a person may grant for herself; every other one needs an administrator.
const FOR_ONESELF: &[&str] = &["openid", "profile", "email", "offline_access", "User.Read", "User.ReadBasic.All"];

/// The id of an application permission.
#[must_use]
pub fn id_of(name: &str) -> Option<&'static str> {
    APPLICATION.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
}

/// The application permission with this id.
#[must_use]
pub fn name_of(id: &str) -> Option<&'static str> {
    APPLICATION.iter().find(|(_, known)| known.eq_ignore_ascii_case(id)).map(|(name, _)| *name)
}

/// Delegated permissions that a registration may ask for by id.
const SCOPES: &[(&str, &str)] = &[
    ("User.Read", "e1fe6dd8-ba31-4d61-89e7-88639da4683d"),
    ("GroupMember.Read.All", "bc024368-1153-4739-b217-4326f2e966d0"),
];

/// The delegated permission with this id.
#[must_use]
pub fn scope_of(id: &str) -> Option<&'static str> {
    SCOPES.iter().find(|(_, known)| known.eq_ignore_ascii_case(id)).map(|(name, _)| *name)
}

/// Whether a delegated permission exists here.
#[must_use]
pub fn is_delegated(name: &str) -> bool {
    !needs_administrator(name) || name == "Directory.AccessAsUser.All" || id_of(name).is_some()
}

/// Whether only an administrator can consent to a delegated permission.
#[must_use]
pub fn needs_administrator(name: &str) -> bool {
    !FOR_ONESELF.contains(&name)
}

/// Object id of Microsoft Graph's service principal in a tenant.
#[must_use]
pub fn principal_id(tenant: &Tenant) -> String {
    derived_id(&tenant.id, "Microsoft Graph")
}

/// Microsoft Graph's service principal as Graph shows it.
#[must_use]
pub fn principal_json(tenant: &Tenant) -> Value {
    let roles: Vec<Value> = APPLICATION
        .iter()
        .map(|(name, id)| {
            json!({
                "id": id, "value": name, "displayName": name, "description": format!("The application permission {name}."),
                "allowedMemberTypes": ["Application"], "isEnabled": true, "origin": "Application",
            })
        })
        .collect();
    json!({
        "id": principal_id(tenant),
        "appId": GRAPH_APP,
        "displayName": "Microsoft Graph",
        "appDisplayName": "Microsoft Graph",
        "servicePrincipalType": "Application",
        "accountEnabled": true,
        "appOwnerOrganizationId": "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
        "servicePrincipalNames": [GRAPH_APP, "https://graph.microsoft.com"],
        "appRoles": roles,
    })
}
