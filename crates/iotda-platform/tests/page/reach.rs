//! Who can use the page: with a keyboard alone, with a screen reader, with weak eyes, with a finger. And what it says of devices
//! and of the clock.

use super::{LONG, ROWS, first_row, hostile_platform, properties};
use crate::device::{self, Connection};
use crate::driver::browser;
use serde_json::{Value, json};

/// What can be operated and is shown.
const CONTROLS: &str = "[...document.querySelectorAll('button, input, select, summary, a[href]')]
    .filter(it => !it.disabled && it.checkVisibility({ visibilityProperty: true }) && !it.closest('dialog:not([open])'))";

/// The texts with less contrast than 4.5 to 1 (WCAG 2.2, 1.4.3), by its formulas for luminance and contrast.
const PALE: &str = r#"
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (color) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
};
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((it) => it / 255).map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const behind = (it) => {
  for (; it; it = it.parentElement) {
    const color = rgba(getComputedStyle(it).backgroundColor);
    if (color[3] === 255) return color;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
};
const pale = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let looked = 0;
while (walk.nextNode()) {
  const it = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
  if (!text || it.closest(".unseen, noscript, option") || !it.checkVisibility({ visibilityProperty: true })) continue;
  looked++;
  const [a, b] = [luminance(rgba(getComputedStyle(it).color)), luminance(behind(it))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < 4.5) pale.push(`${text.slice(0, 30)}: ${contrast.toFixed(2)}`);
}
return [looked, pale];"#;

#[test]
fn all_of_it_is_done_by_keys() {
    let Some(browser) = browser("keys", &[]) else { return };
    let platform = hostile_platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    connection.message("device", &token, b"one");
    connection.message("device", "wrong", b"two");
    browser.look(1280, false);
    browser.open_live(&platform);
    browser.wait(&format!("{ROWS} === 3"));

    // Down and up, no further than the rows go.
    let row = "document.activeElement.closest('#rows tr')?.dataset.number";
    for (keys, number) in [("j", "3"), ("j", "2"), ("k", "3"), ("k", "3"), ("jjjj", "1")] {
        browser.keys(keys);
        assert_eq!(browser.text(row), number, "{keys}");
    }
    browser.keys("\u{e007}");
    browser.wait("document.querySelector('#details').open");
    browser.wait("location.search.includes('open=1')");
    browser.keys("\u{e00c}");
    browser.wait("!document.querySelector('#details').open");
    browser.keys("?");
    browser.wait("document.querySelector('#help').open");
    // A dialog has the keys to itself.
    browser.keys("p");
    browser.keys("\u{e00c}");
    browser.wait("!document.querySelector('#help').open");
    assert_eq!(browser.text("document.querySelector('#state').dataset.state"), "live");
    // What is typed into a field is no command.
    browser.keys("/");
    assert_eq!(browser.text("document.activeElement.name"), "q");
    browser.keys("two");
    browser.wait(&format!("{ROWS} === 1"));
    assert_eq!(browser.text("location.search"), "?q=two");

    // The Tab key comes to all that there is, and shows where it is.
    browser.run("document.activeElement.blur(); document.querySelector('#clear-filters').click()");
    browser.wait(&format!("{ROWS} === 3"));
    // The devices' buttons are made anew while the focus is elsewhere.
    browser.run(
        "document.activeElement.blur(); getSelection().removeAllRanges(); window.reached = new Set();
         window.known = (it) => it.closest('#devices') ? it.querySelector('bdi').title : it",
    );
    let controls = browser.run(&format!("return {CONTROLS}.length")).as_u64().expect("a number");
    assert!(controls > 20, "{controls}");
    for _ in 0..2 * controls {
        browser.keys("\u{e004}");
        let outline = browser.run(
            "const it = document.activeElement;
             if (it === document.body) return 'the end';
             window.reached.add(known(it));
             return it.matches(':focus-visible') && getComputedStyle(it).outlineStyle !== 'none' ? 'seen' : it.outerHTML",
        );
        assert!(outline == "seen" || outline == "the end", "nobody sees that this has the focus: {outline}");
    }
    let missed =
        browser.run(&format!("return {CONTROLS}.filter(it => !reached.has(known(it))).map(it => it.outerHTML)"));
    assert_eq!(missed, json!([]));
}

#[test]
fn it_is_large_and_clear_enough_at_every_width() {
    let Some(browser) = browser("clear", &[]) else { return };
    for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
        let platform = hostile_platform();
        let mut connection = Connection::open(&platform);
        let token = connection.token("device");
        for value in [20.5, 21.5, 19.0] {
            connection.properties("device", &token, &properties("Temperature", value));
        }
        let station = connection.token("station");
        connection.properties("station", &station, &properties("unknown", 1));
        connection.message("device", "wrong", b"refused");
        connection.token(LONG);
        platform.inject(iotda_platform::Fault::status(503)).expect("a fault");
        browser.look(width, dark);
        browser.open(platform.inspection_url());
        browser.wait(&format!("{ROWS} === 8"));
        browser.wait("document.querySelectorAll('#charts path').length > 0 && document.querySelectorAll('#faults li').length === 1");
        browser.run("document.querySelector('#filters').open = true");

        let found = browser.run(PALE);
        assert!(found[0].as_u64() > Some(60), "hardly a text was looked at: {found}");
        assert_eq!(found[1], json!([]), "{width} {dark}: these have too little contrast");
        // 24 by 24 CSS pixels (WCAG 2.2, 2.5.8).
        let small = browser.run(&format!(
            "return {CONTROLS}.map(it => [it.outerHTML.slice(0, 80), it.getBoundingClientRect()])
                .filter(([, it]) => it.width < 24 || it.height < 24).map(([what, it]) => `${{what}}: ${{it.width}} x ${{it.height}}`)"
        ));
        assert_eq!(small, json!([]), "{width} {dark}: these are too small to hit");
        let nameless = browser.run(&format!(
            "return {CONTROLS}.filter(it => !(it.labels?.length || it.ariaLabel || it.textContent.trim())).map(it => it.outerHTML)"
        ));
        assert_eq!(nameless, json!([]), "a screen reader has no name for these");
        // A chart says its numbers.
        let chart = browser.text("document.querySelector('#charts [role=img]').getAttribute('aria-label')");
        assert!(["Temperature", "19", "21.5"].iter().all(|part| chart.contains(part)), "{chart}");
    }
}

