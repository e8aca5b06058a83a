//! A page in the background: it follows nothing meanwhile, and shows what came when it is seen again. And a page for those
//! whom movement disturbs.

use super::{ROWS, hostile_platform};
use crate::device::Connection;
use crate::driver::browser;
use iotda_platform::Platform;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// How many may follow the events at a time.
const STREAMS: usize = 8;

/// A stream of events, if there is one left.
fn stream(platform: &Platform) -> Option<TcpStream> {
    let address = platform.inspection_url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "GET /events?after=0 HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it is written");
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).expect("a line");
    assert!(line.contains(" 200 ") || line.contains(" 503 "), "{line}");
    line.contains(" 200 ").then_some(stream)
}

/// So many streams; those that were just closed are soon free.
fn streams(platform: &Platform, number: usize) -> Vec<TcpStream> {
    (0..number).map(|_| (0..100_000).find_map(|_| stream(platform)).expect("a free stream")).collect()
}

#[test]
fn a_page_that_nobody_sees_takes_no_stream() {
    let Some(browser) = browser("hidden", &[]) else { return };
    let platform = hostile_platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    browser.look(1280, false);
    browser.open_live(&platform);
    let others = streams(&platform, STREAMS - 1);
    assert!(stream(&platform).is_none(), "the page has one");
    browser.run(
        "window.away = true;
         Object.defineProperty(document, 'hidden', { get: () => window.away });
         document.dispatchEvent(new Event('visibilitychange'))",
    );
    let eighth = streams(&platform, 1);
    connection.message("device", &token, b"meanwhile");
    drop((others, eighth));
    browser.run("window.away = false; document.dispatchEvent(new Event('visibilitychange'))");
    browser.wait(&format!("{ROWS} === 2"));
    connection.message("device", &token, b"now");
    browser.wait(&format!("{ROWS} === 3"));
    let _others = streams(&platform, STREAMS - 1);
    assert!(stream(&platform).is_none(), "the page has one again");
}

#[test]
fn nothing_moves_for_whom_movement_disturbs() {
    let Some(browser) = browser("still", &[]) else { return };
    let platform = hostile_platform();
    let moving = "[...document.querySelectorAll('*')].filter(it => getComputedStyle(it).transitionDuration !== '0s' \
        || getComputedStyle(it).animationName !== 'none').length";
    browser.look(1280, false);
    browser.open(platform.inspection_url());
    assert_ne!(browser.text(moving), "0", "without a wish, buttons change slowly");
    browser.without_motion();
    assert_eq!(browser.text(moving), "0");
}
