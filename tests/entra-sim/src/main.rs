//! The command `entra-sim`: serves a simulated Entra until it is killed.
//!
//! It prints one line of JSON on standard output (ports, certificate authority, tenants with their credentials) and
//! then nothing more. What a person should know goes to standard error.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use entra_sim::{Knobs, Settings, Simulation};

/// Serves a simulated Microsoft Entra: token endpoint, Graph, sign-in pages and portals.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  entra-sim --round-trip 100 --sign-in-lag 3000\n  HTTPS_PROXY=http://127.0.0.1:<proxy_port> SSL_CERT_FILE=<ca_pem> curl https://graph.microsoft.com/v1.0/users"
)]
struct Arguments {
    /// Port for TLS and plain HTTP by host name; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    https_port: u16,
    /// Port of the CONNECT proxy; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    proxy_port: u16,
    /// Port of the control surface; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    control_port: u16,
    /// Where to write the certificate authority (PEM); a new file in the temporary folder when absent.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Microsoft's schema to check every Graph exchange against.
    #[arg(long, env = "LATCHKEY_GRAPH_OPENAPI")]
    openapi: Option<PathBuf>,
    /// Milliseconds added to every token and Graph exchange.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    round_trip: u64,
    /// Milliseconds for which a new object is not found.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    create_lag: u64,
    /// Milliseconds for which a removed role still counts.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    role_removal_lag: u64,
    /// Milliseconds for which a new user cannot be given a pass.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    tap_lag: u64,
    /// Milliseconds for which an enabled account is still refused at sign-in.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    sign_in_lag: u64,
    /// Milliseconds by which reads lag behind.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    read_lag: u64,
    /// Throttle as Graph publishes it.
    #[arg(long)]
    throttling: bool,
    /// Neither log nor check exchanges: for loads and measurements.
    #[arg(long)]
    lean: bool,
    /// Let only apps with User Administrator set passwords, as the documentation says.
    #[arg(long)]
    strict_password_rule: bool,
    /// How far simulated time is ahead of the real one.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_offset: i64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let running = Simulation::start(Settings {
        https_port: arguments.https_port,
        proxy_port: arguments.proxy_port,
        control_port: arguments.control_port,
        openapi: arguments.openapi,
        standing_at: None,
        knobs: Knobs {
            round_trip_ms: arguments.round_trip,
            create_lag_ms: arguments.create_lag,
            role_removal_lag_ms: arguments.role_removal_lag,
            tap_lag_ms: arguments.tap_lag,
            sign_in_lag_ms: arguments.sign_in_lag,
            read_lag_ms: arguments.read_lag,
            throttling: arguments.throttling,
            journal: !arguments.lean,
            check_schema: !arguments.lean,
            strict_password_rule: arguments.strict_password_rule,
            clock_offset_seconds: arguments.clock_offset,
            ..Knobs::default()
        },
        tenants: Vec::new(),
    })
    .await
    .context("starting to serve; another program may have the port")?;
    let ca =
        arguments.ca.unwrap_or_else(|| std::env::temp_dir().join(format!("entra-sim-{}-ca.pem", std::process::id())));
    std::fs::write(&ca, running.sim.authority.pem())
        .with_context(|| format!("writing the certificate authority to {}", ca.display()))?;
    if running.sim.schema.place().is_none() {
        writeln!(
            std::io::stderr(),
            "entra-sim: Microsoft's schema was not found, so Graph exchanges are not checked against it; permissions \
             come from a built-in table. Name the file with --openapi or {}.",
            entra_sim::schema::PLACE_VARIABLE
        )?;
    }
    writeln!(std::io::stdout(), "{}", running.description(&ca))?;
    std::io::stdout().flush()?;
    wait_for_end().await;
    // A certificate authority whose key is gone is of no use to anybody.
    let _ = std::fs::remove_file(&ca);
    Ok(())
}

/// Returns at Ctrl-C or, on Unix, when asked to terminate.
async fn wait_for_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
        tokio::select! {
            _ = interrupted => {}
            () = async {
                match &mut terminated {
                    Some(signal) => { signal.recv().await; }
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = interrupted.await;
    }
}
