//! How powerful a profile is: what decides which of several is offered first and taken unless another is asked for.
//!
//! The order follows from what the configuration says, and not from what a tenant answers, so that it is the same in
//! every tenant and a person can tell it from the file. What Microsoft labels privileged is a fact; the order among
//! those roles is ours: by how short the way from each to Global Administrator is. A role that is not in the table
//! (one of the customer's own, above all) and a group (which may carry any role) may be anything: they count for more
//! than every role that is known to be harmless, and for less than every privileged one.
//!
//! Facts: Microsoft Entra built-in roles, their template ids and the label "privileged".

use std::cmp::Reverse;

use uuid::Uuid;

/// How much a role or a group can do, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Power {
    /// A built-in role that is not labelled privileged.
    Ordinary,
    /// A role that is not known, or a group.
    Unknown,
    /// A role that is labelled privileged; the strongest has the highest place.
    Privileged(usize),
}

/// How powerful a profile is. Whoever has more roles is never less powerful.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Strength(Vec<Power>);

impl Strength {
    /// The strength of roles (names in any case, or template ids) and groups together.
    pub(crate) fn of(roles: &[String], groups: &[String]) -> Self {
        let groups = groups.iter().map(|_| Power::Unknown);
        let mut powers: Vec<Power> = roles.iter().map(|role| power(role)).chain(groups).collect();
        // The strongest first: two profiles are told apart by what each has that is strongest.
        powers.sort_by_key(|power| Reverse(*power));
        Self(powers)
    }
}

fn power(said: &str) -> Power {
    let said = said.trim();
    let id = said.parse::<Uuid>().ok();
    let meant = |(name, template): &(&str, u128)| {
        said.eq_ignore_ascii_case(name) || id.is_some_and(|id| id.as_u128() == *template)
    };
    if let Some(place) = PRIVILEGED.iter().position(meant) {
        return Power::Privileged(PRIVILEGED.len() - place);
    }
    if ORDINARY.iter().any(meant) { Power::Ordinary } else { Power::Unknown }
}

/// Labelled privileged, the strongest first.
const PRIVILEGED: &[(&str, u128)] = &[
    ("Global Administrator", 0x62e9_0394_69f5_4237_9190_0121_7714_5e10),
    ("Privileged Role Administrator", 0xe861_1ab8_c189_46e8_94e1_6021_3ab1_f814),
    ("Privileged Authentication Administrator", 0x7be4_4c8a_adaf_4e2a_84d6_ab26_49e0_8a13),
    ("Application Administrator", 0x9b89_5d92_2cd3_44c7_9d02_a6ac_2d5e_a5c3),
    ("Cloud Application Administrator", 0x158c_047a_c907_4556_b7ef_4465_51a6_b5f7),
    ("Hybrid Identity Administrator", 0x8ac3_fc64_6eca_42ea_9e69_59f4_c7b6_0eb2),
    ("Domain Name Administrator", 0x8329_153b_31d0_4727_b945_745e_b3bc_5f31),
    ("Directory Writers", 0x9360_feb5_f418_4baa_8175_e2a0_0bac_4301),
    ("Conditional Access Administrator", 0xb1be_1c3e_b65d_4f19_8427_f6fa_0d97_feb9),
    ("Security Administrator", 0x194a_e4cb_b126_40b2_bd5b_6091_b380_977d),
    ("Intune Administrator", 0x3a2c_62db_5318_420d_8d74_23af_fee5_d9d5),
    ("Authentication Administrator", 0xc4e3_9bd9_1100_46d3_8c65_fb16_0da0_071f),
    ("User Administrator", 0xfe93_0be7_5e62_47db_91af_98c3_a49a_38b1),
    ("Lifecycle Workflows Administrator", 0x59d4_6f88_662b_457b_bceb_5c38_09e5_908f),
    ("Helpdesk Administrator", 0x7298_27e3_9c14_49f7_bb1b_9608_f156_bbb8),
    ("Password Administrator", 0x9667_07d0_3269_4727_9be2_8c3a_10f1_9b9d),
    ("Cloud Device Administrator", 0x7698_a772_787b_4ac8_901f_60d6_b08a_ffd2),
    ("Security Operator", 0x5f22_22b1_57c3_48ba_8ad5_d475_9f1f_de6f),
    ("Security Reader", 0x5d6b_6bb7_de71_4623_b4af_9638_0a35_2509),
    ("Global Reader", 0xf2ef_992c_3afb_46b9_b7cf_a126_ee74_c451),
];

