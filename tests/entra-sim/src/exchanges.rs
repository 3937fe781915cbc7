//! The ordered log of every token and Graph exchange, without secrets, and waiting for it to grow.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

/// Which endpoint was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/{tenant}/oauth2/v2.0/token`.
    Token,
    /// Graph.
    Graph,
}

/// One exchange, or one request inside a `$batch`.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// Number of the HTTP exchange, from 1, in order of arrival; requests in a batch bear their batch's number.
    pub number: u64,
    /// Arrival, milliseconds since the start.
    pub at_ms: u64,
    /// Which endpoint.
    pub endpoint: Endpoint,
    /// Directory id, when known.
    pub tenant: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Status answered; 0 when no answer was sent.
    pub status: u16,
    /// `error.code` of the answer.
    pub error: Option<String>,
    /// As the client sent it.
    pub client_request_id: Option<String>,
    /// As answered.
    pub request_id: String,
    /// A request inside a `$batch`.
    pub in_batch: bool,
    /// Whether the client named `ConsistencyLevel: eventual`.
    pub eventual: bool,
}

/// The log.
#[derive(Debug)]
pub struct ExchangeLog {
    entries: Mutex<Vec<Exchange>>,
    arrived: watch::Sender<u64>,
}

impl Default for ExchangeLog {
    fn default() -> Self {
        Self { entries: Mutex::new(Vec::new()), arrived: watch::Sender::new(0) }
    }
}

impl ExchangeLog {
    /// Gives an arriving HTTP exchange its number.
    pub fn arrive(&self) -> u64 {
        let mut number = 0;
        self.arrived.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        number
    }

    /// How many HTTP exchanges have arrived.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        *self.arrived.borrow()
    }

    /// Returns when at least `count` HTTP exchanges have arrived.
    pub async fn wait_for(&self, count: u64) {
        let mut watcher = self.arrived.subscribe();
        // The sender lives as long as the log, so this ends only by reaching the count.
        let _ = watcher.wait_for(|arrived| *arrived >= count).await;
    }

    /// Appends a finished exchange.
    pub fn record(&self, exchange: Exchange) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    }

    /// A copy of the log, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Exchange> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the entries; numbers go on.
    pub fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
