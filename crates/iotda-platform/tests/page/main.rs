//! The page in a browser: what a person sees when devices report, and what pages of other origins can do, which is
//! nothing. Where there is no browser the tests say so and pass, unless `IOTDA_BROWSER_REQUIRED` is set.

mod burst;
#[path = "../over_the_wire/device.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod device;
mod driver;
mod foreign;
mod hidden;
mod reach;

use device::{Connection, now, registry};
use driver::browser;
use iotda_platform::{Device, Fault, Platform};

/// A name as long as one may be.
const LONG: &str = "a_device_whose_name_is_as_long_as_the_platform_lets_it_be_so_that_it_is_longer_than_any_column_of_the_page_is_wide_0123456789ab";

fn hostile_platform() -> Platform {
    let mut registry = registry();
    registry.add_device(Device::new(LONG).with_secret("secret")).expect("a new device");
    Platform::builder().registry(registry).clock_stopped_at(now()).start().expect("a platform")
}

fn properties(name: &str, value: impl std::fmt::Display) -> String {
    format!(r#"{{"services":[{{"service_id":"weather","properties":{{"{name}":{value}}}}}]}}"#)
}

const ROWS: &str = "document.querySelectorAll('#rows tr').length";

fn first_row(part: &str) -> String {
    format!("(document.querySelector('#rows tr td.{part}')?.textContent ?? '')")
}

#[test]
fn a_person_sees_what_arrives_filters_pauses_and_arms_a_fault() {
    let Some(browser) = browser("person", &[]) else { return };
    for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
        let name = format!("{width}-{}", if dark { "dark" } else { "light" });
        let platform = hostile_platform();
        browser.look(width, dark);
        browser.open_live(&platform);
        browser.wait("document.querySelector('#empty').textContent.includes('Nothing yet')");
        browser.picture(&format!("{name}-empty"));
        browser.run("window.sameDocument = true");

        // Reports come without a reload.
        let mut connection = Connection::open(&platform);
        let token = connection.token("device");
        let gateway = connection.token("gateway");
        for step in 0..60_i32 {
            let value = 20.0 + f64::from(step % 17) / 3.0;
            connection.properties("device", &token, &properties("Temperature", value));
            if step % 3 == 0 {
                let reported = properties("Humidity", 40 + step % 7)
                    .replace("{\"services\"", "{\"device_id\":\"child_1\",\"services\"");
                connection.batch("gateway", &gateway, &format!("{{\"devices\":[{reported}]}}"));
                platform.advance(std::time::Duration::from_secs(1));
            }
        }
        browser.wait(&format!("{ROWS} === 82"));
        browser.wait("document.querySelectorAll('#charts path').length === 2");
        browser.wait("document.querySelector('#counts').textContent.includes('82 accepted')");
        assert!(browser.text(&first_row("result")).contains("✓ accepted"));

        // Hostile values are text.
        let station = connection.token("station");
        connection.properties("station", &station, &properties("<script>window.bad = 1</script>\u{202e}gnp", 1));
        let hostile = connection.token(LONG);
        connection.properties(
            LONG,
            &hostile,
            &properties("<img src=x onerror=window.bad=1>", "\"\u{202e}\u{9b}\u{1f600}\"".replace('\u{9b}', "\\u009b")),
        );
        connection.properties(
            LONG,
            &hostile,
            &properties("n", format!("[18446744073709551616.10,\"{}\"]", "x".repeat(300))),
        );
        connection.write(b"POST /<svg/onload=window.bad=1> HTTP/1.1\r\n\r\n").expect("it is written");
        connection.rest();
        let mut connection = Connection::open(&platform);
        connection.message("device", "wrong", "a message".as_bytes());
        browser.wait(&format!("{} .includes('IOTDA.000004')", first_row("result")));
        assert!(browser.text(&first_row("result")).contains("✕ refused"));
        assert!(browser.text("document.querySelector('#rows').textContent").contains("! discarded: "));
        assert!(
            browser
                .text("document.querySelector('#rows').textContent")
                .contains("<script>window.bad = 1</script>\\u{202e}gnp")
        );
        assert!(browser.text("document.querySelector('#rows').textContent").contains("18446744073709551616.10"));
        assert_eq!(browser.text("window.bad"), "undefined");
        assert!(browser.run("return document.documentElement.scrollWidth <= innerWidth") == true, "{name} is too wide");
        browser.picture(&format!("{name}-live"));

        // Filters are in the address, and those of the server.
        browser.run("document.querySelector('#filters').open = true");
        browser.fill("#filter-form [name=result]", "refused");
        browser.wait(&format!("{ROWS} === 2"));
        browser.fill("#filter-form [name=call]", "message");
        browser.wait(&format!("{ROWS} === 1"));
        assert_eq!(browser.text("location.search"), "?call=message&result=refused");
        browser.fill("#filter-form [name=q]", "nothing like it");
        browser.wait("document.querySelector('#empty').textContent.includes('matches')");
        browser.click("#clear-filters");
        browser.wait(&format!("{ROWS} === 89"));
        assert_eq!(browser.text("location.search"), "");

        // Details, with secrets covered until they are asked for.
        browser.run("document.querySelector('#rows button').focus()");
        browser.keys("\u{e007}");
        browser.wait("document.querySelector('#details').open && document.querySelector('#details-body pre')");
        assert!(browser.text("document.querySelector('#details-body').textContent").contains("access_token: ••••••••"));
        browser.picture(&format!("{name}-details"));
        browser.run("[...document.querySelectorAll('#details-body button')].find(it => it.textContent === 'Show secrets').click()");
        browser.wait("document.querySelector('#details-body').textContent.includes('access_token: wrong')");
        browser.keys("\u{e00c}");
        browser.wait("!document.querySelector('#details').open");

        // A pause: the list stands still, and counts.
        browser.keys("p");
        browser.wait("document.querySelector('#state').dataset.state === 'paused'");
        for _ in 0..3 {
            connection.message("device", &token, b"later");
        }
        browser.wait("document.querySelector('#newer').textContent === '3 newer ^'");
        assert_eq!(browser.text(ROWS), "89");
        browser.click("#newer");
        browser.wait(&format!("{ROWS} === 92"));
        browser.keys("p");
        browser.wait("document.querySelector('#state').dataset.state === 'live'");

        // A fault, armed by hand, refuses the next report.
        browser.keys("f");
        browser.wait("document.querySelector('#fault-dialog').open");
        browser.fill("#fault-form [name=kind]", "answer");
        browser.fill("#fault-form [name='p-code']", "IOTDA.021101");
        browser.fill("#fault-form [name='p-status']", "403");
        browser.picture(&format!("{name}-fault"));
        browser.click("#fault-arm");
        browser.wait("document.querySelector('#faults').textContent.includes('1 more')");
        assert_eq!(platform.faults().len(), 1);
        assert_eq!(connection.message("device", &token, b"refused").outcome(), device::refused(403, "IOTDA.021101"));
        browser.wait(&format!("{}.includes('IOTDA.021101')", first_row("result")));
        browser.wait("document.querySelector('#faults').textContent.includes('done 1×')");
        browser.run("document.querySelector('#faults button').click()");
        browser.wait("document.querySelector('#faults').textContent === ''");
        assert!(platform.faults().is_empty());

        // It was one page all the time.
        assert_eq!(browser.text("window.sameDocument"), "true");
        browser.run("document.querySelector('aside').scrollIntoView()");
        browser.picture(&format!("{name}-aside"));
    }
}