/// Not labelled privileged.
const ORDINARY: &[(&str, u128)] = &[
    ("Authentication Policy Administrator", 0x0526_716b_113d_4c15_b2c8_68e3_c22b_9f80),
    ("Groups Administrator", 0xfdd7_a751_b60b_444a_984c_0265_2fe8_fa1c),
    ("License Administrator", 0x4d6a_c14f_3453_41d0_bef9_a3e0_c569_773a),
    ("Exchange Administrator", 0x2923_2cdf_9323_42fd_ade2_1d09_7af3_e4de),
    ("Exchange Recipient Administrator", 0x3139_2ffb_586c_42d1_9346_e594_15a2_cc4e),
    ("SharePoint Administrator", 0xf28a_1f50_f6e7_4571_818b_6a12_f2af_6b6c),
    ("Teams Administrator", 0x6909_1246_20e8_4a56_aa4d_0660_75b2_a7a8),
    ("Windows 365 Administrator", 0x1145_1d60_acb2_45eb_a7d6_43d0_f012_5c13),
    ("Compliance Administrator", 0x1731_5797_102d_40b4_93e0_4320_62ca_ca18),
    ("Billing Administrator", 0xb0f5_4661_2d74_4c50_afa3_1ec8_03f1_2efe),
    ("Service Support Administrator", 0xf023_fd81_a637_4b56_95fd_791a_c022_6033),
    ("Reports Reader", 0x4a5d_8f65_41da_4de4_8968_e035_b653_39cf),
    ("Message Center Reader", 0x790c_1fb9_7f7d_4f88_86a1_ef1f_95c0_5c1b),
    ("Directory Readers", 0x88d8_e3e3_8f55_4a1e_953a_9b98_98b8_876b),
    ("Office Apps Administrator", 0x2b74_5bdf_0803_4d80_aa65_822c_4493_daac),
    ("Power Platform Administrator", 0x1164_8597_926c_4cf3_9c36_bceb_b0ba_8dcc),
    ("Fabric Administrator", 0xa9ea_8996_122f_4c74_9520_8edc_d192_826c),
    ("Identity Governance Administrator", 0x45d8_d3c5_c802_45c6_b32a_1d70_b5e1_e86e),
    ("Attribute Assignment Administrator", 0x58a1_3ea3_c632_46ae_9ee0_9c0d_43cd_7f3d),
];

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    fn strength(roles: &[&str], groups: &[&str]) -> Strength {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Strength::of(&owned(roles), &owned(groups))
    }

    #[test]
    fn the_strongest_role_decides_and_global_administrator_is_the_strongest() {
        let order = [
            strength(&[], &[]),
            strength(&["Reports Reader"], &[]),
            strength(&["Exchange Administrator", "teams administrator"], &[]),
            strength(&["Tier 2 of Contoso"], &[]),
            strength(&["Reports Reader", "Tier 2 of Contoso"], &[]),
            strength(&["Global Reader"], &[]),
            strength(&["Helpdesk Administrator"], &[]),
            strength(&["Helpdesk Administrator"], &["SG-Support"]),
            strength(&["fe930be7-5e62-47db-91af-98c3a49a38b1"], &[]),
            strength(&["Application Administrator", "User Administrator", "Exchange Administrator"], &[]),
            strength(&["GLOBAL ADMINISTRATOR"], &[]),
        ];
        assert!(order.is_sorted_by(|one, other| one < other), "{order:?}");
        assert_eq!(strength(&[], &["SG-Support"]), strength(&["Tier 2 of Contoso"], &[]));
    }

    proptest! {
        #[test]
        fn whoever_has_more_is_never_less_powerful(
            all in collection::vec(0..PRIVILEGED.len() + ORDINARY.len() + 1, 0..6),
            without in any::<prop::sample::Index>(),
        ) {
            let name = |place: &usize| {
                PRIVILEGED.iter().chain(ORDINARY).nth(*place).map_or("Somebody's own", |(name, _)| name).to_owned()
            };
            let roles: Vec<String> = all.iter().map(name).collect();
            let mut fewer = roles.clone();
            if !fewer.is_empty() {
                fewer.remove(without.index(fewer.len()));
            }
            prop_assert!(Strength::of(&fewer, &[]) <= Strength::of(&roles, &[]));
        }
    }
}