#[test]
fn devices_show_their_latest_values_and_the_clock_is_moved() {
    let Some(browser) = browser("devices", &[]) else { return };
    let platform = hostile_platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let station = connection.token("station");
    connection.properties("station", &station, &properties("Height", 3));
    browser.look(1280, false);
    browser.open_live(&platform);
    for value in [20.5, 21.25] {
        connection.properties("device", &token, &properties("Temperature", value));
    }
    let first = "document.querySelector('#devices li')?.textContent";
    browser.wait(&format!("{first}.includes('\"Temperature\":21.25')"));
    assert!(browser.text(first).starts_with("device"), "{}", browser.text(first));
    browser.run("document.querySelector('#devices li button').click()");
    browser.wait("location.search === '?device=device'");
    browser.wait(&format!("{ROWS} === 3"));
    browser.click("#clear-filters");
    browser.wait(&format!("{ROWS} === 5"));

    let before = platform.now_ms();
    browser.fill("#clock-form [name=seconds]", "90");
    browser.click("#clock-form button");
    browser.wait("performance.getEntriesByName(location.origin + '/clock/advance').length === 1");
    browser.run("document.querySelector('#expire').click()");
    let ended = device::refused(403, "IOTDA.000004");
    // These are there when the answer is.
    browser.wait("performance.getEntriesByName(location.origin + '/tokens/expire').length === 1");
    assert_eq!(connection.message("device", &token, b"too late").outcome(), ended);
    assert_eq!(platform.now_ms(), before + 90_000);
    browser.wait(&format!("{}.includes('IOTDA.000004')", first_row("result")));
    assert_eq!(browser.run("return document.querySelector('#error').hidden"), Value::Bool(true));
}
