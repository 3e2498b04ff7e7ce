//! Letters through real SMTP servers: encryption, sign-in, refusals in words, second tries, the second relay.

mod smtp;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use linkgate::clock::{Clock, Timestamp};
use linkgate::identity::{EmailAddress, KeyEpoch, Keyring, MasterSecret};
use linkgate::mail::{
    Letter, Mailer, Mailers, Mechanism, Outbox, Receipt, SendError, Settings, Transport, seal,
};
use linkgate::random::Random;
use linkgate::secret::Secret;
use linkgate::store::{LetterState, MadeBy, NewLetter, NewLink, Settings as StoreSettings, Store};
use mail_parser::MessageParser;
use smtp::{Authority, Postfix, SmtpServer};
use tokio::sync::watch;

const USER: Option<(&str, &str)> = Some(("wiki", "hunter2-hunter2"));

fn letter() -> Letter {
    Letter {
        site: "wiki".into(),
        to: EmailAddress::parse("alice@example.com").unwrap(),
        subject: "Sign in to the wiki – grüße".into(),
        text: "Open https://wiki.example.com/.linkgate/verify?token=abc.def.ghi\n.\nCode: ABCD-EFGH\n".into(),
        html: "<p><a href=\"https://wiki.example.com/.linkgate/verify?token=abc.def.ghi\">Sign in</a></p>"
            .into(),
        message_id: "<0b5f7a52-1111-4222-8333-944444444444@example.com>".into(),
        created_at: Timestamp::from_seconds(1_790_000_000),
        link: Some("https://wiki.example.com/.linkgate/verify?token=abc.def.ghi".into()),
        code: Some("ABCD-EFGH".into()),
    }
}

fn way(url: &str, ca: Option<PathBuf>, user: Option<(&str, &str)>, how: Option<Mechanism>) -> Transport {
    let mut way = Transport::parse(url).unwrap();
    if let Some(ca) = ca {
        way = way.trust(ca).unwrap();
    }
    let (name, password) = user.unzip();
    way.sign_in(name.map(Into::into), password.map(|p| Secret::new(p.to_owned())), how).unwrap()
}

fn mailer(transport: Transport, fallback: Option<Transport>) -> Mailer {
    let from = "Wiki <login@example.com>".to_owned();
    Mailer::new(&Settings { from, reply_to: None, transport, fallback }).unwrap()
}

async fn send(transport: Transport) -> Result<Receipt, SendError> {
    mailer(transport, None).send(&letter()).await
}

