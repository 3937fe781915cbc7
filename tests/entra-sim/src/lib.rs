//! A simulated Microsoft Entra: token endpoint, Graph, sign-in pages and portals, on the real host names behind a
//! certificate authority made on the spot.
//!
//! It stands in for Microsoft in tests and is stricter than Microsoft where facts are disputed. Nothing of it is a
//! dependency of product code, and no traffic leaves the machine. Facts come from the Microsoft Graph reference, the
//! Entra sign-in documentation and, for shapes, Microsoft's own schema.

pub mod assertion;
pub mod batch;
pub mod clock;
pub mod control;
pub mod directory;
pub mod endpoint;
pub mod exchanges;
pub mod faults;
pub mod graph;
pub mod knobs;
pub mod pages;
pub mod passkeys;
pub mod people;
pub mod schema;
pub mod serve;
pub mod simulation;
pub mod throttle;
pub mod tls;
pub mod token;

pub use knobs::Knobs;
/// The directory and everything around it, by the name that clients' tests use.
pub use simulation::Simulation as Entra;
pub use simulation::{Running, Settings, Simulation};
