//! Hands letters to a relay by SMTP (RFC 5321, 6409). Never speaks to another machine without TLS; never reuses a
//! connection that was left in the middle of something.
//!
//! lettre's own pool puts a connection back when a send is given up half-way (time-out), and its next user reads the
//! answers meant for the last one; so the connections are lettre's and the pool is ours.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{self, Credentials};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::explain::{Relay, Step, explain, network, no_starttls, no_such_host, presentable, timed_out};
use super::letter::Letter;
use super::mailer::{Receipt, SendError};
use super::settings::{Mechanism, Security, Transport};
use super::wire::LineByLine;
use crate::secret::Secret;

/// For one address; others are tried after it.
const CONNECT: Duration = Duration::from_secs(5);
/// For everything until the letter is taken. Two relays and a margin fit into the outbox's lease of a minute.
const PATIENCE: Duration = Duration::from_secs(25);
/// Relays commonly hang up after some letters, or some minutes of silence.
const LETTERS_A_CONNECTION: u32 = 20;
const IDLE: Duration = Duration::from_secs(20);
const KEPT: usize = 8;

/// One relay and the connections to it that wait for the next letter.
pub(super) struct Smtp {
    host: String,
    port: u16,
    security: Security,
    sign_in: Option<(String, Secret<String>)>,
    mechanisms: Vec<authentication::Mechanism>,
    /// The password in every form that goes over the wire, because a relay may quote what it did not like.
    hidden: Vec<Secret<String>>,
    tls: TlsParameters,
    hello: ClientId,
    idle: Mutex<Vec<Kept>>,
}

struct Kept {
    connection: AsyncSmtpConnection,
    since: Instant,
    letters: u32,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Smtp {
    /// `domain` is what we call ourselves (EHLO).
    pub(super) fn new(transport: &Transport, domain: &str) -> Result<Self, String> {
        let Transport::Smtp { host, port, security, user, password, mechanism, ca } = transport else {
            return Err("not an SMTP relay".to_owned());
        };
        let mut tls = TlsParameters::builder(host.clone());
        if let Some(file) = ca {
            let shown = file.display();
            let pem =
                std::fs::read(file).map_err(|error| format!("mail.ca {shown} cannot be read: {error}"))?;
            let certificates =
                Certificate::from_pem(&pem).map_err(|error| format!("mail.ca {shown}: {error}"))?;
            tls = tls.add_root_certificate(certificates);
        }
        let sign_in = user.clone().zip(password.clone());
        Ok(Self {
            hidden: sign_in.as_ref().map(on_the_wire).unwrap_or_default(),
            host: host.clone(),
            port: *port,
            security: *security,
            sign_in,
            mechanisms: match mechanism {
                None => vec![authentication::Mechanism::Plain, authentication::Mechanism::Login],
                Some(Mechanism::Plain) => vec![authentication::Mechanism::Plain],
                Some(Mechanism::Login) => vec![authentication::Mechanism::Login],
                Some(Mechanism::XOAuth2) => vec![authentication::Mechanism::Xoauth2],
            },
            tls: tls.build().map_err(|error| format!("TLS for {host} cannot be prepared: {error}"))?,
            hello: ClientId::Domain(domain.to_owned()),
            idle: Mutex::default(),
        })
    }

    pub(super) async fn send(
        &self,
        letter: &Letter,
        envelope: &Envelope,
        bytes: &[u8],
    ) -> Result<Receipt, SendError> {
        // A time-out drops the connection with the future, in whatever state it is.
        let outcome = match timeout(PATIENCE, self.deliver(envelope, bytes)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::Temporary(timed_out(self.relay()))),
        };
        let clean = |words: &str| presentable(words, Some(letter), &self.hidden);
        match outcome {
            Ok(said) => {
                Ok(Receipt { way: format!("{}:{}", self.host, self.port), said: clean(&said), first: None })
            }
            Err(SendError::Temporary(words)) => Err(SendError::Temporary(clean(&words))),
            Err(SendError::Permanent(words)) => Err(SendError::Permanent(clean(&words))),
        }
    }

    async fn deliver(&self, envelope: &Envelope, bytes: &[u8]) -> Result<String, SendError> {
        if let Some(mut kept) = self.take().await {
            match kept.connection.send(envelope, bytes).await {
                // 421: the relay closes the connection and took nothing; that was about the connection.
                Err(error) if error.status().is_some_and(|code| code.to_string() == "421") => {}
                done => return self.done(done, kept),
            }
        }
        let connection = self.connect().await?;
        let mut kept = Kept { connection, since: Instant::now(), letters: 0 };
        let done = kept.connection.send(envelope, bytes).await;
        self.done(done, kept)
    }

