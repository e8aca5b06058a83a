//! Pages of other origins in the same browser: another port, another site, and a name that was rebound to this machine.
//! They try what a page can do without leave: fetch, a form, a script. They change nothing and read nothing.

use crate::device::{Connection, platform};
use crate::driver::browser;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// A page that attacks the address that its fragment names, and says when it is through. It has no policy of its own
/// that would stop it.
const PAGE: &str = r#"<!doctype html><title>other</title><iframe name="frame"></iframe><script type="module">
const target = decodeURIComponent(location.hash.slice(1));
const fault = '{"kind":"plain_http"}';
const tries = [];
const attempt = (name, promise) => promise.then((what) => tries.push(`${name}: ${what}`), () => tries.push(`${name}: failed`));
await attempt("no-cors", fetch(`${target}/faults`, { method: "POST", mode: "no-cors", body: fault }).then((it) => it.type));
await attempt("cors", fetch(`${target}/requests`).then((it) => it.text()));
await attempt("delete", fetch(`${target}/requests`, { method: "DELETE" }).then((it) => it.status));
await attempt("beacon", Promise.resolve(navigator.sendBeacon(`${target}/clock/advance`, '{"ms":90000}')));
await attempt("script", new Promise((yes, no) => {
  const script = document.createElement("script");
  script.onload = () => yes("loaded"); script.onerror = no; script.src = `${target}/requests`;
  document.head.append(script);
}));
await attempt("events", new Promise((yes, no) => {
  const events = new EventSource(`${target}/events`);
  events.onopen = () => yes("opened"); events.onerror = () => { events.close(); no(); };
}));
const form = document.createElement("form");
form.method = "POST"; form.enctype = "text/plain"; form.action = `${target}/faults`; form.target = "frame";
const field = document.createElement("input");
field.name = '{"kind":"plain_http","device":"'; field.value = '"}';
form.append(field); document.body.append(form);
await new Promise((done) => { document.querySelector("iframe").onload = done; form.submit(); });
document.title = "through"; window.tries = tries;
</script>"#;

/// Serves the page to whoever asks, and gives its port.
fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
                while lines.next().is_some_and(|line| !line.is_empty()) {}
                let length = PAGE.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = (&stream).write_all((head + PAGE).as_bytes());
            });
        }
    });
    port
}

#[test]
fn pages_of_other_origins_change_and_read_nothing() {
    let rules = "--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP evil.example 127.0.0.1";
    let Some(browser) = browser("foreign", &[rules]) else { return };
    let platform = platform();
    Connection::open(&platform).token("device");
    let before = (platform.requests(), platform.now_ms());
    let port = platform.inspection_url().rsplit_once(':').expect("a port").1.to_owned();
    let own = serve();
    for (page, target) in [
        (format!("http://127.0.0.1:{own}"), format!("http://127.0.0.1:{port}")),
        (format!("http://localhost:{own}"), format!("http://127.0.0.1:{port}")),
        (format!("http://evil.example:{own}"), format!("http://127.0.0.1:{port}")),
        (format!("http://evil.example:{own}"), format!("http://localhost:{port}")),
        (format!("http://rebound.example:{own}"), format!("http://rebound.example:{port}")),
    ] {
        browser.open("about:blank");
        browser.open(&format!("{page}/#{target}"));
        browser.wait("document.title === 'through'");
        let tries = browser.text("window.tries.join('\\n')");
        // An opaque answer says nothing, and whatever else came could not be read.
        for line in tries.lines() {
            assert!(
                matches!(line, "no-cors: opaque" | "beacon: true") || line.ends_with(": failed"),
                "{page} at {target}: {tries}"
            );
        }
        assert!(platform.faults().is_empty(), "{page} has armed a fault at {target}");
        assert_eq!((platform.requests(), platform.now_ms()), before, "{page} at {target}");
    }
    // The same from the platform's own page is done: what was tried would have worked.
    browser.open(platform.inspection_url());
    browser.run("fetch('/faults', { method: 'POST', mode: 'no-cors', body: '{\"kind\":\"plain_http\"}' }).then(() => { window.done = true })");
    browser.wait("window.done");
    assert_eq!(platform.faults().len(), 1);
}
