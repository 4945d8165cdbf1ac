//! Attaching, and asking who is there: to servers of every dialect, to
//! servers that fail, and to what is no server at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod fake;

use std::time::{Duration, Instant};

use bytes::BytesMut;
use fake::{ATTACHED, Fake, Gone, LIMIT, Peer, SECRET, in_time};
use ptvsd_client::{AttachOptions, ConnectError, Scheme, attach, process_info};
use ptvsd_wire::handshake::{Hello, ProcessInfo, Reply, Request, encode_other_version};
use ptvsd_wire::{Dialect, Family};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a person reads, after a look whether the secret is in it.
fn said<T>(result: Result<T, ConnectError>) -> String {
    let Err(error) = result else {
        panic!("it succeeded");
    };
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
    error.to_string()
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[tokio::test]
async fn every_dialect_attaches_however_its_bytes_are_cut() {
    for dialect in Dialect::ALL {
        for chunk in [1, 3, 7, 4096] {
            let fake = Fake::new().await;
            let serve = async {
                let mut peer = fake.accept(dialect).await;
                peer.chunk = chunk;
                peer.take_attach().await;
                fake.answer_one_knock(dialect);
                peer
            };
            let (attached, mut peer) = in_time(async { tokio::join!(fake.attach(), serve) }).await;
            let (debuggee, _events) = attached.unwrap();
            assert_eq!(debuggee.dialect(), dialect);
            assert_eq!(debuggee.attached(), ATTACHED);
            assert!(!format!("{debuggee:?}").contains(SECRET));
            drop(debuggee);
            in_time(peer.lets_go()).await;
            assert_eq!(in_time(peer.sees_end()).await, Gone::InOrder);
        }
    }
}

#[tokio::test]
async fn options_go_with_the_attach() {
    let fake = Fake::new().await;
    let options = AttachOptions {
        redirect_output: true,
        django: true,
        ..AttachOptions::default()
    };
    let serve = async {
        let mut peer = fake.accept(Dialect::V8).await;
        peer.take_secret().await;
        peer.reply(&Reply::Authenticated(true), 1).await;
        let options = "RedirectOutput,DjangoDebugging".to_owned();
        peer.expect(&Request::Attach { options }, 2).await;
        peer.reply(&Reply::Attached(None), 2).await;
    };
    let (result, ()) =
        in_time(async { tokio::join!(attach(&fake.target, &options, LIMIT), serve) }).await;
    assert_says(&said(result), &["debugger attached already", "Detach it"]);
}

#[tokio::test]
async fn every_dialect_says_which_process_it_is() {
    for dialect in Dialect::ALL {
        for chunk in [1, 3, 7, 4096] {
            let info = ProcessInfo {
                process_id: 4711,
                executable: "/usr/bin/python".into(),
                user: "ute".into(),
                python: "CPython 3.6.15 (Linux 64-bit)".into(),
            };
            let fake = Fake::new().await;
            let serve = async {
                let mut peer = fake.accept(dialect).await;
                peer.chunk = chunk;
                peer.take_secret().await;
                peer.reply(&Reply::Authenticated(true), 1).await;
                peer.expect(&Request::Info, 2).await;
                peer.reply(&Reply::Info(info.clone()), 2).await;
                peer.sees_end().await
            };
            let (answer, gone) =
                in_time(async { tokio::join!(process_info(&fake.target, LIMIT), serve) }).await;
            assert_eq!(answer.unwrap(), (dialect, info));
            assert_eq!(gone, Gone::InOrder);
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_ends_in_order() {
    for dialect in Dialect::ALL {
        let fake = Fake::new().await;
        let serve = async {
            let mut peer = fake.accept(dialect).await;
            peer.take_secret().await;
            peer.reply(&Reply::Authenticated(false), 1).await;
            peer.sees_end().await
        };
        let (result, gone) = in_time(async { tokio::join!(fake.attach(), serve) }).await;
        assert_says(&said(result), &["refused the secret", "enable_attach"]);
        assert_eq!(gone, Gone::InOrder);
    }
}

#[tokio::test]
async fn a_server_with_a_debugger_is_told_and_ends_in_order() {
    for dialect in Dialect::ALL {
        let fake = Fake::new().await;
        let serve = async {
            let mut peer = fake.accept(dialect).await;
            peer.take_secret().await;
            peer.reply(&Reply::Authenticated(true), 1).await;
            let options = String::new();
            peer.expect(&Request::Attach { options }, 2).await;
            peer.reply(&Reply::Attached(None), 2).await;
            peer.sees_end().await
        };
        let (result, gone) = in_time(async { tokio::join!(fake.attach(), serve) }).await;
        assert_says(&said(result), &["attached already", "Detach it"]);
        assert_eq!(gone, Gone::InOrder);
    }
}

#[tokio::test]
async fn a_version_that_nobody_knows_is_answered_with_another_and_a_clean_end() {
    let json = br#"{"type":"event","seq":0,"event":"legacyRemoteConnected","body":{"debuggerName":"PTVSDBG","debuggerProtocolVersion":9}}"#;
    let mut json_greeting = format!("Content-Length: {}\r\n\r\n", json.len()).into_bytes();
    json_greeting.extend_from_slice(json);
    let mut binary_greeting = b"PTVSDBG".to_vec();
    binary_greeting.extend_from_slice(&1_i64.to_be_bytes());
    for (family, greeting, version) in [
        (Family::Binary, binary_greeting, "version 1"),
        (Family::Json, json_greeting, "version 9"),
    ] {
        let fake = Fake::new().await;
        let serve = async {
            let mut peer = fake.accept(Dialect::V8).await;
            peer.write(&greeting).await;
            let mut goodbye = BytesMut::new();
            encode_other_version(family, &mut goodbye);
            peer.expect_bytes(&goodbye).await;
            if family == Family::Json {
                peer.reply(&Reply::Authenticated(false), 0).await;
            }
            peer.stream.shutdown().await.unwrap();
            peer.sees_end().await
        };
        let (result, gone) = in_time(async { tokio::join!(fake.attach(), serve) }).await;
        assert_says(&said(result), &[version, "2.0 to 3.2"]);
        assert_eq!(gone, Gone::InOrder);
    }
}

#[tokio::test]
async fn what_is_no_such_server_is_named_and_the_way_on_with_it() {
    let dap = br#"{"type":"event","seq":1,"event":"output","body":{"output":"x"}}"#;
    let mut debugpy = format!("Content-Length: {}\r\n\r\n", dap.len()).into_bytes();
    debugpy.extend_from_slice(dap);
    for (first_words, parts) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], ["SSH server", "ssh -L"]),
        (
            b"HTTP/1.1 408 Request Timeout\r\n\r\n",
            ["web server", "Check the port"],
        ),
        (&[21, 3, 1, 0, 2, 2, 70], ["TLS", "tcps://"]),
        (
            b"220 mail.example.org ESMTP\r\n",
            ["\"220 mai", "Check the port"],
        ),
        (b"hi", ["\"hi\"", "Check the port"]),
        (b"SSH-", ["SSH server", "ssh -L"]),
        (
            &debugpy,
            ["Debug Adapter Protocol", "ordinary Python debugger"],
        ),
    ] {
        for chunk in [1, 3, 7, 4096] {
            let fake = Fake::new().await;
            let serve = async {
                let mut peer = fake.accept(Dialect::V8).await;
                for piece in first_words.chunks(chunk) {
                    if peer.stream.write_all(piece).await.is_err() {
                        // It has heard enough, and this is its reset.
                        return Gone::ByReset;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                if first_words.len() < 7 {
                    peer.stream.shutdown().await.unwrap();
                }
                peer.sees_end().await
            };
            let (result, gone) = in_time(async { tokio::join!(fake.attach(), serve) }).await;
            assert_says(&said(result), &parts);
            assert_eq!(gone, Gone::ByReset);
        }
    }
}

#[tokio::test]
async fn a_greeting_that_is_cut_is_no_foreign_server() {
    for dialect in [Dialect::V6, Dialect::V8] {
        for length in [0, 1, 6, 7, 10] {
            let fake = Fake::new().await;
            let serve = async {
                let mut peer = fake.accept(dialect).await;
                let mut greeting = BytesMut::new();
                ptvsd_wire::handshake::Hello::encode(dialect, &mut greeting);
                peer.write(&greeting[..length]).await;
                peer.stream.shutdown().await.unwrap();
                peer.sees_end().await
            };
            let (result, gone) = in_time(async { tokio::join!(fake.attach(), serve) }).await;
            assert_says(
                &said(result),
                &["closed the connection during the server's greeting"],
            );
            assert_eq!(gone, Gone::ByReset);
        }
    }
}

/// How far a server goes before it falls silent, or closes.
const STAGES: [(usize, &str); 3] = [
    (0, "the server's greeting"),
    (1, "checking the secret"),
    (2, "attaching"),
];

async fn go_as_far_as(peer: &mut Peer, stage: usize) {
    if stage > 0 {
        peer.take_secret().await;
    }
    if stage > 1 {
        peer.reply(&Reply::Authenticated(true), 1).await;
        let options = String::new();
        peer.expect(&Request::Attach { options }, 2).await;
    }
}

#[tokio::test]
async fn silence_at_any_stage_ends_within_the_limit_and_with_a_reset() {
    const SHORT: Duration = Duration::from_millis(400);
    for dialect in [Dialect::V2, Dialect::V8] {
        for (stage, name) in STAGES {
            let fake = Fake::new().await;
            let serve = async {
                let mut peer = fake.accept(dialect).await;
                go_as_far_as(&mut peer, stage).await;
                peer.sees_end().await
            };
            let begun = Instant::now();
            let options = AttachOptions::default();
            let (result, gone) =
                in_time(async { tokio::join!(attach(&fake.target, &options, SHORT), serve) }).await;
            assert!(begun.elapsed() < SHORT + Duration::from_secs(5));
            assert_says(&said(result), &[name, "took longer than 0.4 s", "program"]);
            assert_eq!(gone, Gone::ByReset);
        }
    }
}

#[tokio::test]
async fn a_server_that_closes_at_any_stage_is_told() {
    for dialect in [Dialect::V2, Dialect::V8] {
        for (stage, name) in STAGES {
            let fake = Fake::new().await;
            let serve = async {
                let mut peer = fake.accept(dialect).await;
                go_as_far_as(&mut peer, stage).await;
            };
            let (result, ()) = in_time(async { tokio::join!(fake.attach(), serve) }).await;
            assert_says(&said(result), &["closed the connection during", name]);
        }
    }
}

#[tokio::test]
async fn an_attach_that_nobody_waits_for_any_more_is_a_reset_to_the_server() {
    for dialect in [Dialect::V2, Dialect::V8] {
        for (stage, _) in STAGES {
            let fake = Fake::new().await;
            let target = fake.target.clone();
            let client = tokio::spawn(async move {
                let options = AttachOptions::default();
                attach(&target, &options, LIMIT).await.map(|_| ())
            });
            let mut peer = in_time(fake.accept(dialect)).await;
            in_time(go_as_far_as(&mut peer, stage)).await;
            client.abort();
            assert_eq!(in_time(peer.sees_end()).await, Gone::ByReset);
        }
    }
}

#[tokio::test]
async fn a_json_server_that_fails_is_quoted() {
    let fake = Fake::new().await;
    let serve = async {
        let mut peer = fake.accept(Dialect::V7).await;
        peer.take_secret().await;
        let traceback = "Traceback (most recent call last):\n  File \"x\"\nKeyError: 'y'\n";
        peer.reply(&Reply::Failed(traceback.into()), 1).await;
        peer.sees_end().await
    };
    let (result, gone) = in_time(async { tokio::join!(fake.attach(), serve) }).await;
    assert_says(&said(result), &["checking the secret: KeyError: 'y'"]);
    assert_eq!(gone, Gone::ByReset);
}

#[tokio::test]
async fn nobody_listens() {
    let fake = Fake::new().await;
    let target = fake.target.clone();
    drop(fake);
    let result = in_time(process_info(&target, LIMIT)).await;
    assert_says(&said(result), &["Nothing listens", "enable_attach"]);
}

#[tokio::test]
async fn a_server_without_tls_is_told_and_not_harmed_by_what_it_hears() {
    for dialect in [Dialect::V2, Dialect::V8] {
        // Each handshake has other random bytes; one in some hundreds has a
        // line end among them.
        for _ in 0..300 {
            let fake = Fake::new().await;
            let mut target = fake.target.clone();
            target.scheme = Scheme::Tcps;
            let serve = async {
                loop {
                    let mut peer = fake.accept(dialect).await;
                    let mut greeting = BytesMut::new();
                    Hello::encode(dialect, &mut greeting);
                    let _ = peer.stream.write_all(&greeting).await;
                    let mut heard = Vec::new();
                    let end = peer.stream.read_to_end(&mut heard).await;
                    // One with a line end is not sent: the next connection
                    // has another.
                    if !heard.is_empty() {
                        return (heard, end.map_err(|error| error.kind()));
                    }
                }
            };
            let asked = process_info(&target, LIMIT);
            let (result, (heard, end)) = in_time(async { tokio::join!(asked, serve) }).await;
            assert_says(&said(result), &["without TLS", "tcp://", "ssh -L"]);
            assert!(!heard.windows(2).any(|pair| pair == b"\r\n"), "{heard:?}");
            assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
        }
    }
}

#[tokio::test]
async fn a_server_that_waits_for_tls_is_told() {
    const SHORT: Duration = Duration::from_millis(400);
    // An alert, and the beginning of a greeting of TLS.
    for answer in [&[21, 3, 1, 0, 2, 2, 40][..], &[22, 3, 1, 0, 61, 2]] {
        let fake = Fake::new().await;
        let serve = async {
            let mut peer = fake.accept(Dialect::V8).await;
            let mut heard = [0; 11];
            peer.stream.read_exact(&mut heard).await.unwrap();
            // A record of TLS with a client's first words.
            assert_eq!(heard[..2], [22, 3]);
            assert_eq!(heard[5], 1);
            peer.write(answer).await;
            peer.sees_end().await
        };
        let asked = process_info(&fake.target, SHORT);
        let (result, gone) = in_time(async { tokio::join!(asked, serve) }).await;
        assert_says(&said(result), &["answered with TLS", "tcps://"]);
        assert_eq!(gone, Gone::ByReset);
    }
}
