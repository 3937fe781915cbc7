//! `cargo xtask demo`: the main job on one machine, against a simulated customer 'Contoso'. With a display a person
//! clicks; without one, or with `--auto`, the click is played. Ends with a timeline, screenshots and a report.

use std::{fs, path::Path};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::{
    command::execute,
    lab::{self, Build, Entra},
    setup,
};

#[derive(Args)]
pub struct Options {
    /// Play the click even where there is a display
    #[arg(long)]
    auto: bool,
    /// What signs the account in
    #[arg(long, value_enum, default_value_t = Credential::Pass)]
    credential: Credential,
}

#[derive(Clone, Copy, ValueEnum)]
enum Credential {
    /// A passkey: asks for its PIN once
    Passkey,
    /// A Temporary Access Pass
    Pass,
    /// A password and a one-time code of an OATH token (beta)
    PasswordTotp,
    /// A password: the tenant has no passes
    Password,
}

impl Credential {
    const fn name(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Pass => "pass",
            Self::PasswordTotp => "password-totp",
            Self::Password => "password",
        }
    }
}

pub fn run(workspace: &Path, options: &Options) -> anyhow::Result<()> {
    setup::everything(workspace)?;
    lab::build_programs(Build::Shipped)?;
    let extensions = crate::build_extensions(workspace)?;
    let chrome = extensions.first().context("no extension was built")?;
    let folder = lab::fresh_folder(workspace, "demo")?;
    let home = lab::fresh_folder(workspace, "demo-home")?;
    let auto = options.auto || (std::env::var_os("DISPLAY").is_none() && std::env::var_os("WAYLAND_DISPLAY").is_none());

    eprintln!("starting the simulated Entra with the customer Contoso");
    let entra = Entra::start(workspace, &[])?;
    execute(
        lab::in_session(&home, "node", &["demo.mjs"])?
            .current_dir(workspace.join("tests/browser"))
            .env("ENTRA_DETAILS", entra.details.to_string())
            .env("LATCHKEY", Build::Shipped.latchkey(workspace))
            .env("LATCHKEY_EXTENSION", chrome)
            .env("DEMO_FOLDER", &folder)
            .env("DEMO_CREDENTIAL", options.credential.name())
            .env("DEMO_AUTO", if auto { "1" } else { "" }),
    )?;
    print_timeline(&folder)
}

fn print_timeline(folder: &Path) -> anyhow::Result<()> {
    let report: Value = serde_json::from_str(&fs::read_to_string(folder.join("report.json"))?)?;
    println!("\n{:>8}  step", "ms");
    for step in report["steps"].as_array().into_iter().flatten() {
        println!("{:>8}  {}", step["ms"].as_u64().unwrap_or_default(), step["name"].as_str().unwrap_or_default());
    }
    println!("\nsigned in as {} with {}", report["signed_in_as"].as_str().unwrap_or("nobody"), report["roles"]);
    for moment in ["before", "during", "after"] {
        println!("account {moment}: {}", report["account"][moment]);
    }
    println!("\nscreenshots and report: {}", folder.display());
    Ok(())
}
