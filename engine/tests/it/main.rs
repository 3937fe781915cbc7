//! The engine against the lab's Entra, through an ordinary proxy setting and an ordinary root certificate.
#![allow(clippy::unwrap_used)]

mod audit;
mod break_glass;
mod bulk;
mod certificates;
mod drift;
mod faults;
mod fences;
mod lab;
mod leases;
mod lockdown;
mod oath;
mod onboard;
mod onboarding;
mod passkeys;
mod person;
mod policy;
mod validation;
mod webhook;
