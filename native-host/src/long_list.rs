//! A list of tenants in messages that a browser takes.
//!
//! A browser drops whatever a host sends that is longer than 1 MiB, and closes the connection. Two thousand tenants come
//! near that, so a longer list goes out in parts: as many as are needed, and then the answer with the rest. Source: Chrome's
//! "Native messaging" documentation (message size).

use std::io::{self, Write};

use latchkey_protocol::{HostFrame, MAX_MESSAGE_BYTES, Reply, RequestId, TenantSummary};

/// Room for what stands around the tenants in a message.
const AROUND: usize = 1024;

/// The answer to a request, after the parts that go before it.
pub(crate) fn in_messages(id: RequestId, reply: Reply) -> Vec<HostFrame> {
    let Reply::Tenants { tenants, recognized } = reply else {
        return vec![HostFrame::Reply { id, reply }];
    };
    let mut parts = parts(tenants, MAX_MESSAGE_BYTES - AROUND);
    let rest = parts.pop().unwrap_or_default();
    let mut messages: Vec<_> = parts.into_iter().map(|tenants| HostFrame::Tenants { id, tenants }).collect();
    messages.push(HostFrame::Reply { id, reply: Reply::Tenants { tenants: rest, recognized } });
    messages
}

/// In their order, each part as long as `room` bytes of JSON allow. A tenant that is longer is a part of its own.
fn parts(tenants: Vec<TenantSummary>, room: usize) -> Vec<Vec<TenantSummary>> {
    let mut parts: Vec<Vec<TenantSummary>> = Vec::new();
    let mut left = 0;
    for tenant in tenants {
        let mut length = Length(1);
        // It has no map with odd keys, and counting cannot fail.
        let _ = serde_json::to_writer(&mut length, &tenant);
        match parts.last_mut() {
            Some(part) if length.0 <= left => part.push(tenant),
            _ => {
                left = room;
                parts.push(vec![tenant]);
            }
        }
        left = left.saturating_sub(length.0);
    }
    parts
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use latchkey_protocol::{CredentialKind, CredentialPlan, cloud::Cloud};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: usize, name: String) -> TenantSummary {
        TenantSummary {
            tenant_id: Uuid::from_u128(number as u128),
            name,
            domains: vec![format!("customer{number}.onmicrosoft.com")],
            cloud: Cloud::Global,
            user_name: format!("jit-alex@customer{number}.onmicrosoft.com"),
            roles: Vec::new(),
            minutes: 60,
            maximum_minutes: 240,
            credential: CredentialPlan {
                kind: CredentialKind::TemporaryAccessPass,
                because: None,
                unavailable: Vec::new(),
                otherwise: None,
                passkey_kept: false,
            },
            credential_expires: None,
            lease: None,
            last_used: None,
            profiles: Vec::new(),
            reason_required: false,
            ticket_pattern: None,
        }
    }

    #[test]
    fn no_tenants_are_one_answer() {
        let reply = Reply::Tenants { tenants: Vec::new(), recognized: None };
        assert_eq!(in_messages(RequestId(7), reply.clone()), [HostFrame::Reply { id: RequestId(7), reply }]);
    }

    #[test]
    fn ten_thousand_tenants_go_out_in_messages_that_a_browser_takes() {
        let tenants: Vec<_> = (0..10_000).map(|number| tenant(number, "\u{0}".repeat(number % 50))).collect();
        let recognized = Some(tenants[5_000].tenant_id);
        let messages = in_messages(RequestId(u32::MAX), Reply::Tenants { tenants: tenants.clone(), recognized });
        let mut listed = Vec::new();
        let (last, before) = messages.split_last().unwrap();
        for message in &messages {
            assert!(serde_json::to_vec(message).unwrap().len() <= MAX_MESSAGE_BYTES);
        }
        for message in before {
            let HostFrame::Tenants { id: RequestId(u32::MAX), tenants } = message else { panic!("{message:?}") };
            listed.extend(tenants.clone());
        }
        let HostFrame::Reply { reply: Reply::Tenants { tenants: rest, recognized: named }, .. } = last else {
            panic!("{last:?}")
        };
        listed.extend(rest.clone());
        assert_eq!((listed, *named), (tenants, recognized));
        assert!(before.len() > 1);
    }

    proptest! {
        #[test]
        fn parts_are_full_and_in_order(lengths in prop::collection::vec(0_usize..300, 0..40), room in 300_usize..3000) {
            let tenants: Vec<_> =
                lengths.iter().enumerate().map(|(number, length)| tenant(number, "n".repeat(*length))).collect();
            let parts = parts(tenants.clone(), room);
            let bytes = |part: &[TenantSummary]| -> usize {
                part.iter().map(|tenant| serde_json::to_vec(tenant).unwrap().len() + 1).sum()
            };
            for (part, next) in parts.iter().zip(parts.iter().skip(1)) {
                prop_assert!(bytes(part) + bytes(&next[..1]) > room);
            }
            for part in &parts {
                prop_assert!(part.len() == 1 || bytes(part) <= room);
            }
            prop_assert_eq!(parts.concat(), tenants);
        }
    }
}
