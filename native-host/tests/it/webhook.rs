//! The receiver that the configuration names: told at once, signed, kept on disk while it is away, told in the end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use serde_json::Value;

use crate::lab::{FOR_EVER, Lab};

/// How the receiver is.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// It takes what it is told.
    Well,
    /// It answers, and takes nothing.
    Overloaded,
    /// It closes the connection without a word.
    Away,
}

/// A SIEM on this machine.
struct Receiver {
    url: String,
    mood: Arc<Mutex<Mood>>,
    told: mpsc::Receiver<Told>,
}

/// What was sent to it, taken or not.
struct Told {
    headers: Vec<(String, String)>,
    body: String,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/latchkey", listener.local_addr().unwrap());
        let mood = Arc::new(Mutex::new(Mood::Well));
        let (tell, told) = mpsc::channel();
        let now = Arc::clone(&mood);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mood = *now.lock().unwrap();
                let status = match mood {
                    Mood::Away => continue,
                    Mood::Overloaded => "503 Service Unavailable",
                    Mood::Well => "204 No Content",
                };
                // Whoever sends half a request and goes is nobody's loss here: it is sent again.
                let Some((told, mut stream)) = read(stream) else { continue };
                if tell.send(told).is_err() {
                    return;
                }
                let _ = stream.write_all(
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes(),
                );
            }
        });
        Self { url, mood, told }
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The next thing that it is told, while `nudge` is done again and again.
    fn hears(&self, nudge: impl Fn()) -> Told {
        let began = Instant::now();
        loop {
            if let Ok(told) = self.told.try_recv() {
                return told;
            }
            assert!(began.elapsed() < FOR_EVER, "nobody tells the receiver");
            nudge();
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// One request.
fn read(stream: TcpStream) -> Option<(Told, TcpStream)> {
    let mut stream = BufReader::new(stream);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.push((name.to_lowercase(), value.to_owned()));
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((Told { headers, body: String::from_utf8(body).ok()? }, stream.into_inner()))
}

impl Told {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no {name}: {:?}", self.headers), |(_, value)| value)
    }

    fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// As every library for Standard Webhooks does it.
    fn assert_signed_by(&self, secret: &str) {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        mac.update(format!("{id}.{at}.{}", self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert!(self.header("webhook-signature").split(' ').any(|signature| signature == expected));
    }
}

#[test]
fn the_receiver_hears_of_each_grant_and_end_also_after_it_was_away() {
    let lab = Lab::new();
    let contoso = lab.tenant("Contoso");
    lab.add(&contoso, &[]).succeeds();
    let none = lab.latchkey(&["webhook", "status"]).succeeds();
    assert!(none.out.contains("No receiver is configured"), "{}", none.out);

    let receiver = Receiver::start();
    let set = |key: &str, value: &str| lab.latchkey(&["config", "set", key, value]).run();
    assert!(set("webhook.url", &receiver.url).status.success());
    assert!(set("webhook.events", r#"["lease_granted", "end_verified"]"#).status.success());
    let refused = set("webhook.events", r#"["lease_grunted"]"#);
    assert!(!refused.status.success() && refused.err.contains("There is no such event"), "{}", refused.err);
    let refused = set("webhook.url", "http://siem.example/in");
    assert!(!refused.status.success() && refused.err.contains("https"), "{}", refused.err);
    let doctor = lab.latchkey(&["doctor", "--offline"]).run();
    assert!(doctor.out.contains("It has no secret to sign with"), "{}", doctor.out);

    let secret = lab.latchkey(&["--json", "webhook", "secret"]).succeeds().document;
    let secret = secret["secret"].as_str().unwrap();
    assert!(!lab.latchkey(&["webhook", "secret"]).run().status.success(), "it is shown once");
    lab.latchkey(&["webhook", "test"]).succeeds();
    receiver.hears(|| {}).assert_signed_by(secret);

    // Right after the command, without any sweep. The nudge is for a machine on which the command gave up waiting.
    lab.latchkey(&["start", "Contoso", "--reason", "INC-7"]).succeeds();
    let granted = receiver.hears(|| {
        lab.latchkey(&["end", "nowhere"]).run();
    });
    granted.assert_signed_by(secret);
    let event = granted.event();
    assert_eq!((&event["type"], &event["data"]["lease"]["reason"]), (&"lease_granted".into(), &"INC-7".into()));
    let audit = lab.latchkey(&["--json", "audit", "--event", "lease_granted"]).succeeds().document;
    assert_eq!(event["data"]["hash"], audit[0]["hash"], "the receiver can prove later what the log said");

    // Ending does not wait for it, and what it is to be told is on disk: each command is another process.
    receiver.becomes(Mood::Away);
    lab.latchkey(&["end"]).succeeds();
    assert!(lab.account(&contoso).is_dormant());
    let status = || lab.latchkey(&["--json", "webhook", "status"]).run().document["status"].clone();
    let sweep = || {
        lab.latchkey(&["sweep", "--quiet"]).succeeds();
    };
    let began = Instant::now();
    while !status()["problem"].is_string() {
        assert!(began.elapsed() < FOR_EVER, "nobody tried to tell the receiver: {}", status());
        sweep();
    }
    assert_eq!(status()["waiting"], 1, "{}", status());
    let shown = lab.latchkey(&["webhook", "status"]).run();
    assert!(shown.status.code() == Some(1) && shown.out.contains("1 waiting"), "{}", shown.out);

    // The sweep tries again by itself; the receiver is there, but not well.
    receiver.becomes(Mood::Overloaded);
    let first = receiver.hears(sweep);
    let began = Instant::now();
    while !status()["problem"].as_str().is_some_and(|problem| problem.contains("503")) {
        assert!(began.elapsed() < FOR_EVER, "the refusal is not written down: {}", status());
        sweep();
    }
    receiver.becomes(Mood::Well);
    let last = receiver.hears(|| {
        lab.latchkey(&["webhook", "retry"]).run();
    });
    last.assert_signed_by(secret);
    assert_eq!(last.event()["type"], "end_verified");
    assert_eq!(first.header("webhook-id"), last.header("webhook-id"), "so that nobody counts it twice");
    let began = Instant::now();
    while status()["waiting"] != 0 {
        assert!(began.elapsed() < FOR_EVER, "{}", status());
        sweep();
    }
    lab.latchkey(&["webhook", "status"]).succeeds();

    assert!(!lab.machine.log().contains(secret));
    let database = std::fs::read(lab.machine.database()).unwrap();
    assert!(!database.windows(secret.len()).any(|window| window == secret.as_bytes()));
    lab.assert_nobody_is_active_without_a_lease();
}
