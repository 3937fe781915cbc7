//! The real binary against the lab's Entra, a real Secret Service and a home folder that nobody uses.
#![allow(clippy::unwrap_used)]

mod access;
mod attention;
mod audit_log;
mod bad_days;
mod break_glass;
mod browser_side;
mod bulk;
mod command_line;
mod configuration;
mod installing;
mod kill_switch;
mod kills;
mod lab;
mod many_tenants;
mod oath;
mod onboarding;
mod passkeys;
mod protected;
mod recovering;
mod technicians;
mod webhook;