    fn done(
        &self,
        done: Result<lettre::transport::smtp::response::Response, lettre::transport::smtp::Error>,
        mut kept: Kept,
    ) -> Result<String, SendError> {
        let response = done.map_err(|error| explain(&error, Step::Deliver, self.relay()))?;
        kept.letters += 1;
        if kept.letters < LETTERS_A_CONNECTION && !kept.connection.has_broken() {
            kept.since = Instant::now();
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT {
                idle.push(kept);
            }
        }
        let words: Vec<&str> = response.message().collect();
        Ok(format!("{} {}", response.code(), words.join(" ")))
    }

    /// A connection that still answers.
    async fn take(&self) -> Option<Kept> {
        loop {
            let mut kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if kept.since.elapsed() < IDLE && kept.connection.test_connected().await {
                return Some(kept);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let relay = self.relay();
        let addresses = self.addresses().await?;
        let explained = |step| move |error: lettre::transport::smtp::Error| explain(&error, step, relay);
        let mut connection = match self.security {
            Security::Tls => {
                let tls = Some(self.tls.clone());
                AsyncSmtpConnection::connect_tokio1(&addresses[..], Some(CONNECT), &self.hello, tls, None)
                    .await
                    .map_err(explained(Step::Connect))?
            }
            Security::StartTls | Security::Plain => {
                let stream = Box::new(LineByLine::new(self.tcp(&addresses).await?));
                AsyncSmtpConnection::connect_with_transport(stream, &self.hello)
                    .await
                    .map_err(explained(Step::Connect))?
            }
        };
        if self.security == Security::StartTls {
            if !connection.can_starttls() {
                connection.abort().await;
                return Err(no_starttls(relay));
            }
            connection.starttls(self.tls.clone(), &self.hello).await.map_err(explained(Step::Encrypt))?;
            if !connection.is_encrypted() {
                return Err(no_starttls(relay));
            }
        }
        if let Some((user, secret)) = &self.sign_in {
            let credentials = Credentials::new(user.clone(), secret.expose().clone());
            if let Err(error) = connection.auth(&self.mechanisms, &credentials).await {
                connection.abort().await;
                return Err(explain(&error, Step::SignIn, relay));
            }
        }
        Ok(connection)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, SendError> {
        let relay = self.relay();
        let found = lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| SendError::Temporary(no_such_host(&error, relay)))?;
        // "localhost" is a name like others; what it means here decides whether we may speak in the clear.
        let plain = self.security == Security::Plain;
        let addresses: Vec<_> = found.filter(|address| !plain || address.ip().is_loopback()).collect();
        if addresses.is_empty() {
            let error = io::Error::new(io::ErrorKind::NotFound, "no usable address");
            return Err(SendError::Temporary(no_such_host(&error, relay)));
        }
        Ok(addresses)
    }

    async fn tcp(&self, addresses: &[SocketAddr]) -> Result<TcpStream, SendError> {
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for address in addresses {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // The dot that ends a letter would wait 40 ms for the relay to acknowledge what came before it.
                    // Where the system refuses, letters are late, not lost.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(SendError::Temporary(network(&last, self.relay())))
    }

    /// Says good-bye on all waiting connections.
    pub(super) async fn rest(&self) {
        let kept = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for mut kept in kept {
            // A relay that does not answer QUIT is left alone.
            drop(timeout(Duration::from_secs(1), kept.connection.abort()).await);
        }
    }

    fn relay(&self) -> Relay<'_> {
        Relay {
            host: &self.host,
            port: self.port,
            security: self.security,
            signed_in: self.sign_in.is_some(),
        }
    }
}

fn on_the_wire((user, secret): &(String, Secret<String>)) -> Vec<Secret<String>> {
    let secret = secret.expose();
    let plain = Zeroizing::new(format!("\0{user}\0{secret}"));
    let token = Zeroizing::new(format!("user={user}\x01auth=Bearer {secret}\x01\x01"));
    let encoded = [secret, &*plain, &*token].map(|text| Secret::new(STANDARD.encode(text)));
    std::iter::once(Secret::new(secret.clone())).chain(encoded).collect()
}
