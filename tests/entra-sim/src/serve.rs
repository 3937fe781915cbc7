//! Which host answers what.

/// The host a request was really for, as a request extension: from the TLS server name or the `Host` header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestedHost {
    /// Lower case, without a port.
    pub host: String,
    /// Port as the client named it.
    pub port: Option<u16>,
    /// Whether the client spoke TLS.
    pub secure: bool,
}
