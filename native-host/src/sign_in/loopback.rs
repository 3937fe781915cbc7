//! The redirect address on this machine: a listener for one answer of one sign-in.
//!
//! Whoever connects may be anybody: a request without this sign-in's `state` is answered and forgotten, and the
//! listener goes on waiting. What the page shows is fixed; nothing of a request is written into it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use latchkey_protocol::{ErrorBody, ErrorCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::form_urlencoded;

/// How long a person may take to sign in.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a browser may take to say what it wants.
const ONE_REQUEST: Duration = Duration::from_secs(10);
/// Longest head of a request; codes are long.
const LARGEST_HEAD: usize = 32 * 1024;

/// A port of this machine that waits for one answer.
pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
}

/// The parameters that the redirect carried.
pub(super) struct Answer(HashMap<String, String>);

impl Answer {
    /// A parameter, or why it is not there.
    pub(super) fn need(&self, name: &str) -> Result<&str, ErrorBody> {
        if let Some(error) = self.0.get("error") {
            let description = self.0.get("error_description").map(String::as_str).unwrap_or_default();
            return Err(refusal(error, description));
        }
        self.0
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| super::refused(format!("Microsoft's answer lacks what was asked for ({name})."), ""))
    }
}

/// What a refusal in words of Microsoft means for the person.
pub(super) fn refusal(error: &str, description: &str) -> ErrorBody {
    // The first line; what follows are ids and a time.
    let said = description.split(" Trace ID:").next().unwrap_or_default().lines().next().unwrap_or_default().trim();
    let said = if said.is_empty() { error } else { said };
    let next_step = if said.contains("AADSTS65004") {
        "Nothing was changed. Run the command again when you want to consent."
    } else if said.contains("AADSTS90094") || said.contains("AADSTS65001") {
        "Ask an administrator of the tenant to consent to the application, or sign in as one."
    } else if said.contains("AADSTS50105") || said.contains("AADSTS53003") {
        "A policy of the tenant does not let this account sign in here: ask its administrator."
    } else {
        ""
    };
    super::refused(format!("Microsoft refused the sign-in: {said}"), next_step)
}

impl Loopback {
    /// Takes a free port of this machine, which only this machine can reach.
    pub(super) async fn open() -> Result<Self, ErrorBody> {
        let listener =
            TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.map_err(crate::failure::internal)?;
        let port = listener.local_addr().map_err(crate::failure::internal)?.port();
        Ok(Self { listener, port })
    }

    /// The address to register is `http://localhost`; Entra takes any port there.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Waits for the answer with this `state`; the browser is shown `done`, or that it did not work.
    pub(super) async fn answer(&self, state: &str, done: &str) -> Result<Answer, ErrorBody> {
        let waiting = async {
            loop {
                let Ok((stream, _)) = self.listener.accept().await else { continue };
                let taken = tokio::time::timeout(ONE_REQUEST, take(stream, state, done)).await;
                if let Ok(Some(answer)) = taken {
                    return answer;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| {
            ErrorBody::new(
                ErrorCode::SignInAbandoned,
                "Nobody finished signing in.",
                "Run the command again; '--no-browser' shows the address instead of opening a browser.",
            )
        })
    }
}

/// Reads one request and answers it. Nothing when it is not the one that is waited for.
async fn take(mut stream: TcpStream, state: &str, done: &str) -> Option<Answer> {
    let head = read_head(&mut stream).await?;
    let parameters = parameters(&head);
    let ours = parameters.as_ref().and_then(|found| found.get("state")).is_some_and(|found| found == state);
    let Some(parameters) = parameters.filter(|_| ours) else {
        respond(&mut stream, "404 Not Found", "There is nothing here.").await;
        return None;
    };
    if parameters.contains_key("error") {
        respond(&mut stream, "200 OK", "That did not work. The command line says why. You can close this window.")
            .await;
    } else {
        respond(&mut stream, "200 OK", &format!("{done} You can close this window.")).await;
    }
    Some(Answer(parameters))
}

/// The request up to the empty line.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut piece = [0_u8; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut piece).await.ok()?;
        if read == 0 || head.len() + read > LARGEST_HEAD {
            return None;
        }
        head.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(head).ok()
}

/// The query of `GET /?…`; nothing for anything else.
fn parameters(head: &str) -> Option<HashMap<String, String>> {
    let mut words = head.lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?')?;
    if method != "GET" || path != "/" {
        return None;
    }
    let mut found = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        // Twice the same parameter is nothing that Microsoft sends.
        if found.insert(name, value).is_some() {
            return None;
        }
    }
    Some(found)
}

async fn respond(stream: &mut TcpStream, status: &str, text: &str) {
    let body = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Latchkey</title>\
         <body style=\"font: 16px system-ui; margin: 4em\"><p>{text}</p></body></html>\n"
    );
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
         frame-ancestors 'none'\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A browser that went away has its answer already.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn ask(port: u16, target: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_the_answer_to_this_question_is_taken() {
        let loopback = Loopback::open().await.unwrap();
        let port = loopback.port;
        let browser = tokio::spawn(async move {
            for other in ["/favicon.ico", "/?code=stolen&state=other", "/?code=a&code=b&state=mine", "/x?state=mine"] {
                assert!(ask(port, other).await.starts_with("HTTP/1.1 404 "), "{other}");
            }
            ask(port, "/?code=one&state=mine&session_state=s").await
        });
        let answer = loopback.answer("mine", "Done.").await.unwrap();
        assert_eq!(answer.need("code").unwrap(), "one");
        let page = browser.await.unwrap();
        assert!(page.contains("Done. You can close this window.") && !page.contains("one&"), "{page}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_microsofts_words() {
        let loopback = Loopback::open().await.unwrap();
        let port = loopback.port;
        let target = "/?error=access_denied&error_description=AADSTS65004%3A+User+declined.+Trace+ID%3A+1&state=mine";
        let browser = tokio::spawn(async move { ask(port, target).await });
        let answer = loopback.answer("mine", "Done.").await.unwrap();
        let error = answer.need("code").unwrap_err();
        assert_eq!(error.code, ErrorCode::SignInRefused);
        assert!(error.message.ends_with("AADSTS65004: User declined."), "{}", error.message);
        assert!(browser.await.unwrap().contains("did not work"));
    }
}
