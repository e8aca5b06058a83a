//! A browser, driven over WebDriver (W3C): Debian's Chromium and its driver. As much of it as these tests need.

use iotda_platform::Platform;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use ureq::Agent;

pub struct Browser {
    driver: Child,
    session: String,
    agent: Agent,
    profile: PathBuf,
}

/// A browser, or nothing where there is none. That is an error if the environment says that there has to be one.
pub fn browser(test: &str, more_arguments: &[&str]) -> Option<Browser> {
    match Browser::start(test, more_arguments) {
        Ok(browser) => Some(browser),
        Err(reason) => {
            let required = std::env::var_os("IOTDA_BROWSER_REQUIRED").is_some();
            assert!(!required, "{reason}: apt-get install chromium chromium-driver");
            println!("skipped: {reason}");
            None
        }
    }
}

impl Browser {
    fn start(test: &str, more_arguments: &[&str]) -> Result<Self, String> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", devkit::checkout::temporary().expect("a directory"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("there is no chromedriver: {error}"))?;
        let lines = BufReader::new(driver.stdout.take().expect("its output")).lines().map_while(Result::ok);
        // It goes on reading, so that the driver can go on writing.
        let (sender, port) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in lines {
                if let Some((_, port)) = line.trim_end_matches('.').rsplit_once("started successfully on port ") {
                    let _ = sender.send(port.to_owned());
                }
            }
        });
        let port = port.recv().map_err(|_| "chromedriver has ended at once".to_owned())?;
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("profile-{test}-{}", std::process::id()));
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ];
        let profile_argument = format!("--user-data-dir={}", profile.display());
        let arguments: Vec<&str> =
            arguments.iter().chain(more_arguments).copied().chain([profile_argument.as_str()]).collect();
        let agent: Agent = Agent::config_builder().proxy(None).http_status_as_error(false).build().into();
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}/session"), agent, profile };
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            // A script may wait for what a slow machine does.
            "timeouts": { "script": 600_000 },
        });
        let created = browser.post("", &json!({ "capabilities": { "alwaysMatch": capabilities } }))?;
        let id = created["sessionId"].as_str().ok_or("no session")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.agent.post(format!("{}{path}", self.session)).header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).map_err(|error| format!("{path}: {error}"))?;
        let text = answer.body_mut().with_config().limit(50_000_000).read_to_string();
        let text = text.map_err(|error| format!("{path}: {error}"))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}: {text}"))?;
        match answer.status().is_success() {
            true => Ok(value["value"].clone()),
            false => Err(format!("{path}: {}", value["value"]["message"])),
        }
    }

    fn must(&self, path: &str, body: &Value) -> Value {
        self.post(path, body).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn open(&self, url: &str) {
        self.must("/url", &json!({ "url": url }));
    }

    /// Opens the platform's page, and waits until it follows what comes.
    pub fn open_live(&self, platform: &Platform) {
        self.open(platform.inspection_url());
        self.wait("document.querySelector('#state').dataset.state === 'live'");
    }

    /// Runs a function's body in the page, and gives what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.must("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    pub fn text(&self, expression: &str) -> String {
        self.run(&format!("return String({expression})")).as_str().expect("a text").to_owned()
    }

    /// Waits until an expression is true in the page.
    pub fn wait(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        // The number ends a test that would wait for ever.
        for _ in 0..5_000 {
            if self.run(&script) == Value::Bool(true) {
                return;
            }
        }
        panic!("this does not come true: {expression}\n{}", self.text("document.body.innerText"));
    }

    pub fn click(&self, selector: &str) {
        let found = self.must("/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().and_then(|it| it.values().next()).and_then(Value::as_str).expect("an element");
        self.must(&format!("/element/{id}/click"), &json!({}));
    }

    /// Presses keys, one after the other.
    pub fn keys(&self, keys: &str) {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|key| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })])
            .collect();
        self.must("/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }));
    }

    /// Sets a field as a person would, with the event that goes with it.
    pub fn fill(&self, selector: &str, value: &str) {
        let (selector, value) = (json!(selector), json!(value));
        self.run(&format!(
            "const it = document.querySelector({selector}); it.value = {value};
             it.dispatchEvent(new Event('input', {{ bubbles: true }})); it.dispatchEvent(new Event('change'))"
        ));
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.must("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    pub fn look(&self, width: u32, dark: bool) {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": feature }));
    }

    /// As the system's setting for less movement makes it.
    pub fn without_motion(&self) {
        let feature = json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": feature }));
    }

    /// A picture of the page, below the target directory, for a person to look at.
    pub fn picture(&self, name: &str) {
        let picture = self.devtools("Page.captureScreenshot", &json!({ "format": "png" }));
        let bytes = decode_base64(picture["data"].as_str().expect("a picture"));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join(format!("{name}.png")), bytes).expect("a file");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser with the session; where it does not, it goes with the driver.
        let _ = self.agent.delete(self.session.as_str()).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let group = |four: &[u8]| {
        let bits = four.iter().enumerate().fold(0_u32, |bits, (at, six)| bits | (u32::from(*six) << (18 - 6 * at)));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