#[test]
fn the_address_says_what_is_shown() {
    let Some(browser) = browser("address", &[]) else { return };
    let platform = hostile_platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    connection.message("device", &token, b"one");
    connection.message("device", "wrong", b"two");
    platform.inject(Fault::status(503).on(iotda_platform::Route::Batch)).expect("a fault");
    let url = platform.inspection_url();
    browser.open(&format!("{url}/?result=refused&paused=1&open=3"));
    browser.wait(&format!("{ROWS} === 1"));
    browser
        .wait("document.querySelector('#details').open && document.querySelector('#state').dataset.state === 'paused'");
    assert!(browser.text("document.querySelector('#faults').textContent").contains("until disarmed"));
    browser.open(&format!("{url}/?reslut=refused"));
    browser.wait("document.querySelector('#error').textContent.includes('reslut: there is no such filter')");
    browser.open(&format!("{url}/?status=abc"));
    browser.wait("document.querySelector('#error').textContent.includes('such as 403')");
    // A burst is shown to its last row, of which no more than so many are drawn.
    browser.open(url);
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    let burst = device::message(&token, b"burst").repeat(100);
    for _ in 0..30 {
        connection.write(&burst).expect("they are written");
        for _ in 0..100 {
            assert_eq!(connection.read().expect("an answer").status, 200);
        }
    }
    let last = platform.requests().pop().expect("a request").number;
    browser.wait(&format!("document.querySelector('#rows tr')?.dataset.number === '{last}'"));
    assert_eq!(browser.text(ROWS), "200");
    let numbers = browser.text("[...document.querySelectorAll('#rows tr')].map(it => it.dataset.number).join()");
    let expected: Vec<_> = (last - 199..=last).rev().map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected.join(","));

    // Another platform at the same address, whose numbers begin anew, is noticed as well.
    let address = url.trim_start_matches("http://").to_owned();
    drop((platform, connection));
    browser.wait("document.querySelector('#state').dataset.state === 'reconnecting'");
    let platform = Platform::builder().registry(registry()).inspection(address).start().expect("the same port");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser.wait(&format!("{ROWS} === 1 && document.querySelector('#rows tr').dataset.number === '1'"));

    let url = platform.inspection_url();
    browser.open(url);
    browser.wait(&format!("{ROWS} === 1"));
    platform.clear_records();
    connection.message("device", &token, b"one");
    connection.message("device", "wrong", b"two");
    connection.message("device", &token, b"one more");

    // What was forgotten goes from the page too, and what comes after it is seen.
    browser.open(url);
    browser.wait(&format!("{ROWS} === 3"));
    platform.clear_records();
    browser.wait(&format!("{ROWS} === 0"));
    connection.message("device", &token, b"three");
    browser.wait(&format!("{ROWS} === 1"));
}

