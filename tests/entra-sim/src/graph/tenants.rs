//! The tenant itself: organisation, domains, licences.

use serde_json::{Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, properties};
use crate::directory::{Domain, DomainKind, Licence, Tenant};

const ORGANIZATION: Shape = Shape { context: "organization", known: properties::ORGANIZATION, ..Shape::PLAIN };
const DOMAINS: Shape = Shape { context: "domains", known: properties::DOMAIN, deaf: true, ..Shape::PLAIN };

pub(super) fn organizations(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    collection(context.call, ORGANIZATION, vec![organization_json(tenant)])
}

pub(super) fn organization(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    if tenant.id.eq_ignore_ascii_case(id) {
        entity(context.call, ORGANIZATION, organization_json(tenant))
    } else {
        Err(GraphError::not_found(id))
    }
}

pub(super) fn domains(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    collection(context.call, DOMAINS, tenant.domains.iter().map(domain_json).collect())
}

pub(super) fn domain(tenant: &mut Tenant, context: &Context<'_>, name: &str) -> Handled {
    let found = tenant
        .domains
        .iter()
        .find(|domain| domain.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| GraphError::not_found(name))?;
    entity(context.call, DOMAINS, domain_json(found))
}

pub(super) fn subscribed_skus(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let plan = |name: &str, id: &str| {
        json!({
            "servicePlanId": id, "servicePlanName": name, "provisioningStatus": "Success", "appliesTo": "User",
        })
    };
    let premium = plan("AAD_PREMIUM", "41781fb2-bc02-4b7c-bd55-b576c07bb09d");
    let (part, plans) = match tenant.licence {
        Licence::Free => ("O365_BUSINESS_ESSENTIALS", Vec::new()),
        Licence::P1 => ("AAD_PREMIUM", vec![premium]),
        Licence::P2 => {
            ("AAD_PREMIUM_P2", vec![premium, plan("AAD_PREMIUM_P2", "eec0eb4f-6444-4f95-aba0-50c24d67f998")])
        }
    };
    let shape = Shape { context: "subscribedSkus", known: properties::SUBSCRIBED_SKU, ..DOMAINS };
    let sku = json!({
        "id": format!("{}_078d2b04-f1bd-4111-bbd4-b4b1b354cef4", tenant.id),
        "accountId": tenant.id,
        "accountName": tenant.display_name,
        "appliesTo": "User",
        "capabilityStatus": "Enabled",
        "consumedUnits": 5,
        "prepaidUnits": {"enabled": 25, "lockedOut": 0, "suspended": 0, "warning": 0},
        "servicePlans": plans,
        "skuId": "078d2b04-f1bd-4111-bbd4-b4b1b354cef4",
        "skuPartNumber": part,
        "subscriptionIds": [],
    });
    collection(context.call, shape, vec![sku])
}

fn organization_json(tenant: &Tenant) -> Value {
    let domains: Vec<Value> = tenant
        .domains
        .iter()
        .filter(|domain| domain.verified)
        .map(|domain| {
            json!({
                "name": domain.name,
                "type": kind(domain),
                "isDefault": domain.default,
                "isInitial": domain.initial,
                "capabilities": "Email, OfficeCommunicationsOnline",
            })
        })
        .collect();
    let plans: &[(&str, &str)] = match tenant.licence {
        Licence::Free => &[],
        Licence::P1 => &[("AADPremiumService", "41781fb2-bc02-4b7c-bd55-b576c07bb09d")],
        Licence::P2 => &[
            ("AADPremiumService", "41781fb2-bc02-4b7c-bd55-b576c07bb09d"),
            ("AADPremiumService", "eec0eb4f-6444-4f95-aba0-50c24d67f998"),
        ],
    };
    json!({
        "id": tenant.id,
        "displayName": tenant.display_name,
        "tenantType": "AAD",
        "countryLetterCode": "US",
        "createdDateTime": "2020-01-15T09:00:00Z",
        "verifiedDomains": domains,
        "assignedPlans": plans
            .iter()
            .map(|(service, id)| json!({
                "assignedDateTime": "2020-01-15T09:00:00Z", "capabilityStatus": "Enabled",
                "service": service, "servicePlanId": id,
            }))
            .collect::<Vec<_>>(),
        "technicalNotificationMails": [],
        "businessPhones": [],
    })
}

fn domain_json(domain: &Domain) -> Value {
    json!({
        "id": domain.name,
        "authenticationType": kind(domain),
        "isAdminManaged": true,
        "isDefault": domain.default,
        "isInitial": domain.initial,
        "isRoot": domain.name.split('.').count() == 2 || domain.initial,
        "isVerified": domain.verified,
        "supportedServices": if domain.verified { json!(["Email", "OfficeCommunicationsOnline"]) } else { json!([]) },
        "passwordValidityPeriodInDays": 2_147_483_647,
        "passwordNotificationWindowInDays": 14,
    })
}

fn kind(domain: &Domain) -> &'static str {
    match domain.kind {
        DomainKind::Managed => "Managed",
        DomainKind::Federated { .. } => "Federated",
    }
}
