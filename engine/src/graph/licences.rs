//! What a tenant has bought, as far as something of ours hangs on it: Entra ID P1 and P2.
//!
//! Facts: Microsoft Graph, subscribedSku, and the names of its service plans.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Answer, Page, Request};

/// The least permission that reads them; Organization.Read.All does as well.
pub(crate) const LICENCES: &str = "LicenseAssignment.Read.All";

/// The best Entra ID licence of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Licence {
    /// Neither of those below.
    Free,
    /// Entra ID P1.
    P1,
    /// Entra ID P2, which has all of P1.
    P2,
}

/// Asks what the tenant has bought.
pub(crate) fn read_licences() -> Request {
    Request::get("/subscribedSkus".to_owned())
}

/// What the answer says; none when it cannot be read.
pub(crate) fn licence(answer: Answer) -> Option<Licence> {
    let skus = Page::<Sku>::of(answer)?;
    let plans: BTreeSet<&str> = skus
        .iter()
        .filter(|sku| sku.capability_status.as_deref().is_none_or(|status| status != "Deleted"))
        .flat_map(|sku| sku.service_plans.iter().filter_map(|plan| plan.service_plan_name.as_deref()))
        .collect();
    Some(if plans.contains("AAD_PREMIUM_P2") {
        Licence::P2
    } else if plans.contains("AAD_PREMIUM") {
        Licence::P1
    } else {
        Licence::Free
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sku {
    #[serde(default)]
    capability_status: Option<String>,
    #[serde(default)]
    service_plans: Vec<ServicePlan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServicePlan {
    #[serde(default)]
    service_plan_name: Option<String>,
}