/// What the buttons copy is complete and holds no secret: it works in a shell that has the printed variables.
#[test]
fn what_is_copied_sends_the_request_once_more() {
    let Some(browser) = browser("copies", &[]) else { return };
    let platform = Platform::builder().registry(registry()).start().expect("a platform");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    connection.properties(
        "device",
        &token,
        r#"{"services":[{"service_id":"it's","properties":{"a??/":"\"ä$HOME\\"}}]}"#,
    );
    connection.message("device", &token, b"\0\xff'");
    browser.open(platform.inspection_url());
    let copied = |number: u64, function: &str| {
        let script = format!(
            "return fetch('/log?after={}&limit=1').then(it => it.json()).then(async ([entry]) => (await import('/page/rows.js')).{function}(entry))",
            number - 1
        );
        browser.run(&script).as_str().expect("a text").to_owned()
    };
    let ca_file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ca-{}.pem", std::process::id()));
    std::fs::write(&ca_file, platform.ca_pem()).expect("a file");
    let has_tools = ["curl", "openssl"].iter().all(|tool| {
        let version = if *tool == "curl" { "--version" } else { "version" };
        std::process::Command::new(tool).arg(version).output().is_ok()
    });
    if !has_tools {
        println!("skipped: there is no curl or no openssl to run what is copied");
    }
    let requests = if has_tools { platform.requests() } else { Vec::new() };
    for (number, request) in (1..=3).zip(&requests) {
        let command = copied(number, "curl");
        assert!(!command.contains(&token) && !command.contains(device::PASSWORD), "{command}");
        let done = std::process::Command::new("sh")
            .args(["-c", &format!("{command} -s -f --noproxy '*'")])
            .env("IOTDA_CA_FILE", &ca_file)
            .env("IOTDA_ENDPOINT", platform.url_for("localhost"))
            .env("TOKEN", &token)
            .env("SECRET", "secret")
            .status()
            .expect("a shell");
        assert!(done.success(), "{command}");
        let again = platform.requests().pop().expect("a request");
        assert_eq!((&again.body, &again.target, again.status), (&request.body, &request.target, 200), "{command}");
    }
    std::fs::remove_file(&ca_file).expect("it is removed");

    assert!(copied(1, "asC").contains("iotda_auth(client, &call)"));
    let properties = copied(2, "asC");
    assert!(properties.contains(r#"\042a\077\077/\042:\042\134\042\303\244$HOME\134\134\042"#), "{properties}");
    assert!(properties.contains("iotda_report_props_json(client, body, sizeof body - 1, &call)"), "{properties}");
    assert!(copied(3, "asC").contains("const char body[] = \"\\000\\377'\";"));
}
