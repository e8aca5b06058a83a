//! Many devices, and more reports at once than the page can draw: it shows the last row and all before it, as many as it
//! has room for, and finds the others. `cargo xtask load` does it in full, as `IOTDA_LOAD_ROWS` says.

use super::{ROWS, properties};
use crate::device::{Connection, now, post, registry};
use crate::driver::{Browser, browser};
use iotda_platform::{Device, Platform, PlatformBuilder};
use std::time::Instant;

/// Those that report by themselves.
const REPORTERS: usize = 20;
/// Those that are registered beside them, and report through a gateway.
const CHILDREN: usize = 10_000;

fn platform(set_up: impl FnOnce(PlatformBuilder) -> PlatformBuilder) -> Platform {
    let mut registry = registry();
    for number in 0..REPORTERS {
        let device = Device::new(format!("reporter_{number:02}")).with_secret("secret");
        registry.add_device(device).expect("a new device");
    }
    for number in 0..CHILDREN {
        let device = Device::new(format!("sensor_{number:04}")).with_gateway("gateway");
        registry.add_device(device).expect("a new device");
    }
    let platform = Platform::builder().registry(registry).clock_stopped_at(now());
    set_up(platform).start().expect("a platform")
}

/// So many reports, by turns of all reporters: each has its number as its value.
fn burst(platform: &Platform, rows: usize) {
    let mut connection = Connection::open(platform);
    let requests: Vec<_> = (0..REPORTERS)
        .map(|number| {
            let device = format!("reporter_{number:02}");
            let path = format!("/v5/devices/{device}/sys/properties/report");
            (path, connection.token(&device))
        })
        .collect();
    let all: Vec<usize> = (0..rows).collect();
    for numbers in all.chunks(100) {
        let request = |number: &usize| {
            let (path, token) = &requests[number % REPORTERS];
            post(path, Some(token), properties("N", number).as_bytes())
        };
        connection.write(&numbers.iter().map(request).collect::<Vec<_>>().concat()).expect("they are written");
        for _ in numbers {
            assert_eq!(connection.read().expect("an answer").status, 200);
        }
    }
}

/// The page has its last rows, all of them, and none of another's.
fn shows_the_last(browser: &Browser, platform: &Platform) {
    let last = platform.requests().pop().expect("a request").number;
    browser.wait(&format!("document.querySelector('#rows tr')?.dataset.number === '{last}'"));
    assert_eq!(numbers(browser), (last - 199..=last).rev().collect::<Vec<_>>());
}

fn numbers(browser: &Browser) -> Vec<u64> {
    let numbers = browser.text("[...document.querySelectorAll('#rows tr')].map(it => it.dataset.number).join()");
    numbers.split(',').map(|number| number.parse().expect("a number")).collect()
}

#[test]
fn a_burst_of_many_devices_is_shown_to_its_last_row() {
    let Some(browser) = browser("burst", &[]) else { return };
    let full = std::env::var("IOTDA_LOAD_ROWS").ok().map(|rows| rows.parse().expect("a number"));
    let rows: usize = full.unwrap_or(3_000);
    let platform = platform(|platform| platform);
    browser.open_live(&platform);
    let mut connection = Connection::open(&platform);
    let gateway = connection.token("gateway");
    let children: Vec<usize> = (0..CHILDREN).collect();
    for children in children.chunks(50) {
        let child = |number: &usize| {
            let reported = properties("Temperature", number);
            reported.replacen('{', &format!("{{\"device_id\":\"sensor_{number:04}\","), 1)
        };
        let children: Vec<_> = children.iter().map(child).collect();
        let batch = format!("{{\"devices\":[{}]}}", children.join(","));
        assert_eq!(connection.batch("gateway", &gateway, &batch).status, 200);
    }
    let begin = Instant::now();
    burst(&platform, rows);
    let sent = begin.elapsed();
    shows_the_last(&browser, &platform);
    let shown = begin.elapsed();
    if full.is_some() {
        println!("page: {rows} rows came within {sent:?}, the last was shown after {shown:?}");
    }
    let counters = platform.counters();
    assert_eq!(counters.property_reports, rows as u64);
    let digits = |expression: &str| browser.text(expression).replace(',', "");
    let accepted = format!("{} accepted", counters.requests);
    browser
        .wait(&format!("document.querySelector('#counts').textContent.replaceAll(',', '').startsWith('{accepted}')"));
    assert_eq!(browser.text(ROWS), "200");
    assert!(browser.run("return document.querySelectorAll('#charts svg').length <= 12") == true);

    // All devices are counted, some are listed, and the search finds the others.
    let devices = CHILDREN + REPORTERS + registry().devices().count();
    assert_eq!(digits("document.querySelector('#devices-title').textContent"), format!("Devices ({devices})"));
    assert_eq!(browser.text("document.querySelectorAll('#devices li').length"), "50");
    browser.fill("#device-search", "sensor_0007");
    browser.wait("document.querySelectorAll('#devices li').length === 1");

    // What is no longer drawn is found by what it is.
    browser.run("document.querySelector('#filters').open = true");
    for number in [0, rows / 2, rows - 1] {
        browser.fill("#filter-form [name=q]", &format!("\"N\":{number}}}"));
        browser.wait(&format!("{ROWS} === 1"));
    }
    browser.fill("#filter-form [name=q]", "");
    browser.fill("#filter-form [name=device]", "reporter_07");
    // Its authentication was one of its requests.
    let of_it = (rows / REPORTERS + 1).min(200);
    browser.wait(&format!("{ROWS} === {of_it}"));
    let step = |pair: &[u64]| pair[0] - pair[1] == REPORTERS as u64;
    assert!(numbers(&browser)[..of_it - 1].windows(2).all(step));
}

/// A page that is hidden follows nothing. When it is seen again, records have made way that it has never had: it asks once
/// more, and misses nothing that it has room for.
#[test]
fn rows_that_made_way_for_later_ones_are_asked_for_again() {
    let Some(browser) = browser("refetch", &[]) else { return };
    let platform = platform(|platform| platform.max_records(250));
    browser.open_live(&platform);
    Connection::open(&platform).token("device");
    browser.wait(&format!("{ROWS} === 1"));
    let asked = "performance.getEntriesByType('resource').filter(it => it.name.includes('/log?')).length";
    assert_eq!(browser.text(asked), "2", "it has asked for what there was, and for its rows");
    let hidden = |hidden: bool| {
        browser.run(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});
             document.dispatchEvent(new Event('visibilitychange'))"
        ));
    };
    hidden(true);
    burst(&platform, 400);
    assert_eq!(browser.text(ROWS), "1");
    hidden(false);
    browser.wait(&format!("{asked} === 3"));
    shows_the_last(&browser, &platform);
    browser.wait("!document.querySelector('#older').hidden");
}
