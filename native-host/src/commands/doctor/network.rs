//! The way to Microsoft: name, proxy, certificates, and whose clock is right.

use std::time::Duration;

use latchkey_protocol::cloud::Cloud;

use super::Finding;
use crate::configuration::Network;

/// Farther from Microsoft's clock than this, in milliseconds, tokens and leases go wrong.
const CLOCK_TOLERANCE: i64 = 2 * 60 * 1000;

/// Asks the sign-in service and Graph of a cloud for anything at all; the second value tells whether both answered.
pub(super) async fn reach(cloud: Cloud, network: &Network, now: i64) -> (Vec<Finding>, bool) {
    let client = match client(network) {
        Ok(client) => client,
        Err(finding) => return (vec![finding], false),
    };
    let hosts = cloud.hosts();
    let (mut findings, mut date) = (Vec::new(), None);
    // Neither needs a token; a refusal is an answer too.
    for (host, path) in [(hosts.authority, "/common/discovery/instance"), (hosts.graph, "/v1.0/organization")] {
        match client.get(format!("{host}{path}")).send().await {
            Ok(answer) => {
                findings.push(Finding::good("network", format!("{host} answers")));
                date = answer.headers().get("date").and_then(|value| value.to_str().ok()).and_then(milliseconds);
            }
            Err(error) => {
                findings.push(unreachable(host, &error, network));
                return (findings, false);
            }
        }
    }
    findings.extend(date.map(|theirs| clock(theirs, now)));
    (findings, true)
}

/// The time in a `Date` header, Unix time in milliseconds.
fn milliseconds(date: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(date).ok().map(|time| time.timestamp().as_millisecond())
}

fn client(network: &Network) -> Result<reqwest::Client, Finding> {
    const LINK: &str = "network";
    let mut builder = reqwest::Client::builder()
        .timeout(Duration::from_secs(15))
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none());
    if let Some(proxy) = &network.proxy {
        let proxy = reqwest::Proxy::all(proxy.as_str());
        builder = builder.proxy(proxy.map_err(|error| {
            Finding::broken(LINK, format!("The proxy in config.toml cannot be used ({error})."), "Correct it there.")
        })?);
    }
    if let Some(file) = &network.extra_root_certificate {
        let certificates = std::fs::read(file)
            .map_err(|error| error.to_string())
            .and_then(|pem| reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string()));
        let certificates = certificates.map_err(|error| {
            Finding::broken(
                LINK,
                format!("{} cannot be used as a certificate ({error}).", file.display()),
                "Correct extra_root_certificate in config.toml: a PEM file.",
            )
        })?;
        builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    builder.build().map_err(|error| {
        Finding::broken(
            LINK,
            format!("No HTTPS is possible ({error})."),
            "Install the system's certificate store (ca-certificates).",
        )
    })
}

/// What kept the request from being answered, by the innermost cause that says it.
fn unreachable(address: &str, error: &reqwest::Error, network: &Network) -> Finding {
    let mut causes = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let innermost = causes.last().cloned().unwrap_or_default();
    let all = causes.join(" ").to_lowercase();
    let by_proxy = network.proxy.is_some() || std::env::var_os("HTTPS_PROXY").is_some();
    let next_step = if all.contains("certificate") || all.contains("unknownissuer") {
        "If your network inspects HTTPS, add its certificate authority to the system's store, or name its PEM file in \
         config.toml: [network], extra_root_certificate."
    } else if all.contains("dns") || all.contains("lookup") || all.contains("resolve") {
        "Check the name service; where only a proxy reaches the internet, set HTTPS_PROXY or [network] proxy in config.toml."
    } else if by_proxy {
        "Check that the proxy runs and lets CONNECT to port 443 through."
    } else {
        "Check the connection and the firewall: HTTPS to this address must be let through."
    };
    Finding::broken("network", format!("{address} cannot be reached ({innermost})."), next_step)
}

fn clock(theirs: i64, ours: i64) -> Finding {
    const LINK: &str = "clock";
    let off = ours - theirs;
    if off.abs() <= CLOCK_TOLERANCE {
        return Finding::good(LINK, "agrees with Microsoft's");
    }
    let direction = if off > 0 { "ahead of" } else { "behind" };
    Finding::broken(
        LINK,
        format!("This machine's clock is {} {direction} Microsoft's.", crate::commands::duration(off.abs())),
        "Switch on automatic time: leases would end at the wrong moment.",
    )
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_date_header_is_read() {
        assert_eq!(milliseconds("Thu, 13 Feb 2025 10:17:06 GMT"), Some(1_739_441_826_000));
        assert_eq!(milliseconds("now"), None);
    }

    #[test]
    fn a_clock_is_wrong_in_both_directions() {
        assert_eq!(clock(0, 60_000).state, State::Good);
        assert!(clock(0, 3_600_000).found.contains("1 h ahead of"));
        assert!(clock(3_600_000, 0).found.contains("1 h behind"));
    }
}