#[track_caller]
fn temporary(outcome: Result<Receipt, SendError>, words: &[&str]) {
    match outcome {
        Err(SendError::Temporary(said)) => says(&said, words),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn permanent(outcome: Result<Receipt, SendError>, words: &[&str]) {
    match outcome {
        Err(SendError::Permanent(said)) => says(&said, words),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn says(said: &str, words: &[&str]) {
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in: {said}");
    assert!(!said.contains("hunter2") && !said.contains("abc.def"), "{said}");
}

#[tokio::test]
async fn a_letter_leaves_encrypted_and_signed_in() {
    let authority = Authority::new();
    for (mode, scheme) in [("starttls", "smtp"), ("tls", "smtps")] {
        for how in [None, Some(Mechanism::Plain), Some(Mechanism::Login)] {
            let server = SmtpServer::start(mode, &authority, USER, &[]);
            let url = format!("{scheme}://localhost:{}", server.port);
            let receipt = send(way(&url, Some(authority.ca()), USER, how)).await.unwrap();
            assert_eq!(receipt.said, "250 2.0.0 Ok: queued as TEST");
            let taken = server.letter();
            assert_eq!(taken["from"], "login@example.com");
            assert_eq!(taken["to"][0], "alice@example.com");
            assert_eq!((&taken["tls"], &taken["signed_in"]), (&true.into(), &true.into()), "{mode} {how:?}");
            let data = taken["data"].as_str().unwrap().to_owned();
            let read = MessageParser::default().parse(data.as_bytes()).unwrap();
            assert_eq!(read.subject(), Some("Sign in to the wiki – grüße"));
            assert!(
                read.body_text(0).unwrap().contains("ghi\n.\nCode")
                    || read.body_text(0).unwrap().contains("ghi\r\n.\r\nCode")
            );
        }
    }
}

#[tokio::test]
async fn letters_to_one_relay_share_a_connection() {
    let authority = Authority::new();
    let server = SmtpServer::start("starttls", &authority, USER, &[]);
    let url = format!("smtp://localhost:{}", server.port);
    let mailer = mailer(way(&url, Some(authority.ca()), USER, None), None);
    mailer.send(&letter()).await.unwrap();
    mailer.send(&letter()).await.unwrap();
    let first = server.letter();
    assert_eq!(first["peer_port"], server.letter()["peer_port"]);
    mailer.rest().await;
    mailer.send(&letter()).await.unwrap();
    assert_ne!(first["peer_port"], server.letter()["peer_port"]);
}

#[tokio::test]
async fn busy_now_is_taken_the_next_time() {
    let authority = Authority::new();
    let server = SmtpServer::start(
        "starttls",
        &authority,
        None,
        &["data=451 4.3.0 Try later", "rcpt=450 4.2.0 Greylisted"],
    );
    let mailer =
        mailer(way(&format!("smtp://localhost:{}", server.port), Some(authority.ca()), None, None), None);
    temporary(mailer.send(&letter()).await, &["450 4.2.0 Greylisted"]);
    temporary(mailer.send(&letter()).await, &["451 4.3.0 Try later"]);
    mailer.send(&letter()).await.unwrap();
    server.letter();
    assert!(server.is_empty());
}

#[tokio::test]
async fn a_refusal_is_final_and_in_the_servers_words_without_secrets() {
    let authority = Authority::new();
    let replies = [
        "rcpt=550 5.1.1 No such user here",
        "rcpt=554 5.7.1 <alice@example.com>: Relay access denied",
        "data=550 spam https://wiki.example.com/.linkgate/verify?token=abc.def.ghi ABCD-EFGH hunter2-hunter2",
    ];
    let server = SmtpServer::start("starttls", &authority, USER, &replies);
    let mailer =
        mailer(way(&format!("smtp://localhost:{}", server.port), Some(authority.ca()), USER, None), None);
    permanent(mailer.send(&letter()).await, &["550 5.1.1 No such user here"]);
    permanent(mailer.send(&letter()).await, &["relay denied", "this user may not", "554 5.7.1"]);
    let spam = mailer.send(&letter()).await;
    assert!(!format!("{spam:?}").contains("ABCD"));
    permanent(spam, &["550 spam", "***"]);
}

#[tokio::test]
async fn a_wrong_password_is_named_and_may_be_mended() {
    let authority = Authority::new();
    let server = SmtpServer::start("starttls", &authority, USER, &[]);
    let url = format!("smtp://localhost:{}", server.port);
    let wrong = Some(("wiki", "hunter2-wrong"));
    for how in [None, Some(Mechanism::Login)] {
        let sent = send(way(&url, Some(authority.ca()), wrong, how)).await;
        temporary(sent, &["refused the sign-in", "wrong user or password", "app password", "535"]);
    }
    temporary(send(way(&url, Some(authority.ca()), None, None)).await, &["wants a sign-in", "mail.user"]);
    let token = send(way(&url, Some(authority.ca()), USER, Some(Mechanism::XOAuth2))).await;
    temporary(token, &["no way to sign in", "mail.mechanism"]);
}

#[tokio::test]
async fn a_relay_without_encryption_gets_nothing() {
    let authority = Authority::new();
    let server = SmtpServer::start("plain", &authority, None, &[]);
    let sent =
        send(way(&format!("smtp://localhost:{}", server.port), Some(authority.ca()), None, None)).await;
    temporary(sent, &["STARTTLS not offered", "smtps://", "port 587"]);
    let sent =
        send(way(&format!("smtps://localhost:{}", server.port), Some(authority.ca()), None, None)).await;
    temporary(sent, &["does not speak TLS from the first byte", "use smtp://"]);
    assert!(server.is_empty());
    send(way(&format!("smtp+plain://localhost:{}", server.port), None, None, None)).await.unwrap();
    assert_eq!(server.letter()["tls"], false);
}

#[tokio::test]
async fn words_slipped_in_before_encryption_are_not_taken_for_the_relays() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://localhost:{}", listener.local_addr().unwrap().port());
    let attacker = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 4096];
        for say in
            ["220 hello\r\n", "250-localhost\r\n250 STARTTLS\r\n", "220 go\r\n250 AUTH PLAIN\r\n235 ok\r\n"]
        {
            stream.write_all(say.as_bytes()).await.unwrap();
            assert!(stream.read(&mut heard).await.unwrap() > 0);
        }
        // After the handshake's first bytes, an alert or the end: nothing that could be a letter or a password.
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
        rest.len()
    });
    temporary(send(way(&url, None, USER, None)).await, &["TLS with localhost"]);
    assert!(attacker.await.unwrap() < 64);
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_refused() {
    let authority = Authority::new();
    for (mode, scheme) in [("starttls", "smtp"), ("tls", "smtps")] {
        let server = SmtpServer::start(mode, &authority, USER, &[]);
        let url = format!("{scheme}://localhost:{}", server.port);
        temporary(send(way(&url, None, USER, None)).await, &["not trusted", "mail.ca"]);
        let stranger = Authority::new();
        temporary(send(way(&url, Some(stranger.ca()), USER, None)).await, &["not trusted"]);
        let other_name = format!("{scheme}://127.0.0.1:{}", server.port);
        temporary(send(way(&other_name, Some(authority.ca()), USER, None)).await, &["TLS name mismatch"]);
        assert!(server.is_empty());
    }
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_named_and_the_second_one_helps() {
    let authority = Authority::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = || way(&format!("smtp://localhost:{port}"), None, None, None);
    temporary(send(gone()).await, &["connection refused", &port.to_string()]);
    let server =
        SmtpServer::start("tls", &authority, USER, &["data=451 4.3.0 Busy", "rcpt=550 5.1.1 Unknown"]);
    let second = || way(&format!("smtps://localhost:{}", server.port), Some(authority.ca()), USER, None);
    let both = mailer(gone(), Some(second()));
    permanent(both.send(&letter()).await, &["connection refused", "fallback", "550 5.1.1 Unknown"]);
    temporary(both.send(&letter()).await, &["connection refused", "fallback", "451 4.3.0 Busy"]);
    let receipt = both.send(&letter()).await.unwrap();
    assert!(receipt.first.unwrap().contains("connection refused"));
    server.letter();
}

#[tokio::test]
async fn a_final_refusal_is_not_asked_again_elsewhere() {
    let authority = Authority::new();
    let first = SmtpServer::start("plain", &authority, None, &["rcpt=550 5.1.1 Unknown"]);
    let second = SmtpServer::start("plain", &authority, None, &[]);
    let plain =
        |server: &SmtpServer| way(&format!("smtp+plain://127.0.0.1:{}", server.port), None, None, None);
    permanent(mailer(plain(&first), Some(plain(&second))).send(&letter()).await, &["550 5.1.1"]);
    assert!(second.is_empty());
}

#[tokio::test]
async fn postfix_takes_a_letter_by_starttls_and_auth() {
    let authority = Authority::new();
    let server = Postfix::start(&authority, "wiki", "hunter2-hunter2");
    let url = format!("smtp://localhost:{}", server.port);
    let wrong = Some(("wiki", "hunter2-wrong"));
    temporary(send(way(&url, Some(authority.ca()), wrong, None)).await, &["wrong user or password", "535"]);
    temporary(send(way(&url, None, USER, None)).await, &["not trusted"]);
    for how in [None, Some(Mechanism::Login)] {
        let receipt = send(way(&url, Some(authority.ca()), USER, how)).await.unwrap();
        assert!(receipt.said.starts_with("250 2.0.0"), "{receipt:?}");
    }
    let read = server.letter();
    let read = MessageParser::default().parse(read.as_bytes()).unwrap();
    assert_eq!(read.subject(), Some("Sign in to the wiki – grüße"));
}

#[tokio::test]
async fn two_hundred_letters_asked_for_at_once_leave_by_a_few_connections() {
    let authority = Authority::new();
    let server = SmtpServer::start("starttls", &authority, USER, &["data=451 4.3.0 Busy, try the other"]);
    let url = format!("smtp://localhost:{}", server.port);
    let relay = || way(&url, Some(authority.ca()), USER, None);
    let mailers = Mailers::new([("wiki".to_owned(), mailer(relay(), Some(relay())))].into());
    let (clock, random) = (Clock::system(), Random::system());
    let home = tempfile::tempdir().unwrap();
    let store =
        Store::open(&StoreSettings::Sqlite { path: home.path().join("linkgate.sqlite") }, &clock, &random)
            .unwrap();
    let epoch = KeyEpoch { id: "0a0b0c0d".into(), created_at: clock.now(), accepted_until: None };
    let keys = Arc::new(Keyring::new(vec![MasterSecret::generate(&random)], &[epoch]).unwrap());
    let stop = watch::Sender::new(false);
    let outbox = Outbox::new(store.clone(), Arc::clone(&keys), mailers, clock.clone(), &random);
    let worker = tokio::spawn(outbox.run(stop.subscribe()));
    let expires_at = Some(clock.now() + Duration::from_mins(10));
    for number in 0..200 {
        let to = EmailAddress::parse(&format!("person{number}@example.com")).unwrap();
        let message_id = format!("<{}@example.com>", random.uuid());
        let letter = Letter { to: to.clone(), message_id, created_at: clock.now(), ..letter() };
        let link = NewLink {
            id: random.uuid(),
            token_hash: random.bytes(),
            site: "wiki".into(),
            email: to.clone(),
            nonce_hash: Some(random.bytes()),
            code_tag: None,
            code_seed: None,
            return_to: String::new(),
            expires_at,
            uses: Some(1),
            made_by: MadeBy::Asked,
            note: String::new(),
        };
        let sealed = seal(&letter, &keys.current()).unwrap();
        let new = NewLetter { id: random.uuid(), site: "wiki".into(), email: to, sealed, expires_at };
        store.put_link(link, Some(new)).await.unwrap();
    }
    let taken = tokio::task::spawn_blocking(move || {
        let letters: Vec<_> = (0..200).map(|_| server.letter()).collect();
        (letters, server)
    });
    let (letters, server) = taken.await.unwrap();
    let receivers: HashSet<_> = letters.iter().map(|letter| letter["to"][0].to_string()).collect();
    let connections: HashSet<_> = letters.iter().map(|letter| letter["peer_port"].to_string()).collect();
    assert_eq!(receivers.len(), 200);
    assert!(connections.len() <= 40, "{} connections", connections.len());
    stop.send_replace(true);
    worker.await.unwrap();
    assert!(server.is_empty());
    assert!(store.list_letters().await.unwrap().iter().all(|letter| letter.state == LetterState::Sent));
}
