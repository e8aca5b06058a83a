//! Answers outside the grammar, as this crate reads them and as curl does.
//!
//! What curl 7.88 made of each is in the table, and beside it what curl 8.14 reads otherwise; where there is a curl on
//! this machine, it is asked again. Where this crate reads something else, the table says so and why.

use iotda_http::fixtures::answers::{Outcome, Parts, ours};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

/// What is read otherwise than by curl.
enum Ours {
    AsCurl,
    /// The body that this crate takes instead, for this reason.
    Body(&'static str, #[allow(dead_code)] &'static str),
}
use Ours::{AsCurl, Body};

/// An answer, the body that curl takes from it (`None`: it takes no answer, or an error after the status), and ours.
struct Case(&'static str, Option<&'static str>, Ours);

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// All with status 200; `{}` is replaced by the usual first line.
const CASES: &[Case] = &[
    Case("{}Content-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}X: a\r\n b\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}: x\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}X(1) y: x\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}X\u{e9}: x\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}X: a\u{1}b\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}X: a\rb\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi+", Some("hi"), AsCurl),
    Case("{}Content-Length: 2\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}Transfer-Encoding: chunked\r\n\r\n2\nhi\n0\n\n", Some("hi"), AsCurl),
    Case("{}Transfer-Encoding: chunked\r\n\r\n2  \r\nhi\r\n0\nX: y\n\n", Some("hi"), AsCurl),
    Case("{}Transfer-Encoding: identity, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", Some("hi"), AsCurl),
    Case("{}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n2\r\nhi\r\n0\r\n\r\n", Some("hi"), AsCurl),
    Case("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", Some("hi"), AsCurl),
    Case("{}Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi+", Some("hi+"), AsCurl),
    Case("{}Content-Length: 2x\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}Content-Length: +2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}Content-Length: 2, 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("{}Content-Length: 18446744073709551616\r\n\r\nhi+", Some("hi+"), AsCurl),
    Case("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("HTTP/1.1 200 \u{e9}\u{1}\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    Case("http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi+", Some("hi"), AsCurl),
    // What curl refuses.
    Case("{}nonsense\r\nContent-Length: 2\r\n\r\nhi+", None, AsCurl),
    Case("{} X: a\r\nContent-Length: 2\r\n\r\nhi+", None, AsCurl),
    Case("{}X: a\0b\r\nContent-Length: 2\r\n\r\nhi+", None, AsCurl),
    Case("{}Content-Length: -1\r\n\r\nhi+", None, AsCurl),
    Case("{}Content-Length:\r\n\r\nhi+", None, AsCurl),
    Case("HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nhi+", None, AsCurl),
    Case("HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nhi+", None, AsCurl),
    Case("HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi+", None, AsCurl),
    Case("HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nhi+", None, AsCurl),
    // What this crate reads otherwise.
    Case(
        "{}Content-Length : 2\r\n\r\nhi+",
        Some("hi+"),
        Body("hi", "the server means a length: on a connection that it keeps there is no other end"),
    ),
    Case("{}Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi+", Some("hi+"), Body("hi", "the same")),
    Case(
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi+",
        None,
        Body("hi", "an empty line before it may come from the answer before (RFC 9112 section 2.2)"),
    ),
    Case("{}Content-Length:\r\n 2\r\n\r\nhi+", None, Body("hi", "a folded length is a length")),
];

/// What curl 8.14 reads otherwise: it refuses two, and takes four.
const SINCE_CURL_8: &[(&str, Option<&str>)] = &[
    ("{}Content-Length: +2\r\n\r\nhi+", None),
    ("HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nhi+", None),
    ("{} X: a\r\nContent-Length: 2\r\n\r\nhi+", Some("hi")),
    ("HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nhi+", Some("hi")),
    ("HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nhi+", Some("hi")),
    ("{}Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi+", Some("hi")),
];

impl Case {
    fn bytes(&self) -> Vec<u8> {
        self.0.replace("{}", OK).into_bytes()
    }

    fn expected(&self) -> Outcome {
        let body = match self.2 {
            AsCurl => self.1?,
            Body(body, _) => body,
        };
        Some((200, body.as_bytes().to_vec()))
    }
}

#[test]
fn answers_outside_the_grammar_are_read_as_the_table_says() {
    for case in CASES {
        for size in [1, 7, 4096] {
            assert_eq!(ours(&Parts::new(&case.bytes(), size)), case.expected(), "{:?}", case.0);
        }
    }
}

#[test]
fn heads_of_any_shape_up_to_64_kb() {
    for (fields, taken) in [
        ("a: b\r\n".repeat(200), true),
        ("a: b\r\n".repeat(10_000), true),
        (format!("a: {}\r\n", "b".repeat(60_000)), true),
        (format!("a: {}\r\n", "b".repeat(70_000)), false),
        ("a: b\r\n".repeat(12_000), false),
    ] {
        let answer = format!("{OK}{fields}Content-Length: 2\r\n\r\nhi+");
        let expected = taken.then(|| (200, b"hi".to_vec()));
        assert_eq!(ours(&Parts::new(answer.as_bytes(), 4096)), expected, "{}", answer.len());
    }
}

#[test]
fn curl_reads_them_as_the_table_says() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no curl on this machine; the table has what curl 7.88 makes of each answer");
        return;
    }
    let differs = |case: &&Case| {
        let since = SINCE_CURL_8.iter().find(|other| other.0 == case.0).map(|other| other.1);
        let outcome = curls(case.bytes());
        let is = |body: Option<&str>| outcome == body.map(|body| (200, body.as_bytes().to_vec()));
        !is(case.1) && !since.is_some_and(is)
    };
    let other: Vec<&str> = CASES.iter().filter(differs).map(|case| case.0).collect();
    assert!(other.is_empty(), "curl reads these otherwise: {other:#?}");
}

/// What curl makes of it over HTTP, where the server then closes.
fn curls(answer: Vec<u8>) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        client.write_all(&answer).unwrap();
        let _ = client.shutdown(Shutdown::Write);
        let _ = client.read(&mut [0; 64]);
    });
    let output = Command::new("curl")
        .args([
            "--silent",
            "--disable",
            "--noproxy",
            "*",
            "--write-out",
            "|%{http_code}",
            &format!("http://{address}/"),
        ])
        .output()
        .unwrap();
    serving.join().unwrap();
    let end = output.stdout.len() - 4;
    let status: u16 = std::str::from_utf8(&output.stdout[end + 1..]).unwrap().parse().unwrap();
    output.status.success().then(|| (status, output.stdout[..end].to_vec()))
}
